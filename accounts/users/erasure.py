"""Erasure of the personal data of a closed account.

The row stays, under a neutral name, because Apps, orders, payments, calls and audit entries refer to it.
"""

from datetime import datetime

from django.contrib.auth.hashers import make_password
from django.db import transaction

from accounts import digests, keys
from accounts.errors import RuleError
from accounts.models import User
from accounts.users import invitations, sessions


def is_erasable(user: User) -> bool:
    """Return whether the account is closed, has no role, and was not erased before."""
    return not (user.is_active or user.is_staff or user.is_superuser or user.erased_at)


def neutral_name(user: User) -> str:
    """Return the name of the account after its erasure; no registered name has a colon (usernames.py)."""
    return f"erased:{user.pk}"


@transaction.atomic
def erase(user: User, at: datetime) -> int:
    """Erase the personal data of an account; return the number of keys that were disabled.

    Its address and user name can be registered again. It cannot be opened again. Its galleries belong to
    another room: the caller deletes them. Raises RuleError `not_erasable`.
    """
    stored = User.objects.select_for_update().get(pk=user.pk)
    if not is_erasable(stored):
        raise RuleError("not_erasable")
    User.objects.filter(pk=user.pk).update(
        username=neutral_name(user),
        name_skeleton=None,
        password=make_password(None),
        email="",
        email_verified_at=None,
        new_email="",
        company="",
        phone="",
        first_name="",
        last_name="",
        erased_at=at,
    )
    invitations.forget_address(user)
    digests.cancel(user)
    sessions.end_all(user)
    user.refresh_from_db()
    return keys.disable_all(user, at)
