"""Every document states the false-match rates of the calibration set."""

import re
from collections.abc import Iterator

import pytest
from django.conf import settings

from inference.calibration import scoring
from tests.conftest import REPOSITORY

# Digits in groups of three ("100 000"), and the sentences that contain them.
NUMBER = r"\d{1,3}(?: \d{3})*"
NUMBERS = rf"({NUMBER}(?: / {NUMBER})+)"
LISTS = {  # `60 / 70 / 80 … 1 000 / 10 000 / 100 000`
    "README.md": rf"置信值有含义\*\*：{NUMBERS} 表示.*?每 {NUMBERS} 对约有 1 对",
    "README.en.md": rf"a confidence of {NUMBERS} is reached by about one pair in {NUMBERS}",
}
PAIRS = {  # `one in 1 000 reaches 60`
    "docs/api.md": rf"每 (?P<one_in>{NUMBER}) 对(?:约有)? ?1 对达到 (?P<at>\d+)",
    "docs/api.en.md": rf"one in (?P<one_in>{NUMBER}) reaches (?P<at>\d+)",
}
ENUMERATION = r"(\d+), (\d+) and (\d+) accept one in ([\d ]+), ([\d ]+) and ([\d ]+)\."  # .env.example
PERCENTS = {  # `60 should be 0.1 %`
    "docs/model-card.md": r"(?P<at>\d+) (?:应)?为 (?P<percent>[\d.]+) %",
    "docs/model-card.en.md": r"(?P<at>\d+) (?:should be )?(?P<percent>0\.[\d]+) %(?=[,.])",
}
LAST = {  # above it no rate is stated
    "docs/api.md": (r"高于 (\d+) 时数据不足", r"门限加 10，至 (\d+) 为止"),
    "docs/api.en.md": (r"Above (\d+) the data", r"ten points higher, up to (\d+)"),
}
DEFAULT = {
    "docs/api.md": r'默认从 (\d+) 起为 `"true"`',
    "docs/api.en.md": r'By default `"true"` starts at (\d+)',
}


def text(path: str) -> str:
    """Return a document, its lines joined."""
    return " ".join((REPOSITORY / path).read_text().split())


def number(digits: str) -> int:
    return int(digits.replace(" ", ""))


def stated(path: str) -> Iterator[tuple[int, float]]:
    """Yield (confidence, rate) for every number that the document states."""
    if path in LISTS:
        found = re.search(LISTS[path], text(path))
        assert found, path
        confidences, rates = ([number(part) for part in group.split(" / ")] for group in found.groups())
        yield from ((at, 1 / one_in) for at, one_in in zip(confidences, rates, strict=True))
    if path in PAIRS:
        for found in re.finditer(PAIRS[path], text(path)):
            yield int(found["at"]), 1 / number(found["one_in"])
    if path == ".env.example":
        found = re.search(ENUMERATION, text(path).replace("# ", ""))
        assert found, path
        yield from ((int(found[place]), 1 / number(found[place + 3])) for place in (1, 2, 3))
    if path in PERCENTS:
        for found in re.finditer(PERCENTS[path], text(path)):
            yield int(found["at"]), float(found["percent"]) / 100


@pytest.mark.parametrize("path", [*LISTS, *PAIRS, *PERCENTS, ".env.example"])
def test_a_document_states_the_rates_of_the_calibration_set(path: str) -> None:
    rates = dict(stated(path))
    assert set(rates) == {60, 70, 80}
    for confidence, rate in rates.items():
        assert rate == pytest.approx(scoring.false_accept_rate(confidence), rel=1e-6), confidence


@pytest.mark.parametrize("path", LAST)
def test_a_document_states_no_rate_beyond_the_data(path: str) -> None:
    for pattern in LAST[path]:
        found = re.search(pattern, text(path))
        assert found, pattern
        assert float(found[1]) == scoring.measured_to()


@pytest.mark.parametrize("path", DEFAULT)
def test_a_document_states_the_default_threshold(path: str) -> None:
    found = re.search(DEFAULT[path], text(path))
    assert found
    assert float(found[1]) == settings.COMPARE_SAME_FROM
