"""Find the environment variables that a settings module reads, from its syntax tree."""

import ast
from collections.abc import Iterator
from pathlib import Path


def calls_of_env(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield the name and the call of each `env.…("NAME", …)`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("env.")):
            continue
        if node.args and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value), node
