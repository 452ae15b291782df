"""The reason that an operator must give to move money or to change the catalogue."""

from accounts.models.operators import REASON_LENGTH
from billing.errors import ReasonMissing


def reason_of(text: str) -> str:
    """Return the reason, stripped and cut to the length of its column. Raises ReasonMissing if empty."""
    if not (reason := text.strip()[:REASON_LENGTH]):
        raise ReasonMissing()
    return reason
