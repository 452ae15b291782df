"""E-mail addresses: which ones are valid, and which account owns one.

Any address may be entered at registration. An account owns an address once its user, while logged in, has
opened the link that was mailed there (`confirm`). Only verified addresses are unique, can be used to log in,
and receive notices. So registering with another person's address neither blocks that person nor reveals
whether the address has an account: the page is the same, and the owner is notified by mail.
"""

from datetime import datetime, timedelta

from django.core import signing
from django.core.mail.message import sanitize_address
from django.db import IntegrityError, transaction
from django.db.models import F

from accounts.errors import RuleError
from accounts.models import User

LINK_VALID = timedelta(days=3)
_SALT = "accounts.addresses"
LONGEST = 254  # RFC 5321
ACCOUNTS_IN_MAIL = 50  # the most accounts that one reset mail lists


def is_mailable(address: str) -> bool:
    """Return whether mail can be sent to the address: ASCII before the @, IDNA after it."""
    try:
        encoded = sanitize_address(address, "utf-8")
    except (ValueError, UnicodeError):
        return False
    local, _at, domain = address.rpartition("@")
    labels = encoded.rpartition("@")[2].split(".")
    fits = len(encoded) <= LONGEST and len(local) <= 64 and all(0 < len(label) <= 63 for label in labels)
    return fits and local.isascii() and encoded.isascii() and bool(domain)


def owner_of(address: str) -> User | None:
    """Return the account that has verified the address, or None."""
    return User.objects.filter(email__iexact=address, email_verified_at__isnull=False).first()


def accounts_of(address: str) -> list[User]:
    """Return the open accounts whose password a reset mail for this address may reset.

    That is the owner of the address. If no account has verified it, these are all that entered it, the latest
    login first and at most ACCOUNTS_IN_MAIL: only the reader of the mailbox knows which account is genuine.
    """
    if owner := owner_of(address):
        return [owner] if owner.is_active else []
    named = User.objects.filter(email__iexact=address, is_active=True)
    return list(named.order_by(F("last_login").desc(nulls_last=True), "-pk")[:ACCOUNTS_IN_MAIL])


def to_confirm(user: User) -> str:
    """Return the address that the user has entered but not verified, or an empty string."""
    return user.new_email or ("" if user.email_verified_at else user.email)


@transaction.atomic
def change(user: User, address: str) -> None:
    """Set a new address. A verified address stays in use until the new one is verified.

    The row is read again under a lock: if `user` was read before its address was verified, the new address
    would count as verified.
    """
    stored = User.objects.select_for_update(no_key=True).get(pk=user.pk)
    if stored.email_verified_at is None:
        stored.email = address
    else:
        stored.new_email = "" if address == stored.email else address
    stored.save(update_fields=["email", "new_email"])
    user.refresh_from_db(fields=["email", "new_email", "email_verified_at"])


def token(user: User, address: str) -> str:
    """Return the token of a confirmation link: the signed account id and address."""
    return signing.dumps([user.pk, address], salt=_SALT)


def address_in(token_: str, user: User) -> str:
    """Return the address in a token. Raises RuleError `link_invalid` unless it is recent and the user's."""
    try:
        pk, address = signing.loads(token_, salt=_SALT, max_age=LINK_VALID)
    except (signing.BadSignature, ValueError) as error:
        raise RuleError("link_invalid") from error
    if pk != user.pk or address not in (to_confirm(user), user.email):
        raise RuleError("link_invalid")
    return str(address)


def confirm(user: User, token_: str, at: datetime) -> str:
    """Verify the address of a link; return the verified address that it replaces, or an empty string.

    Raises RuleError `link_invalid`, or `address_owned` if another account has verified the address meanwhile.
    """
    return mark_verified(user, address_in(token_, user), at)


def mark_verified(user: User, address: str, at: datetime) -> str:
    """Verify an address like `confirm`, after another proof that the user reads the mailbox.

    Such proofs are a reset link and an invitation. Raises RuleError `address_owned`.
    """
    before = user.email if user.email_verified_at and user.email != address else ""
    if user.email_verified_at and user.email == address:
        return ""
    try:
        with transaction.atomic():
            User.objects.filter(pk=user.pk).update(email=address, new_email="", email_verified_at=at)
    except IntegrityError as error:
        raise RuleError("address_owned") from error
    user.refresh_from_db(fields=["email", "new_email", "email_verified_at"])
    return before
