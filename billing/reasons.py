"""Why an operator did something: what moves money or changes the catalogue has a reason."""

from accounts.models.operators import REASON_LENGTH
from billing.errors import ReasonMissing


def reason_of(text: str) -> str:
    """Return the reason, trimmed and cut to the length of its column. Raises ReasonMissing."""
    if not (reason := text.strip()[:REASON_LENGTH]):
        raise ReasonMissing()
    return reason
