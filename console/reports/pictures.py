"""Small charts as PNG for mails, which cannot run scripts. They contain only digits and dates as text."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageDraw, ImageFont

WIDTH_PX, HEIGHT_PX = 560, 170
SCALE = 2  # drawn larger for high-resolution screens; the mail shows it at WIDTH_PX
LEFT_PX, BOTTOM_PX, TOP_PX = 56, 22, 10
INK, GRID, SURFACE = "#5b6472", "#e3e7ee", "#ffffff"
STEPS = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)  # a scale ends at one of these times a power of ten
COLOURS = ("#2f6fed", "#d1453b", "#2a9d6f")


@dataclass(frozen=True)
class Bars:
    """Stacked vertical bars: one value of each series for each label. `title` is for the mail."""

    title: str
    labels: Sequence[str]
    series: Sequence[Sequence[float]]
    unit: str = ""

    @property
    def totals(self) -> list[float]:
        return [sum(values) for values in zip(*self.series, strict=True)]


def png(bars: Bars) -> bytes:
    """Draw the bars with three grid lines, and the first, middle and last label."""
    image = Image.new("RGB", (WIDTH_PX * SCALE, HEIGHT_PX * SCALE), SURFACE)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(11 * SCALE)
    top = round_up(max([*bars.totals, 0]))
    left, right = LEFT_PX * SCALE, (WIDTH_PX - 8) * SCALE
    floor, ceiling = (HEIGHT_PX - BOTTOM_PX) * SCALE, TOP_PX * SCALE

    def height(value: float) -> float:
        return floor - (floor - ceiling) * value / top

    for share in (0, 0.5, 1):
        y = height(top * share)
        draw.line([(left, y), (right, y)], fill=GRID, width=SCALE)
        draw.text((left - 6 * SCALE, y), abbreviated(top * share), fill=INK, font=font, anchor="rm")
    step = (right - left) / max(1, len(bars.labels))
    width = min(step * 0.7, 26 * SCALE)
    for index in range(len(bars.labels)):
        x, stacked = left + step * index + (step - width) / 2, 0.0
        for number, values in enumerate(bars.series):
            value = max(0.0, float(values[index]))
            box = [(x, height(stacked + value)), (x + width, height(stacked))]
            if value:
                draw.rectangle(box, fill=COLOURS[number % len(COLOURS)])
            stacked += value
    last = len(bars.labels) - 1
    for index in sorted({0, last // 2, last}) if bars.labels else ():
        x = left + step * (index + 0.5)
        anchor, x = ("ra", right) if index == last and last else ("ma", x)  # the last one must stay inside
        draw.text((x, floor + 5 * SCALE), bars.labels[index], fill=INK, font=font, anchor=anchor)
    file = BytesIO()
    image.quantize(64).save(file, "PNG", optimize=True)
    return file.getvalue()


def round_up(largest: float) -> float:
    """Return the next larger round number for the top of a scale; 1 without values."""
    if largest <= 0:
        return 1.0
    power = 1.0
    while power * 10 < largest:
        power *= 10
    while power > largest:
        power /= 10
    return next(power * step for step in STEPS if power * step >= largest)


def abbreviated(value: float) -> str:
    """Format a number for a scale: 12000 → "12k"."""
    for limit, sign in ((1_000_000, "M"), (1_000, "k")):
        if abs(value) >= limit:
            return f"{value / limit:g}{sign}"
    return f"{value:g}"
