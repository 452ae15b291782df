"""One request as a program in each of six languages, which sends the same body, signed at each run.

Each program contains the AppKey and reads the SecretKey from the environment. It reads picture files by their
names. The templates are in program_texts/; @NAME@ is a placeholder for a part of the request.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PREFIX = "data:application/octet-stream;base64,"
FOLDER = Path(__file__).parent / "program_texts"
_PART = re.compile(r"@([A-Z_]+)@")
_IF_FILES = re.compile(r"@IF_FILES@\n(.*?)@END@\n", re.DOTALL)


@dataclass(frozen=True)
class Program:
    """A program for a page: the label of its tab, its file name and its text."""

    name: str
    file: str
    text: str
    lexer: str
    href: str = ""  # of its download


@dataclass(frozen=True)
class Request:
    """A request for which programs are generated.

    `body` is the JSON text as sent, except that picture files are placeholders, listed in `files`.
    """

    base_url: str
    path: str
    app_key: str
    body: str
    files: dict[str, str]  # placeholder: name of the file
    headers: dict[str, str]  # in addition to the signed ones


def placeholder(number: int) -> str:
    """Return the placeholder of picture file `number` in the text of a body."""
    return f"@picture-{number}@"


def programs(request: Request) -> list[Program]:
    """Return the request in each language."""
    return [
        Program(language.name, language.file, language.write(request), language.lexer)
        for language in LANGUAGES
    ]


# --- Literals of the languages --------------------------------------------------------------


def shell(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def php(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def java(text: str) -> str:
    """Return a JSON string in ASCII, which is also a Java string, since json.dumps never writes `\\/`."""
    return json.dumps(text)


def javascript(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def go(text: str) -> str:
    """Return a raw string if possible, otherwise JSON: without surrogates, its escapes are valid in Go."""
    is_raw = "`" not in text and "\r" not in text and "\ufeff" not in text
    return f"`{text}`" if is_raw else json.dumps(text, ensure_ascii=False)


# --- The languages ----------------------------------------------------------------------


@dataclass(frozen=True)
class Language:
    """A language: its template in program_texts, and its syntax of strings, headers and pictures.

    `header` has {name} and {value}, `picture` has {mark} and {file}: literals of the language.
    """

    name: str
    file: str
    lexer: str
    literal: Callable[[str], str]
    header: str
    picture: str = ""

    def write(self, request: Request) -> str:
        """Return the program."""
        write = self.literal
        parts = {
            "URL": write(request.base_url),
            "PATH": write(request.path),
            "APP_KEY": write(request.app_key),
            "BODY": write(request.body) if self.picture else in_pieces(request),
            "PICTURES": "".join(
                self.picture.format(mark=write(mark), file=write(file))
                for mark, file in request.files.items()
            ),
            "HEADERS": "".join(
                self.header.format(name=write(name), value=write(value), line=write(f"{name}: {value}"))
                for name, value in request.headers.items()
            ),
        }
        text = _IF_FILES.sub(r"\1" if request.files else "", text_of(self.file))
        return _PART.sub(lambda found: parts[found[1]], text)


def in_pieces(request: Request) -> str:
    """Return the shell commands that print the body: text and pictures alternately."""
    pieces = re.split("(" + "|".join(map(re.escape, request.files)) + ")", request.body)
    if not request.files:
        pieces = [request.body]
    commands = [
        f"    picture {shell(request.files[piece])}"
        if piece in request.files
        else f"    printf '%s' {shell(piece)}"
        for piece in pieces
    ]
    return "\n".join(commands)


@cache
def text_of(file: str) -> str:
    return (FOLDER / f"{file}.txt").read_text(encoding="utf-8")


LANGUAGES = (
    Language("curl + openssl", "call.sh", "sh", shell, header=" \\\n    -H {line}"),
    Language(
        "Python",
        "call.py",
        "python",
        repr,
        header="\n        {name}: {value},",
        picture="\nbody = body.replace({mark}, picture({file}))",
    ),
    Language(
        "Java",
        "FaceCloudCall.java",
        "java",
        java,
        header="\n                .header({name}, {value})",
        picture="\n                .replace({mark}, picture({file}))",
    ),
    Language(
        "Go",
        "call.go",
        "go",
        go,
        header="\n\trequest.Header.Set({name}, {value})",
        picture="\n\tbody = strings.ReplaceAll(body, {mark}, picture({file}))",
    ),
    Language(
        "Node.js",
        "call.mjs",
        "js",
        javascript,
        header="\n    {name}: {value},",
        picture="\nbody = body.replaceAll({mark}, picture({file}));",
    ),
    Language(
        "PHP",
        "call.php",
        "php",
        php,
        header="\n    {line},",
        picture="\n$body = str_replace({mark}, picture({file}), $body);",
    ),
)
