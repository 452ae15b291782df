"""The scheduled tasks of this room: expired sessions and old login attempts are deleted."""

import os
import time
from datetime import timedelta
from pathlib import Path

import pytest
from axes.models import AccessFailureLog, AccessLog
from django.contrib.sessions.models import Session
from django.utils import timezone
from pytest_django import Settings

from accounts import tasks
from accounts.models import Invitation, User
from accounts.users import invitations
from common import mail_backends

pytestmark = pytest.mark.django_db


def test_expired_sessions_are_deleted() -> None:
    now = timezone.now()
    for key, end in (("over", now - timedelta(seconds=1)), ("live", now + timedelta(hours=1))):
        Session.objects.create(session_key=key, session_data="", expire_date=end)
    tasks.forget_logins()
    assert list(Session.objects.values_list("session_key", flat=True)) == ["live"]


def test_old_mails_in_files_are_deleted(tmp_path: Path, settings: Settings) -> None:
    """Also on a site that sends no further mail."""
    settings.EMAIL_FILE_PATH = str(tmp_path)
    old, young = tmp_path / "old.log", tmp_path / "young.log"
    for file, age_s in ((old, mail_backends.KEEP_S + 60), (young, mail_backends.KEEP_S - 60)):
        file.write_text("a link")
        os.utime(file, (time.time() - age_s,) * 2)
    tasks.forget_logins()
    assert list(tmp_path.iterdir()) == [young]


@pytest.mark.parametrize("table", [AccessLog, AccessFailureLog])
def test_old_login_attempts_are_deleted(table: type[AccessLog] | type[AccessFailureLog]) -> None:
    for username, days in (("old", tasks.KEEP_LOGINS_DAYS + 1), ("young", tasks.KEEP_LOGINS_DAYS - 1)):
        login = table.objects.create(username=username)
        table.objects.filter(pk=login.pk).update(attempt_time=timezone.now() - timedelta(days=days))
    tasks.forget_logins()
    assert list(table.objects.values_list("username", flat=True)) == ["young"]


def test_invitations_are_deleted_a_month_after_they_expired_unused() -> None:
    operator, now = User.objects.create_user("op", "op@example.org"), timezone.now()
    ended = now - invitations.UNUSED_KEPT
    for address, expires_at, used_at in (
        ("old@example.org", ended - timedelta(hours=1), None),
        ("young@example.org", ended + timedelta(hours=1), None),
        ("used@example.org", ended - timedelta(hours=1), ended - timedelta(days=1)),
    ):
        Invitation.objects.create(
            email=address, by=operator, created_at=ended, expires_at=expires_at, used_at=used_at
        )
    tasks.forget_invitations()
    assert set(Invitation.objects.values_list("email", flat=True)) == {
        "young@example.org",
        "used@example.org",
    }
