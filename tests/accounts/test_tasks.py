"""The scheduled tasks of this room: expired sessions and old login attempts are deleted."""

from datetime import timedelta

import pytest
from axes.models import AccessLog
from django.contrib.sessions.models import Session
from django.utils import timezone

from accounts import tasks

pytestmark = pytest.mark.django_db


def test_expired_sessions_are_deleted() -> None:
    now = timezone.now()
    for key, end in (("over", now - timedelta(seconds=1)), ("live", now + timedelta(hours=1))):
        Session.objects.create(session_key=key, session_data="", expire_date=end)
    tasks.forget_logins()
    assert list(Session.objects.values_list("session_key", flat=True)) == ["live"]


def test_old_login_attempts_are_deleted() -> None:
    for username, days in (("old", tasks.KEEP_LOGINS_DAYS + 1), ("young", tasks.KEEP_LOGINS_DAYS - 1)):
        login = AccessLog.objects.create(username=username)
        AccessLog.objects.filter(pk=login.pk).update(attempt_time=timezone.now() - timedelta(days=days))
    tasks.forget_logins()
    assert list(AccessLog.objects.values_list("username", flat=True)) == ["young"]
