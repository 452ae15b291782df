"""The command as a process: signals, pipes, and terminals that cannot show everything."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from facecloud_client.command.cli import main

from tests.client.scripted import OK, Scripted, reply, scripted
from tests.conftest import REPOSITORY


def command(
    url: str, *arguments: str, stderr: int = subprocess.PIPE, **environment: str
) -> subprocess.Popen[bytes]:
    """Return a running `facecloud`."""
    return subprocess.Popen(
        [sys.executable, "-m", "facecloud_client", *arguments],
        env={
            **os.environ,
            "PYTHONPATH": str(REPOSITORY / "client"),
            "FACECLOUD_URL": url,
            "FACECLOUD_APP_KEY": "0123456789abcdef",
            "FACECLOUD_SECRET_KEY": "0123456789abcdef0123456789abcdef",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=stderr,
        # A shell starts background jobs with SIGINT ignored, and a child of the test run inherits that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "人.png"
    path.write_bytes(b"picture")
    return path


@contextmanager
def silent() -> Iterator[socket.socket]:
    """Yield a service that takes requests and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        yield listener


def test_ctrl_c_stops_at_once(picture: Path) -> None:
    with silent() as listener:
        running = command(f"http://127.0.0.1:{listener.getsockname()[1]}", "detect", str(picture))
        connection, _ = listener.accept()
        with connection:
            connection.recv(1)
            running.send_signal(signal.SIGINT)
            _, errors = running.communicate(timeout=10)
    assert running.returncode == 130
    assert b"Traceback" not in errors


def test_what_was_answered_before_ctrl_c_is_printed(picture: Path) -> None:
    with silent() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = command(url, "detect", *[str(picture)] * 3, "--batch", "1", "--jobs", "1")
        for _i in range(2):
            Scripted([reply("200 OK", OK)]).answer(listener.accept()[0])
        unanswered, _ = listener.accept()
        with unanswered:
            unanswered.recv(1)
            running.send_signal(signal.SIGINT)
            printed, _ = running.communicate(timeout=10)
    assert running.returncode == 130
    assert "没有人脸" in printed.decode()


def test_the_first_batch_is_printed_while_the_second_is_under_way(picture: Path) -> None:
    with silent() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        running = command(url, "detect", *[str(picture)] * 2, "--batch", "1", "--jobs", "1", "--json")
        Scripted([reply("200 OK", OK)]).answer(listener.accept()[0])
        unanswered, _ = listener.accept()
        assert running.stdout is not None
        with unanswered:
            assert json.loads(running.stdout.readline())["result"] == OK["result"][0]
        running.kill()
        running.communicate()


def test_a_progress_bar_on_the_terminal_leaves_the_output_alone(picture: Path) -> None:
    terminal, end = os.openpty()
    with scripted(reply("200 OK", OK)) as server, os.fdopen(terminal, "rb", 0):
        url, options = server.url, ("--batch", "1", "--json")
        running = command(url, "detect", *[str(picture)] * 3, *options, stderr=end, TERM="xterm")
        os.close(end)
        printed, _ = running.communicate(timeout=30)
        bar = os.read(terminal, 65536).decode()
    assert "3/3" in bar
    assert [json.loads(line)["result"] for line in printed.decode().splitlines()] == OK["result"] * 3


def test_a_name_that_the_terminal_cannot_show_does_not_hide_the_rest(picture: Path) -> None:
    with scripted(reply("200 OK", OK)) as server:
        running = command(server.url, "detect", str(picture), "--json", PYTHONIOENCODING="latin-1")
        printed, errors = running.communicate(timeout=30)
    assert running.returncode == 0, errors
    assert rb"\u4eba.png" in printed


@pytest.mark.parametrize("format_", [["--json"], []], ids=["json", "rows"])
def test_a_closed_pipe_ends_silently(picture: Path, format_: list[str]) -> None:
    with scripted(reply("200 OK", OK)) as server:
        running = command(server.url, "detect", str(picture), *format_)
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        with running.stderr:
            assert (running.stderr.read(), running.wait(timeout=30)) == (b"", 1)


@pytest.mark.parametrize("arguments", [["--anchor", "人.png", "人.png"], ["--pairs", "none.csv"]])
def test_nothing_to_compare_is_an_error(
    picture: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(picture.parent)
    monkeypatch.setenv("FACECLOUD_SECRET_KEY", "s")
    Path("none.csv").touch()
    assert main(["compare", *arguments, "--url", "http://127.0.0.1:1", "--app-key", "k"]) == 2
    assert "没有可比对的图片" in capsys.readouterr().err
