"""How figures are formatted."""

import pytest

from console.templatetags.show import percent


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
