"""Write the tables of the calibration set into docs/model-card*.md: `bin/bench card`."""

from __future__ import annotations

from console.documentation import model_card


def main() -> int:
    """Write the model card in both languages."""
    for language, name in model_card.FILES.items():
        (model_card.DOCS / name).write_text(model_card.text(language))
        print(model_card.DOCS / name)
    return 0
