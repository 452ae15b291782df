"""A child ends with its supervisor, ends when stopped, and does not run as root if root is refused."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from embedded.paths import Paths
from embedded.services.managed_process import Process, ServiceError, end_processes_in, processes_in
from tests.conftest import REPOSITORY, wait_until

STUBBORN = """
import signal, subprocess, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(subprocess.Popen(["sleep", "60"]).pid, "up", flush=True)
time.sleep(60)
"""
PARENT = """
import sys, time
from pathlib import Path
from embedded.services.managed_process import Process
child = Process("child", ["sleep", "60"], log=Path(sys.argv[1]), cwd=Path("/"))
child.start()
print(child.pid, flush=True)
time.sleep(60)
"""
# A user namespace with every id mapped, in which no further namespace can be created.
WITHOUT_NAMESPACES = """
import ctypes, os, sys
def mapped(ready, go):
    os.read(ready[0], 1)
    for name in ("uid_map", "gid_map"):
        open(f"/proc/{child}/{name}", "w").write("0 0 65536")
    os.write(go[1], b"x")
ready, go = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    assert ctypes.CDLL(None).unshare(0x10000000) == 0
    os.write(ready[1], b"x")
    os.read(go[0], 1)
    open("/proc/sys/user/max_user_namespaces", "w").write("0")
    os.execvp(sys.argv[1], sys.argv[1:])
mapped(ready, go)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
only_root_changes_uid = pytest.mark.skipif(os.getuid() != 0, reason="only root has another uid to change to")


def is_alive(pid: int) -> bool:
    """Return whether the process is alive; a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_child_dies_with_a_killed_parent(folder: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(folder / "child.log")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert is_alive(child)
        parent.kill()
    wait_until(lambda: not is_alive(child), timeout_s=20, what="the end of the orphan")


def test_stop_ends_a_process_that_ignores_sigterm_and_its_children(folder: Path) -> None:
    log = folder / "stubborn.log"
    process = Process("stubborn", [sys.executable, "-c", STUBBORN], log=log, cwd=folder)
    process.start()
    wait_until(lambda: log.read_text().endswith("up\n"), timeout_s=10, what="the process's first line")
    grandchild = int(log.read_text().split()[0])
    process.stop(timeout_s=0.5)
    assert process.exit_status() == -signal.SIGKILL
    wait_until(lambda: not is_alive(grandchild), timeout_s=20, what="the end of the grandchild")
    process.stop()


def test_a_failure_quotes_its_last_line_and_names_its_log(folder: Path) -> None:
    process = Process(
        "step", ["sh", "-c", "echo first; echo the reason; exit 3"], log=folder / "step.log", cwd=folder
    )
    process.start()
    with pytest.raises(ServiceError, match=r"^the reason \(step failed, see .*step\.log\)$"):
        process.finish(timeout_s=10)


def test_leftover_processes_of_a_folder_are_ended(folder: Path) -> None:
    data = folder / "data"
    data.mkdir()
    # Its own parent ends first; as our child it would remain a zombie.
    subprocess.run(["setsid", "--fork", "sleep", "60"], cwd=data, check=True)
    wait_until(lambda: bool(processes_in(data)), timeout_s=20, what="the leftover")
    assert len(processes_in(data)) == 1
    assert processes_in(folder) == []
    end_processes_in(data)
    assert processes_in(data) == []


@only_root_changes_uid
def test_as_root_a_service_that_refuses_root_runs_as_another_user(folder: Path) -> None:
    assert uid_of_an_unprivileged_child(folder, []) == 1000


@only_root_changes_uid
def test_without_user_namespaces_it_runs_as_nobody(folder: Path) -> None:
    assert uid_of_an_unprivileged_child(folder, [sys.executable, "-c", WITHOUT_NAMESPACES]) == 65534


def uid_of_an_unprivileged_child(folder: Path, inside: list[str]) -> int:
    """Return the uid of a child that has read a file in a folder that only root may enter."""
    secret = folder / "secret"
    secret.mkdir(mode=0o700)
    (secret / "file").write_text("read\n")
    code = (
        "from pathlib import Path; from embedded.services.managed_process import Process\n"
        "look = ['sh', '-c', 'cat secret/file; id -u']\n"
        "child = Process('id', look, log=Path('id.log'), cwd=Path('.'), as_root=False)\n"
        "child.start(); child.finish(10)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([*inside, sys.executable, "-c", code], cwd=folder, env=environment, check=True, timeout=30)
    greeting, uid = (folder / "id.log").read_text().split()
    assert greeting == "read"
    return int(uid)


def test_a_run_is_private_to_its_user(tmp_path: Path) -> None:
    """Logs and mails that an earlier version left are made private too."""
    paths = Paths(tmp_path / "var")
    paths.logs.mkdir(parents=True)
    old = paths.logs / "web.log"
    old.write_text("a link")
    for path, mode in ((paths.var, 0o755), (paths.logs, 0o755), (old, 0o644)):
        path.chmod(mode)
    paths.make()
    assert [path.stat().st_mode & 0o777 for path in (paths.var, paths.logs, old)] == [0o700, 0o700, 0o600]
    process = Process("echo", ["true"], log=paths.logs / "new.log", cwd=tmp_path)
    process.start()
    process.finish(30)
    assert process.log.stat().st_mode & 0o777 == 0o600
