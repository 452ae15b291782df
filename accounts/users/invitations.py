"""Invitations: how a customer registers while REGISTRATION is `invited`. The only writer of Invitation.

An operator invites an address; the link is mailed there, so whoever registers with it has proved that they
read that mailbox. A link is good for one account.
"""

from datetime import datetime, timedelta

from django.core import signing

from accounts.errors import RuleError
from accounts.models import Invitation, User
from accounts.users import addresses

VALID = timedelta(days=7)
_SALT = "accounts.invitations"


def invite(address: str, *, by: User, at: datetime) -> Invitation:
    """Invite an address. RuleError `address_unmailable`, or `address_owned` if it has an account already."""
    if not addresses.is_mailable(address):
        raise RuleError("address_unmailable")
    if addresses.owner_of(address):
        raise RuleError("address_owned")
    return Invitation.objects.create(email=address, by=by, created_at=at, expires_at=at + VALID)


def token(invitation: Invitation) -> str:
    """Return what the mailed link carries."""
    return signing.dumps(invitation.pk, salt=_SALT)


def find(token_: str, at: datetime) -> Invitation | None:
    """Return the invitation of a link, if it is still good."""
    try:
        pk = signing.loads(token_, salt=_SALT)
    except signing.BadSignature:
        return None
    return Invitation.objects.filter(pk=pk, used_at=None, expires_at__gt=at).first()


def accept(invitation: Invitation, user: User, at: datetime) -> None:
    """Use the invitation up for this new account, in the caller's transaction, and verify its address.

    RuleError `invitation_used` if another registration was faster, `address_owned` as in addresses.py.
    """
    is_free = Invitation.objects.filter(pk=invitation.pk, used_at=None, expires_at__gt=at)
    if not is_free.update(used_at=at, user=user):
        raise RuleError("invitation_used")
    addresses.mark_verified(user, invitation.email, at)
