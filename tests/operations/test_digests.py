"""Reports by mail: once for each period, to permitted users, with figures, charts and files."""

from datetime import date, datetime, timedelta
from email.message import Message
from io import BytesIO
from typing import Any

import pytest
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.test import Client
from django.utils import timezone
from PIL import Image

from accounts import digests, roles
from accounts.models import DigestKind, DigestPeriod, DigestSubscription, User
from bench.ports import free_port
from console.mail import account_digest
from console.reports.pictures import HEIGHT_PX, SCALE, WIDTH_PX, Bars, abbreviated, png, round_up
from operations import digest
from tests.operations.conftest import Login, World

pytestmark = pytest.mark.django_db
MONDAY = datetime.fromisoformat("2026-08-03T08:00:00+08:00")


@pytest.mark.parametrize(
    ("period", "today", "first", "end"),
    [
        ("daily", date(2026, 8, 3), date(2026, 8, 2), date(2026, 8, 3)),
        ("weekly", date(2026, 8, 3), date(2026, 7, 27), date(2026, 8, 3)),
        ("weekly", date(2026, 8, 9), date(2026, 7, 27), date(2026, 8, 3)),
        ("monthly", date(2026, 8, 3), date(2026, 7, 1), date(2026, 8, 1)),
        ("monthly", date(2026, 1, 1), date(2025, 12, 1), date(2026, 1, 1)),
    ],
)
def test_a_report_covers_the_last_complete_period(period: str, today: date, first: date, end: date) -> None:
    assert digests.last_period(period, today) == (first, end)


def outbox() -> list[EmailMultiAlternatives]:
    return [one for one in mail.outbox if isinstance(one, EmailMultiAlternatives)]


def parts(sent: Any) -> dict[str, bytes]:
    """Return the attachments of a mail by their file names."""
    message: Message = sent.message()
    found = {}
    for part in message.walk():
        if name := part.get_filename():
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found[name] = content
    return found


@pytest.fixture
def subscribed(world: World, operators: dict[str, User], now: datetime) -> User:
    """Subscribe the finance operator, whose address is verified, to every period of all figures."""
    finance = operators["finance"]
    User.objects.filter(pk=finance.pk).update(email_verified_at=now)
    finance.refresh_from_db()
    digests.choose(finance, DigestKind.SERVICE, DigestPeriod.values, now - timedelta(days=70))
    return finance


def morning(now: datetime, hour: int = 8) -> datetime:
    return timezone.localtime(now).replace(hour=hour, minute=0)


def test_each_report_goes_out_once(subscribed: User, now: datetime) -> None:
    assert digest.send_due(morning(now, 6)) == 0  # too early to be read
    sent = digest.send_due(morning(now))
    assert sent >= 1
    assert len(mail.outbox) == sent
    assert digest.send_due(morning(now, 9)) == 0
    (daily,) = [one for one in outbox() if "每日报告" in one.subject]
    assert daily.to == [subscribed.email]
    yesterday = timezone.localdate(now) - timedelta(days=1)
    assert f"{yesterday:%Y-%m-%d}" in daily.subject
    assert "调用次数" in daily.body
    assert "/ops/#digests" in daily.body
    attached = parts(daily)
    assert {"usage-by-time.csv", "top-customers.csv", "business-by-day.csv"} <= set(attached)
    assert attached["usage-by-time.csv"].startswith("\ufeff".encode())
    html = str(daily.alternatives[0][0])
    for name in attached:
        if name.endswith(".png"):
            assert f"cid:{name.removesuffix('.png')}" in html
            assert Image.open(BytesIO(attached[name])).size == (WIDTH_PX * SCALE, HEIGHT_PX * SCALE)
    assert any(name.endswith(".png") for name in attached) == ("chart-1" in html)


def test_a_report_that_is_long_overdue_is_not_sent(subscribed: User, now: datetime) -> None:
    monday = MONDAY
    kind = DigestKind.SERVICE
    DigestSubscription.objects.update(sent_until=date(2020, 1, 1))
    assert len(digests.due(kind, "weekly", monday, 10)) == 1
    assert len(digests.due(kind, "weekly", monday + timedelta(days=2), 10)) == 1
    assert digests.due(kind, "weekly", monday + timedelta(days=3), 10) == []
    assert len(digests.due(kind, "monthly", monday, 10)) == 1
    assert digests.due(kind, "monthly", monday + timedelta(days=7), 10) == []


def test_a_user_without_the_permission_gets_no_report(
    subscribed: User, operators: dict[str, User], now: datetime
) -> None:
    roles.assign(subscribed, [])
    assert digest.send_due(morning(now)) == 0
    roles.assign(subscribed, ["finance"])
    User.objects.filter(pk=subscribed.pk).update(email_verified_at=None)
    digests.choose(subscribed, DigestKind.SERVICE, [], now)
    digests.choose(subscribed, DigestKind.SERVICE, ["daily"], now - timedelta(days=3))
    assert digest.send_due(morning(now)) == 0
    assert mail.outbox == []


def test_a_customer_gets_only_the_figures_of_that_account(world: World, now: datetime) -> None:
    alice = world.app.customer
    digests.choose(alice, DigestKind.ACCOUNT, ["daily"], now - timedelta(days=3))
    User.objects.filter(pk=alice.pk).update(language="en")
    assert account_digest.send_due(morning(now)) == 1
    (sent,) = outbox()
    assert sent.subject.startswith("Daily report")
    files = parts(sent)
    assert "usage-by-app.csv" in files
    others = [app.app_id for app in world.apps if app.customer_id != alice.pk]
    text = sent.body + str(sent.alternatives[0][0]) + files["usage-by-app.csv"].decode()
    assert not [app_id for app_id in others if app_id in text]
    assert "bob" not in text
    assert digest.send_due(morning(now)) == 0


def test_an_unreachable_mail_server_loses_no_report(subscribed: User, now: datetime, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", free_port()  # where nothing listens
    assert digest.send_due(morning(now)) == 0
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert digest.send_due(morning(now, 9)) >= 1


def test_reports_are_subscribed_on_the_pages(
    as_alice: Client, alice: User, log_in: Login, operators: Any
) -> None:
    assert 'name="period"' in as_alice.get("/console/inbox/").content.decode()
    as_alice.post("/console/inbox/digests/", {"period": ["daily", "monthly", "hourly"]})
    assert digests.chosen(alice, DigestKind.ACCOUNT) == ["daily", "monthly"]
    as_alice.post("/console/inbox/digests/", {"period": ["monthly"]})
    assert digests.chosen(alice, DigestKind.ACCOUNT) == ["monthly"]
    assert as_alice.post("/ops/digests/", {"period": ["daily"]}).status_code == 403
    viewer = log_in("viewer")
    viewer.post("/ops/digests/", {"period": ["weekly"]})
    assert digests.chosen(operators["viewer"], DigestKind.SERVICE) == ["weekly"]
    assert 'value="weekly" checked' in viewer.get("/ops/").content.decode()


def test_a_chart_image_shows_its_bars() -> None:
    drawn = Image.open(BytesIO(png(Bars("x", ["01-01", "01-02"], [[5, 0], [1, 0]])))).convert("RGB")
    colours = {colour for _count, colour in drawn.getcolors(1 << 20) or []}
    assert len(colours) > 3
    left = drawn.crop((0, 0, drawn.width // 2, drawn.height)).getcolors(1 << 20) or []
    right = drawn.crop((drawn.width // 2 + 60, 0, drawn.width, drawn.height - 60)).getcolors(1 << 20) or []
    assert len(left) > len(right)
    png(Bars("empty", [], [[]]))
    assert [round_up(value) for value in (0, 3, 7, 10, 11, 2080)] == [1, 3, 8, 10, 15, 2500]
    assert [abbreviated(value) for value in (5, 1500, 2_000_000)] == ["5", "1.5k", "2M"]
