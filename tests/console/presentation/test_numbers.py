"""How figures are formatted."""

import pytest
from django.utils import translation

from console.templatetags.show import percent, units


@pytest.mark.parametrize(
    ("share", "shown"),
    [
        (None, "–"),
        (0.0, "0.00%"),
        (0.00004, "<0.01%"),
        (0.00006, "0.01%"),
        (0.29, "29.00%"),  # 0.29 * 100 is slightly less than 29
        (0.9012, "90.12%"),
        (0.99994, "99.99%"),
        (0.99996, ">99.99%"),
        (1.0, "100.00%"),
    ],
)
def test_only_exact_values_are_shown_as_0_and_100_percent(share: float | None, shown: str) -> None:
    assert percent(share, 2) == shown


@pytest.mark.parametrize(
    ("number", "meter", "zh", "en"),
    [
        (1, "images", "1 张", "1 image"),
        (2, "calls", "2 次", "2 calls"),
        (1, "pairs", "1 对", "1 pair"),
        (1200, "images", "1,200 张", "1,200 images"),
    ],
)
def test_a_number_of_units_agrees_with_its_unit(number: int, meter: str, zh: str, en: str) -> None:
    for language, shown in (("zh-hans", zh), ("en", en)):
        with translation.override(language):
            assert units(number, meter) == shown
