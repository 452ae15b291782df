"""Each reason not to start has one sentence with the remedy."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.ports import free_port
from embedded import preflight
from embedded.paths import Paths
from embedded.preflight import Refusal


@pytest.fixture
def taken_port() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener


def test_a_port_in_use_is_reported(taken_port: socket.socket) -> None:
    port = taken_port.getsockname()[1]
    with pytest.raises(Refusal, match=rf"^Port {port} is in use .* bin/start --port {port + 1}$"):
        preflight.check_address("127.0.0.1", port)


def test_a_port_in_use_on_one_address_is_reported_for_all(taken_port: socket.socket) -> None:
    with pytest.raises(Refusal, match="is in use"):
        preflight.check_address("0.0.0.0", taken_port.getsockname()[1])


def test_it_waits_for_the_port_of_a_crashed_run(taken_port: socket.socket) -> None:
    started = time.monotonic()
    threading.Timer(0.5, taken_port.close).start()
    preflight.check_address("127.0.0.1", taken_port.getsockname()[1], patience_s=10)
    assert 0.4 < time.monotonic() - started < 10


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_out_of_range_is_reported(port: int) -> None:
    with pytest.raises(Refusal, match="between 1 and 65535"):
        preflight.check_address("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_reported(host: str) -> None:
    with pytest.raises(Refusal, match="is not an address of this machine"):
        preflight.check_address(host, 8000)


def test_checking_a_free_port_leaves_it_free() -> None:
    port = free_port()
    preflight.check_address("127.0.0.1", port)
    preflight.check_address("127.0.0.1", port)


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Refusal, match=r"cannot be written to"):
        preflight.make_folders(Paths(tmp_path / "file" / "var"))


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "NEEDED_DISK_BYTES", 1 << 60)
    with pytest.raises(Refusal, match="nearly full"):
        preflight.make_folders(Paths(tmp_path / "var"))


def test_the_socket_folder_is_private(tmp_path: Path) -> None:
    paths = Paths(tmp_path / "var")
    preflight.make_folders(paths)
    assert paths.sockets.stat().st_mode & 0o777 == 0o700
    assert paths.sockets.stat().st_uid == os.getuid()


def test_a_second_instance_is_refused(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with preflight.only_one(lock, "http://127.0.0.1:8000"):
        assert preflight.is_held(lock)
        code = (
            "import sys; from pathlib import Path; from embedded import preflight\n"
            "try:\n with preflight.only_one(Path(sys.argv[1]), 'the second'): pass\n"
            "except preflight.Refusal as refusal: print(refusal)"
        )
        second = subprocess.run(
            [sys.executable, "-c", code, str(lock)], capture_output=True, text=True, check=True
        )
    assert second.stdout.startswith(f"It is already running (process {os.getpid()}, http://127.0.0.1:8000).")
    assert not preflight.is_held(lock)


def test_the_lock_records_how_the_last_run_ended(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with preflight.only_one(lock, "first") as ended_cleanly:
        assert ended_cleanly
    code = (
        "import os, signal, sys; from pathlib import Path; from embedded import preflight\n"
        "with preflight.only_one(Path(sys.argv[1]), 'killed'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(lock)], check=False)
    with preflight.only_one(lock, "third") as ended_cleanly:
        assert not ended_cleanly
    with preflight.only_one(lock, "fourth") as ended_cleanly:
        assert ended_cleanly
