"""Invitations: how customers register while REGISTRATION is `invited`. The only writer of Invitation.

An operator invites an address. The link is mailed there, so registering with it proves access to the mailbox.
A link can be used for one account.
"""

from datetime import datetime, timedelta

from django.core import signing

from accounts.errors import RuleError
from accounts.models import Invitation, User
from accounts.users import addresses

VALID = timedelta(days=7)
UNUSED_KEPT = timedelta(days=30)  # after the link has expired
_SALT = "accounts.invitations"


def invite(address: str, *, by: User, at: datetime) -> Invitation:
    """Invite an address. Raises RuleError `address_unmailable`, or `address_owned` if it has an account."""
    if not addresses.is_mailable(address):
        raise RuleError("address_unmailable")
    if addresses.owner_of(address):
        raise RuleError("address_owned")
    return Invitation.objects.create(email=address, by=by, created_at=at, expires_at=at + VALID)


def token(invitation: Invitation) -> str:
    """Return the token of an invitation link."""
    return signing.dumps(invitation.pk, salt=_SALT)


def find(token_: str, at: datetime) -> Invitation | None:
    """Return the invitation of a token, or None if it is invalid, used or expired."""
    try:
        pk = signing.loads(token_, salt=_SALT)
    except signing.BadSignature:
        return None
    return Invitation.objects.filter(pk=pk, used_at=None, expires_at__gt=at).first()


def accept(invitation: Invitation, user: User, at: datetime) -> None:
    """Use the invitation for a new account, in the caller's transaction, and verify its address.

    Raises RuleError `invitation_used` if it was used in the meantime, `address_owned` as in addresses.py.
    """
    is_free = Invitation.objects.filter(pk=invitation.pk, used_at=None, expires_at__gt=at)
    if not is_free.update(used_at=at, user=user):
        raise RuleError("invitation_used")
    addresses.mark_verified(user, invitation.email, at)


def forget_address(user: User) -> None:
    """Erase the address of the invitation with which the account was registered."""
    Invitation.objects.filter(user=user).update(email="")


def delete_expired(at: datetime) -> int:
    """Delete unused invitations that expired UNUSED_KEPT ago; return their number."""
    deleted, _by_model = Invitation.objects.filter(used_at=None, expires_at__lte=at - UNUSED_KEPT).delete()
    return deleted
