"""The inbox."""

from accounts.models import User
from billing.models import Notice


def unread_count(customer: User) -> int:
    """How many notices the customer has not opened."""
    return Notice.objects.filter(customer=customer, read_at=None).count()
