"""Run the samples of docs/samples."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "docs" / "samples"
COMMANDS = {
    "facecloud.sh": ["sh"],
    "facecloud.py": ["python3"],
    "FaceCloud.java": ["java"],
    "facecloud.go": ["go", "run"],
    "facecloud.mjs": ["node"],
    "facecloud.php": ["php"],
}
Run = Callable[..., str]
Start = Callable[..., "subprocess.CompletedProcess[str]"]


def runner(name: str, home: Path) -> Run:
    """Return a function that runs the sample in its own environment and returns its output."""
    start = starter(name, home)

    def run(*arguments: str, **environment: str) -> str:
        done = start(*arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def starter(name: str, home: Path) -> Start:
    """Return a function that runs the sample in its own environment, with any exit status.

    If its language is not installed, the test is skipped; .ci/run installs all of them and forbids skips.
    """
    program, *options = COMMANDS[name]
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")

    def start(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [found, *options, str(SAMPLES / name), *arguments],
            env={"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return start
