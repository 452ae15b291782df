"""The model card: docs/model-card*.md, with tables from the calibration set in use."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from inference.calibration import tables
from inference.models import registry

DOCS = Path(__file__).resolve().parents[2] / "docs"
FILES = {"zh": "model-card.md", "en": "model-card.en.md"}
MARKED = re.compile(r"<!-- table: (\w+) -->\n.*?<!-- end -->", re.DOTALL)
# A line break inside a Chinese sentence, which HTML would show as a space.
BROKEN = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n(?=[\u3000-\u9fff\uff00-\uffef])")
LINK = re.compile(r'<a href="(?!https?:|#|/)[^"]*">(.*?)</a>')

# Columns and rows, (zh, en).
WORDS = {
    "group": ("人群", "Group"),
    "what": ("图片", "Pictures"),
    "at": ("达到 {}", "Reach {}"),
    "faces": ("人脸", "Faces"),
    "pairs": ("对", "Pairs"),
    "mae": ("年龄平均误差（岁）", "Mean age error (years)"),
    "bias": ("年龄偏差（岁）", "Age bias (years)"),
    "gender": ("性别正确", "Gender correct"),
    "model": ("模型", "Model"),
    "role": ("用途", "Role"),
    "licence": ("许可", "Licence"),
    "confidence": ("置信值", "Confidence"),
    "rate": ("误识率", "False-accept rate"),
    "above": ("高于 {:g}", "Above {:g}"),
    "unknown": ("低于 {}；数据不足以给出数值", "below {}; the data are too few for a figure"),
}
NAMES = {
    "adults": ("成年人", "Adults"),
    "same": ("同一个人", "Of one person"),
    "different": ("任意两个不同的人", "Of any two people"),
    "F": ("女性", "Women"),
    "M": ("男性", "Men"),
    "asian": ("东亚", "East Asian"),
    "black": ("黑人", "Black"),
    "indian": ("南亚", "South Asian"),
    "white": ("白人", "White"),
    "other": ("其他", "Other"),
}
ROLES = {
    "yunet": ("人脸检测", "detection"),
    "centerface": ("复核不确定的检测", "second opinion on doubtful detections"),
    "sface": ("人脸比对；年龄的特征", "comparison; features for age"),
    "dlib_resnet": ("人脸比对；年龄与性别的特征", "comparison; features for age and gender"),
    "age": ("年龄", "age"),
    "gender": ("性别", "gender"),
}


def text(language: str) -> str:
    """Return the card as Markdown, with the tables of the calibration set in use."""
    written = (DOCS / FILES[language]).read_text()
    return MARKED.sub(
        lambda found: f"<!-- table: {found[1]} -->\n{table(found[1], language)}<!-- end -->", written
    )


def html(language: str) -> str:
    """Return the card as HTML, without its title and its links to other files of the repository."""
    written = re.sub(r"<!--.*?-->\n", "", text(language))
    written = BROKEN.sub("", written.partition("\n## ")[2])
    body = MarkdownIt("commonmark").enable("table").render(f"## {written}")
    body = LINK.sub(r"\1", body)
    body = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", body)
    return body.replace("<table>", '<div class="table-wrap"><table class="table">').replace(
        "</table>", "</table></div>"
    )


def table(name: str, language: str) -> str:
    """Return one table of the card as Markdown."""
    column = 1 if language == "en" else 0
    makers: dict[str, Callable[[int], list[list[str]]]] = {
        "meaning": _meaning,
        "strangers": _strangers,
        "verification": _verification,
        "attributes": _attributes,
        "models": _models,
    }
    rows = makers[name](column)
    rows.insert(1, ["---"] * len(rows[0]))
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _word(key: str, language: int, *values: Any) -> str:
    return WORDS[key][language].format(*values)


def _name(name: str, language: int) -> str:
    if name in NAMES:
        return NAMES[name][language]
    return name if not name[:1].isdigit() else (f"{name} 岁" if language == 0 else name)


def _meaning(language: int) -> list[list[str]]:
    points = tables.load("confidence")["points"]
    rows = [[_word("confidence", language), _word("rate", language)]]
    measured = [(confidence, rate) for _, confidence, rate in points if rate is not None]
    rows += [[f"{confidence:g}", _plain(rate)] for confidence, rate in measured if confidence >= 50]
    last, rate = measured[-1]
    return [*rows, [_word("above", language, last), _word("unknown", language, _plain(rate))]]


def _strangers(language: int) -> list[list[str]]:
    at = [_word("at", language, confidence) for confidence in (60, 70, 80)]
    rows = [[_word("group", language), *at, _word("faces", language), _word("pairs", language)]]
    for row in tables.load("card").get("strangers", []):
        rates = [f"{_percent(rate)} % ({_percent(low)}–{_percent(high)})" for rate, low, high in row["rates"]]
        rows.append([_name(row["name"], language), *rates, f"{row['faces']:,}", f"{row['pairs']:,}"])
    return rows


def _verification(language: int) -> list[list[str]]:
    at = [_word("at", language, confidence) for confidence in (60, 70, 80)]
    rows = [[_word("what", language), *at, _word("pairs", language)]]
    for row in tables.load("card").get("verification", []):
        rates = [f"{_plain(rate * 100)} %" for rate in row["rates"]]
        rows.append([NAMES[row["name"]][language], *rates, f"{row['pairs']:,}"])
    return rows


def _attributes(language: int) -> list[list[str]]:
    rows = [[_word(key, language) for key in ("group", "mae", "bias", "gender", "faces")]]
    for row in tables.load("card").get("attributes", []):
        rows.append(
            [
                _name(row["name"], language),
                f"{row['age_mae']:.1f}",
                f"{row['age_bias']:+.1f}",
                f"{row['gender_right'] * 100:.1f} %",
                f"{row['faces']:,}",
            ]
        )
    return rows


def _models(language: int) -> list[list[str]]:
    rows = [[_word(key, language) for key in ("model", "role", "licence")]]
    rows += [
        [file.name, ROLES[file.name][language], file.licence] for file in registry.FILES if file.name in ROLES
    ]
    return rows


def _plain(number: float) -> str:
    """Format with three significant digits, without an exponent."""
    return f"{float(f'{number:.3g}'):.7f}".rstrip("0").rstrip(".")


def _percent(rate: float) -> str:
    return f"{rate * 100:.2f}"
