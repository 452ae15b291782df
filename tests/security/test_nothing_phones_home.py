"""The product sends no telemetry: it looks up no name and writes nothing under the home folder.

onnxruntime sends telemetry from the moment it is imported (device id, usage), unless a variable prevents it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

# Runs in its own network namespace, whose only name server records the queries. The upload of
# onnxruntime's telemetry starts some seconds after the import, and once more when the process ends.
ISOLATED = """
import fcntl, os, pathlib, socket, struct, subprocess, sys, threading
with socket.socket() as probe:  # bring the loopback interface up
    fcntl.ioctl(probe, 0x8914, struct.pack("16sh14x", b"lo", 0x49))
folder = pathlib.Path(sys.argv[1])
(folder / "resolv.conf").write_text("nameserver 127.0.0.1\\noptions timeout:1 attempts:1\\n")
subprocess.run(["mount", "--bind", folder / "resolv.conf", "/etc/resolv.conf"], check=True)
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
names = set()
def listen():
    while True:
        question, asker = server.recvfrom(4096)
        names.add(question[12:-5].decode("latin-1"))
        server.sendto(question[:2] + b"\\x81\\x83" + question[4:], asker)  # no such name
threading.Thread(target=listen, daemon=True).start()
done = subprocess.run([sys.executable, "-c", sys.argv[2]], env={**os.environ, "HOME": str(folder / "home")})
print("NAMES", sorted(names))
sys.exit(done.returncode)
"""

# Loads the models, processes a picture, and waits for background threads.
INFERENCE = """
import sys, time
from pathlib import Path
from inference.pipeline.engine import engine
models = Path(sys.argv[1]) if len(sys.argv) > 1 else Path({models!r})
found = engine(models, ["CPUExecutionProvider"])
assert len(found.detect((models / "astronaut.png").read_bytes()).faces) == 1
time.sleep({wait_s})
"""
LOOKUP = "import socket\ntry: socket.getaddrinfo('asked.example', 80)\nexcept OSError: pass"
BARE_IMPORT = "import onnxruntime"


# The variables that switch the telemetry of onnxruntime off: CI is one of them.
QUIETENING = ("ORT_", "CI", "GITHUB_", "TF_BUILD", "BUILD_", "JENKINS_", "TEAMCITY_", "TRAVIS")


def isolated(folder: Path, program: str) -> str:
    """Run the program without a network; return the names that it looked up."""
    (folder / "home").mkdir()
    if subprocess.run(["unshare", "-rnm", "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine allows no network namespaces")
    done = subprocess.run(
        ["unshare", "-rnm", sys.executable, "-c", ISOLATED, str(folder), program],
        cwd=REPOSITORY,
        env={name: value for name, value in os.environ.items() if not name.startswith(QUIETENING)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.rpartition("NAMES ")[2].strip()


def test_the_recorder_detects_a_lookup(tmp_path: Path) -> None:
    assert "asked" in isolated(tmp_path, LOOKUP)


def test_without_the_variable_onnxruntime_keeps_a_device_id(tmp_path: Path) -> None:
    """Control: if this fails, onnxruntime no longer sends telemetry, and the other tests prove nothing."""
    isolated(tmp_path, BARE_IMPORT)
    assert list((tmp_path / "home").rglob("deviceid"))


def test_inference_looks_up_no_name_and_writes_nothing_at_home(tmp_path: Path, models: Path) -> None:
    program = INFERENCE.format(models=str(models), wait_s=30)
    assert isolated(tmp_path, program) == "[]"
    assert list((tmp_path / "home").rglob("*")) == []


@pytest.mark.parametrize(
    "module",
    ["inference.worker.tasks", "inference.models.setup", "inference.models.conversion", "bench.engine.speed"],
)
def test_every_import_of_onnxruntime_disables_telemetry(module: str, tmp_path: Path) -> None:
    program = f"import {module}, onnxruntime, os; assert os.environ['ORT_DISABLE_TELEMETRY'] == '1'"
    subprocess.run(
        [sys.executable, "-c", program],
        cwd=REPOSITORY,
        env={**os.environ, "HOME": str(tmp_path), "ORT_DISABLE_TELEMETRY": "0"},
        check=True,
    )
    assert list(tmp_path.rglob("deviceid")) == []


def test_onnxruntime_is_imported_inside_the_room_only() -> None:
    grep = shutil.which("git")
    assert grep is not None
    found = subprocess.run(
        [grep, "grep", "-lE", r"^\s*(import|from) onnxruntime", "--", "*.py"],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    assert found == ["inference/models/session.py"]
