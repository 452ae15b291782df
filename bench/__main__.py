"""Run a benchmark: `bin/bench WHAT …`; each is a module of this package or of one of its folders.

The benchmarks of the engine have `add_arguments` and `run` and share --json, --plot and --models. Other
modules with a `main()` (quota, …) parse their own arguments.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

FOLDERS = ("engine", "fitting", "load", "postgresql")
ENGINE_BENCHMARKS = ("accuracy", "speed", "peers")
MODELS_DIR = Path(__file__).resolve().parent.parent / "var" / "models"


def main() -> int:
    """Run the benchmark that the first argument names, and return its exit status."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    module = _module(name) if name.isidentifier() and name not in ENGINE_BENCHMARKS else None
    if module:
        sys.argv = [f"bin/bench {name}", *sys.argv[2:]]
        return int(import_module(module).main() or 0)
    return _engine_benchmark()


def _module(name: str) -> str | None:
    """Return the dotted name of benchmark `name`, or None if there is none."""
    if name in FOLDERS:
        return None
    places = [f"bench.{name}", *(f"bench.{folder}.{name}" for folder in FOLDERS)]
    return next((place for place in places if find_spec(place)), None)


def _engine_benchmark() -> int:
    from bench.output import Report
    from inference.models.setup import ensure_models
    from inference.pipeline.engine import Engine

    parser = argparse.ArgumentParser(prog="bin/bench", description="Measure what the product does.")
    commands = parser.add_subparsers(dest="what", required=True)
    modules = {what: import_module(f"bench.engine.{what}") for what in ENGINE_BENCHMARKS}
    for what, module in modules.items():
        command = commands.add_parser(what, help=(module.__doc__ or "").partition(":")[0])
        command.add_argument("--models", type=Path, default=MODELS_DIR, help="the model files' directory")
        command.add_argument("--json", action="store_true", help="print JSON instead of tables")
        command.add_argument("--plot", type=Path, help="write plots as PNG into this directory")
        module.add_arguments(command)
    arguments = parser.parse_args()
    ensure_models(arguments.models)
    engine = Engine(arguments.models)
    engine.warm_up()
    report = Report(arguments.what, quiet=arguments.json)
    modules[arguments.what].run(arguments, engine, report)
    if arguments.json:
        print(report.to_json())
    if arguments.plot:
        report.plot(arguments.plot)
    return 0


if __name__ == "__main__":
    sys.exit(main())
