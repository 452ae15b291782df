"""Every setting is in .env.example with its default, and nothing else is."""

import ast
import re
from collections.abc import Iterator

import yaml

from tests.conftest import REPOSITORY
from tests.repository.settings_source import calls_of_env

LISTED = re.compile(r"^#([A-Z][A-Z0-9_]*)=(.*)$", re.MULTILINE)


def listed() -> dict[str, str]:
    return dict(LISTED.findall((REPOSITORY / ".env.example").read_text()))


def read_by_the_settings() -> dict[str, str | None]:
    """Return name → default as .env.example shows it; None if it is computed, or there is none."""
    return {
        name: shown(next((word.value for word in call.keywords if word.arg == "default"), None))
        for module in ("facecloud/settings.py", "facecloud/settings_worker.py", "embedded/log_files.py")
        for name, call in calls_of_env(REPOSITORY / module)
    }


def shown(default: ast.expr | None) -> str | None:
    if default is None or any(isinstance(node, ast.Name | ast.Call) for node in ast.walk(default)):
        return None
    value = eval(compile(ast.Expression(default), "default", "eval"), {"__builtins__": {}})
    return ",".join(value) if isinstance(value, list) else str(value)


def texts_of(value: object) -> Iterator[str]:
    """Yield every key and value of a YAML document that is a text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from (*texts_of(key), *texts_of(inner))
    elif isinstance(value, list):
        for inner in value:
            yield from texts_of(inner)
    elif isinstance(value, str):
        yield value


def read_by_compose() -> set[str]:
    """Return the variables that compose.yaml replaces in its values."""
    compose = yaml.safe_load((REPOSITORY / "compose.yaml").read_text())
    return {name for text in texts_of(compose) for name in re.findall(r"\$\{([A-Z][A-Z0-9_]*)", text)}


def test_every_setting_is_listed_and_nothing_else() -> None:
    assert set(listed()) == set(read_by_the_settings()) | read_by_compose()


def test_documented_defaults_match_the_settings() -> None:
    settings = read_by_the_settings()
    assert len(settings) > 20
    documented = listed()
    wrong = {
        name: default
        for name, default in settings.items()
        if default is not None and documented[name] != default
    }
    assert wrong == {}
