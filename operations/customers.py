"""Find a customer by user name, e-mail address, or (part of) the company's name."""

from django.db.models import Q

from accounts.models import App, User
from accounts.users import addresses

SHOWN = 5


class Ambiguous(Exception):
    """The text matches several customers; the first SHOWN are attached."""

    def __init__(self, found: list[User]) -> None:
        super().__init__([user.username for user in found])
        self.found = found


def named(text: str) -> User | None:
    """Return the customer that the text names, or None. Raises Ambiguous."""
    text = text.strip()
    if not text:
        return None
    return (
        exactly(text)
        or _only(Q(email__iexact=text))
        or _only(Q(company__iexact=text))
        or _only(Q(company__icontains=text))
    )


def exactly(text: str) -> User | None:
    """Return the customer with that user name, or the owner of that address.

    Anybody can enter an address at registration, so an address that is not verified names nobody.
    """
    return User.objects.filter(username=text).first() or addresses.owner_of(text)


def app_or_customer(text: str) -> App | User | None:
    """Return the App with that id, otherwise the customer that the text names, or None. Raises Ambiguous."""
    return App.objects.filter(app_id=text.strip().lower()).first() or named(text)


def _only(fits: Q) -> User | None:
    found = list(User.objects.filter(fits).order_by("username")[:SHOWN])
    if len(found) > 1:
        raise Ambiguous(found)
    return found[0] if found else None
