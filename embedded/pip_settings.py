"""Translate the user's pip configuration (`pip config list`) into UV_* variables.

Run as a script by the bare interpreter of a new .venv, it prints them for a shell. Standard library only.
"""

import ast
import os
import shlex
import subprocess
import sys

UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "trusted-host": "UV_INSECURE_HOST",
    "no-index": "UV_NO_INDEX",
    "timeout": "UV_HTTP_TIMEOUT",
    "proxy": "ALL_PROXY",
}
COMMA_SEPARATED = {"UV_FIND_LINKS"}
SECTIONS_BY_RANK = ["global", "install", ":env:"]  # a later one wins, as in pip


def translate(listing: str) -> dict[str, str]:
    """Translate the output of `pip config list`: lines of section.name='value'."""
    found: dict[str, tuple[int, str]] = {}
    for line in listing.splitlines():
        key, _, literal = line.partition("=")
        section, _, option = key.rpartition(".")
        name = UV_NAMES.get(option)
        if name is None or section not in SECTIONS_BY_RANK:
            continue
        rank = SECTIONS_BY_RANK.index(section)
        words = str(ast.literal_eval(literal)).split()
        value = ("," if name in COMMA_SEPARATED else " ").join(words)
        if name not in found or rank >= found[name][0]:
            found[name] = (rank, value)
    settings = {name: value for name, (_, value) in found.items()}
    if "UV_INDEX" in settings:
        # As in pip, a pinned version may come from any index. Its hash is always checked.
        settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    return settings


def uv_environment() -> dict[str, str]:
    """Return the variables to add; those that the user has set already take precedence."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    listing = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    return {name: value for name, value in translate(listing).items() if name not in os.environ}


def main() -> None:
    for name, value in uv_environment().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


if __name__ == "__main__":
    main()
