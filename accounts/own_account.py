"""The rule that operators cannot act on their own customer accounts; each of their actions checks it."""

from accounts.errors import RuleError
from accounts.models import User


def refuse(customer: User | None, by: User) -> None:
    """Raise RuleError `own_account` if the operator is the customer."""
    if customer is not None and customer.pk == by.pk:
        raise RuleError("own_account")
