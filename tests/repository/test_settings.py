"""Every setting stands in .env.example with its default, and nothing else does."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

LISTED = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def listed() -> dict[str, str]:
    return dict(LISTED.findall((REPOSITORY / ".env.example").read_text()))


def calls_in(path: Path) -> Iterator[tuple[str, str, ast.Call]]:
    """Yield what is called, as `object.method`, and its first argument, where that is a constant."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            yield ast.unparse(node.func), str(node.args[0].value), node


def read_by_the_settings() -> dict[str, str | None]:
    """Name → default as .env.example would show it; None where it is computed, or there is none."""
    return {
        name: shown(next((word.value for word in call.keywords if word.arg == "default"), None))
        for module in ("facecloud/settings.py", "facecloud/settings_worker.py", "embedded/log_files.py")
        for function, name, call in calls_in(REPOSITORY / module)
        if function.startswith("env.")
    }


def shown(default: ast.expr | None) -> str | None:
    if default is None or any(isinstance(node, ast.Name | ast.Call) for node in ast.walk(default)):
        return None
    value = eval(compile(ast.Expression(default), "default", "eval"), {"__builtins__": {}})
    return ",".join(value) if isinstance(value, list) else str(value)


def read_by_compose() -> set[str]:
    return set(re.findall(r"\$\{([A-Z][A-Z0-9_]*)", (REPOSITORY / "compose.yaml").read_text()))


def test_every_setting_is_listed_and_nothing_else() -> None:
    assert set(listed()) == set(read_by_the_settings()) | read_by_compose()


def test_documented_defaults_match_the_settings() -> None:
    settings = read_by_the_settings()
    assert len(settings) > 20
    told = listed()
    wrong = {
        name: default for name, default in settings.items() if default is not None and told[name] != default
    }
    assert wrong == {}
