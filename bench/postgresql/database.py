"""A temporary database for benchmarks that fill it."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable


def on_temporary_postgresql(module: str, about: str | None, measure: Callable[[int], bool]) -> int:
    """Run benchmark `module` on a temporary PostgreSQL; return its exit status, 0 if within its limit.

    The module is started again in that environment, where `measure` gets the value of --calls.
    """
    parser = argparse.ArgumentParser(prog=f"bin/bench {module.rpartition('.')[2]}", description=about)
    parser.add_argument("--calls", type=int, default=10_000_000)
    options = parser.parse_args()
    if "DATABASE_URL" not in os.environ:
        command = [sys.executable, "-m", "embedded.ephemeral", sys.executable, "-m", module]
        return subprocess.run([*command, *sys.argv[1:]]).returncode
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "facecloud.settings")
    import django

    django.setup()
    from django.core.management import call_command

    call_command("migrate", verbosity=0, interactive=False)
    return 0 if measure(options.calls) else 1
