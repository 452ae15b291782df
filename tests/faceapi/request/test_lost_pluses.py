"""base64 in which a form decoder replaced "+" by a space: the detail explains it."""

import base64
import random

import pytest

from faceapi.errors.details import in_chinese
from faceapi.request.base64_text import LOST_PLUS, Decoder, NotBase64

DATA = random.Random(7).randbytes(3000)
TEXT = base64.b64encode(DATA)


def decoded(text: bytes, *, step: int) -> bytes:
    """Decode the text in parts of `step` bytes."""
    decoder = Decoder()
    parts = [decoder.feed(text[at : at + step]) for at in range(0, len(text), step)]
    return b"".join([*parts, decoder.finish()])


@pytest.mark.parametrize("step", [7, 64, 1000, 10_000])
def test_the_detail_explains_the_lost_pluses(step: int) -> None:
    assert TEXT.count(b"+") > 10
    with pytest.raises(NotBase64, match="URL-decoding"):
        decoded(TEXT.replace(b"+", b" "), step=step)


@pytest.mark.parametrize("pluses", [1, 2, 3, 4, 5])
def test_a_few_lost_pluses_are_detected(pluses: int) -> None:
    """With four lost characters the length is still valid, but the spaces are detected."""
    text = TEXT.replace(b"+", b"A")  # so that the only spaces are those inserted below
    for number in range(pluses):
        at = 101 + 333 * number
        text = text[:at] + b" " + text[at + 1 :]
    with pytest.raises(NotBase64, match="URL-decoding"):
        decoded(text, step=500)


@pytest.mark.parametrize("width", [64, 76])
@pytest.mark.parametrize("end", [b"\n", b"\r\n", b" "])
@pytest.mark.parametrize("step", [50, 10_000])
def test_base64_in_lines_of_one_width_is_decoded(width: int, end: bytes, step: int) -> None:
    lines = [TEXT[at : at + width] for at in range(0, len(TEXT), width)]
    assert decoded(b" " + end.join(lines) + end, step=step) == DATA


def test_the_detail_has_a_chinese_text() -> None:
    assert "空格" in in_chinese(LOST_PLUS)
