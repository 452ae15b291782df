"""Ending the sessions of an account. The only writer of `User.session_version`.

Sessions are rows that cannot be looked up by account, and a login may be under way. So each session holds the
version that its account had at the login (`User.get_session_auth_hash`); Django deletes it if they differ.
"""

from django.db.models import F

from accounts.models import User


def end_all(user: User) -> None:
    """End every session of the account, also if it is opened again later."""
    User.objects.filter(pk=user.pk).update(session_version=F("session_version") + 1)
    user.refresh_from_db(fields=["session_version"])
