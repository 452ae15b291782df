"""Every `detail` of an error has a Chinese translation; the sentences are read from the syntax tree."""

import ast
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import settings

from faceapi.errors import OVERLOADED, ApiError
from faceapi.errors.details import CHINESE, in_chinese
from faceapi.errors.replies import envelope
from faceapi.request import data_url
from faceapi.request.spool import Spool
from facecloud.web import early_errors

RAISED = {"ApiError", "ImageError", "NotBase64"}
ROOMS = [Path(settings.BASE_DIR) / room for room in ("faceapi", "facecloud", "inference")]
TREES = [ast.parse(path.read_text()) for room in ROOMS for path in room.rglob("*.py")]
FUNCTIONS = [node for tree in TREES for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


def called(node: ast.expr) -> str:
    """Return the last name of what is called or returned: ApiError for errors.ApiError."""
    return ast.unparse(node).rpartition(".")[2]


def makers() -> set[str]:
    """Return the names of the error classes, and of the functions that return an error or take its detail."""
    returning = {one.name for one in FUNCTIONS if one.returns and called(one.returns) in RAISED}
    taking = {one.name for one in FUNCTIONS if "detail" in {parameter.arg for parameter in one.args.args}}
    return RAISED | returning | taking - {"__init__"}


def texts_by_name() -> dict[str, list[ast.expr]]:
    """Return what each constant of a module is, and what each function that returns a text returns."""
    found = defaultdict(list)
    for tree in TREES:
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                found[node.targets[0].id].append(node.value)
    for function in FUNCTIONS:
        if function.returns and called(function.returns) == "str":
            returned = (one for one in ast.walk(function) if isinstance(one, ast.Return) and one.value)
            found[function.name] += [one.value for one in returned if one.value]
    return found


MAKERS = makers()
TEXTS = texts_by_name()


def sentences(node: ast.expr) -> Iterator[str]:
    """Yield the texts that an expression can have, with {} for each value."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from sentences(node.body)
        yield from sentences(node.orelse)
    elif isinstance(node, ast.Name | ast.Attribute):
        for value in TEXTS[called(node)]:
            if isinstance(value, ast.Constant | ast.JoinedStr):
                yield from sentences(value)
    elif isinstance(node, ast.Call):
        for value in TEXTS[called(node.func)]:
            yield from sentences(value)


def details_in_the_code() -> set[str]:
    """Return the details that are given without a Chinese text."""
    found = set()
    for tree in TREES:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and called(node.func) in MAKERS:
                texts = [text for argument in node.args for text in sentences(argument) if text]
                if texts and not any("\u4e00" <= letter <= "\u9fff" for text in texts for letter in text):
                    found |= {text for text in texts if text not in {"{}", "{}{}"}}
    return found


def test_every_detail_in_the_code_has_a_chinese_text() -> None:
    found = details_in_the_code()
    assert len(found) > 60  # otherwise the search has failed
    parts = {"{}x{} px is {}", "not UTF-8{}"}  # completed by a variable; see the next test
    assert {text for text in found if not in_chinese(text.replace("{}", "7"))} <= parts


def test_values_are_kept_in_the_translation() -> None:
    assert in_chinese("10485761 bytes, the limit is 10485760") == "共 10485761 字节，上限为 10485760 字节"
    assert in_chinese("20x20 px is outside 32x32 to 5000x5000").startswith("图片为 20x20 像素")
    assert in_chinese("not UTF-8 at byte 9 of 12") == "不是 UTF-8 编码，位置：第 9 字节，共 12 字节"
    assert in_chinese("Expecting value at byte 9 of 12") == "此处应为一个值，位置：第 9 字节，共 12 字节"
    assert in_chinese('"data" is a number, not a list of at least one entry').startswith("data 是数字")


@pytest.mark.parametrize("text", ["data:text/plain,x", "/9j/4AAQSkZJRg", "ftp://example.org/a.png"])
def test_a_fault_of_an_inline_image_has_a_chinese_text(text: str) -> None:
    with Spool() as spool:
        found = data_url.decode(text, spool)
    assert "data:application/octet-stream;base64," in in_chinese(found.detail)


@pytest.mark.parametrize("detail", ["the headers are too long", "Invalid HTTP Version: 'HTTP/9'"])
def test_a_request_that_is_not_parsed_gets_a_chinese_text(detail: str) -> None:
    body = json.loads(early_errors.refusal(detail, "id").partition(b"\r\n\r\n")[2])
    assert body["detail"] == detail
    assert any("\u4e00" <= letter <= "\u9fff" for letter in body["detail_zh"])


@pytest.mark.parametrize("english", CHINESE)
def test_every_placeholder_is_translated(english: str) -> None:
    numbers = [f"{{{number}}}" for number in range(english.count("{}"))]
    assert [number for number in numbers if number not in CHINESE[english]] == []


def test_a_reply_has_both_languages() -> None:
    body = envelope(ApiError(OVERLOADED, "no worker is ready"), "id")
    assert (body["detail"], body["detail_zh"]) == ("no worker is ready", "没有可用的推理 worker")
