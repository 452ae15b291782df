"""Notices: once each, in the inbox and by e-mail, according to the customer's settings."""

from datetime import timedelta
from decimal import Decimal
from smtplib import SMTPDataError, SMTPRecipientsRefused, SMTPServerDisconnected

import pytest
from django.core import mail
from django.core.mail.backends import smtp
from pytest_django import Settings

from accounts.models import User
from billing import notices, orders
from billing.errors import ChangeRefused
from billing.models import Notice
from billing.notices import due, mailing, texts
from billing.payments import refunds, vouchers, wallet
from tests.billing.conftest import NOON, Shop, shanghai

LATER = NOON + timedelta(hours=1)


def told(customer: User) -> list[str]:
    """Return the titles in the inbox, oldest first."""
    return [texts.text_of(notice).title for notice in reversed(notices.inbox(customer))]


def test_80_and_100_percent_are_notified_once_each(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, units=100, months=3)
    call(app, NOON, 79)
    assert due.scan(LATER) == 0
    call(app, LATER, 1)
    assert due.scan(LATER) == 1
    assert due.scan(LATER) == 0
    call(app, LATER, 20)
    assert due.scan(LATER) == 1
    assert due.scan(LATER) == 0
    assert told(alice) == [
        "应用“门禁”的人脸检测定位本月调用量已使用 80%",
        "应用“门禁”的人脸检测定位本月调用量已用完",
    ]
    assert "2027-04-10 00:00" in texts.text_of(notices.inbox(alice)[0]).body


def test_80_and_100_percent_at_once_are_one_notice(alice: User, shop: Shop, call) -> None:
    call(shop.buy(alice, units=100, months=3), NOON, 100)
    assert (due.scan(LATER), due.scan(LATER)) == (1, 0)
    assert told(alice) == ["应用“门禁”的人脸检测定位本月调用量已用完"]


def test_operators_money_actions_are_notified_once(
    alice: User, bob: User, olga: User, shop: Shop, mailoutbox
) -> None:
    wallet.top_up(alice, Decimal("1200"), by=olga, reason="transfer", at=NOON)
    vouchers.issue(
        customer=alice, face_value=Decimal("30"), valid_from=NOON, valid_until=shanghai(2027, 6, 10),
        by=olga, reason="welcome", at=NOON,
    )  # fmt: skip
    package = shop.buy(alice, price="8").packages.get()
    refunds.refund(package, by=olga, reason="mistake", at=LATER)
    notices.choose(bob, quota_percents=[80], quota_on=True, ending_on=True, unpaid_on=True, money_on=False)
    wallet.top_up(bob, Decimal("5"), by=olga, reason="transfer", at=NOON)
    assert (due.scan(LATER), due.scan(LATER + timedelta(hours=1))) == (3, 0)
    assert told(alice) == [
        "账户已充值 1,200.00 元",
        "收到代金券，面值 30.00 元",
        f"订单 {package.order.number} 已退款 {package.order.amount} 元",
    ]
    assert "2027-06-09" in texts.text_of(notices.inbox(alice)[1]).body
    assert mailing.mail(LATER) == 1
    for path in ("/console/wallet/", f"/console/orders/{package.order.number}/"):
        assert path in mailoutbox[0].body
    assert not notices.inbox(bob).exists()


def test_each_notice_links_to_the_page_to_act_on(alice: User, shop: Shop, call, mailoutbox) -> None:
    app = shop.buy(alice, units=10)
    call(app, NOON, 10)
    order = shop.order(alice)
    due.scan(NOON + timedelta(hours=25))
    used_up, unpaid = sorted(notices.inbox(alice), key=lambda notice: notice.kind)
    assert [link.path for link in texts.links(used_up)] == [
        f"/console/apps/{app.app_id}/report/?api=face_detect",
        f"/console/orders/new/?app={app.app_id}&api=face_detect",
    ]
    assert [link.path for link in texts.links(unpaid)] == [f"/console/orders/{order.number}/pay/"]
    mailing.mail(NOON + timedelta(hours=25))
    for notice in (used_up, unpaid):
        for link in texts.links(notice):
            assert link.path in mailoutbox[0].body


def test_a_notice_says_when_units_are_renewed(alice: User, shop: Shop, call) -> None:
    """Of two Packages with different days, the earlier one renews the units."""
    app = shop.buy(alice, units=10, months=3)
    shop.buy(alice, shanghai(2027, 3, 20), app=app, units=10, months=1)
    day = shanghai(2027, 4, 5)
    call(app, day, 20)
    due.scan(day)
    assert all("2027-04-10 00:00" in texts.text_of(notice).body for notice in notices.inbox(alice))


def test_a_notice_says_that_no_units_are_renewed(alice: User, shop: Shop, call) -> None:
    call(shop.buy(alice, units=10), NOON, 10)
    due.scan(LATER)
    assert all("最后一个计费周期" in texts.text_of(notice).body for notice in notices.inbox(alice))


def test_each_month_is_notified_again(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, units=100, months=3)
    call(app, NOON, 85)
    next_month = shanghai(2027, 4, 12)
    assert due.scan(NOON) == 1
    call(app, next_month, 85)
    assert due.scan(next_month) == 1


def test_the_share_is_of_all_live_packages(alice: User, shop: Shop, call) -> None:
    app = shop.buy(alice, units=100)
    shop.buy(alice, LATER, app=app, units=100)
    call(app, LATER, 100)
    assert due.scan(LATER) == 0
    call(app, LATER, 60)
    assert due.scan(LATER) == 1


def test_a_percentage_is_notified_again_after_units_have_ended(alice: User, shop: Shop, call) -> None:
    """The larger Package ends within the other's month, so that usage reaches the percentage again."""
    app = shop.buy(alice, units=900)
    shop.buy(alice, shanghai(2027, 3, 20), app=app, units=100)
    before, after = shanghai(2027, 3, 21), shanghai(2027, 4, 11)
    call(app, before, 850)
    assert (due.scan(before), due.scan(before)) == (1, 0)
    assert due.scan(after) == 0
    call(app, after, 80)
    assert (due.scan(after), due.scan(after)) == (1, 0)
    call(app, after, 20)
    assert due.scan(after) == 1
    assert [notice.percent for notice in reversed(notices.inbox(alice))] == [80, 80, 100]


def test_the_expiry_is_notified_7_days_and_1_day_before_the_last_end(alice: User, shop: Shop) -> None:
    app = shop.buy(alice)
    end = shanghai(2027, 4, 10)
    second = timedelta(seconds=1)
    found = [
        due.scan(end - timedelta(days=days) - early) for days in (7, 1) for early in (second, 0 * second)
    ]
    assert found == [0, 1, 0, 1]
    assert due.scan(end) == 0
    assert told(alice) == [f"应用“门禁”的人脸检测定位还有 {days} 天到期" for days in (7, 1)]
    # Bought again: the end moves and is notified again.
    shop.buy(alice, end - timedelta(hours=3), app=app)
    assert due.scan(end - timedelta(hours=2)) == 0
    assert due.scan(shanghai(2027, 5, 3)) == 1


def test_an_unpaid_order_is_notified_after_24_hours(alice: User, shop: Shop) -> None:
    order, paid = shop.order(alice), shop.order(alice)
    orders.pay(paid, NOON)
    day = timedelta(hours=24)
    assert due.scan(NOON + day - timedelta(seconds=1)) == 0
    assert due.scan(NOON + day) == 1
    assert due.scan(NOON + day + timedelta(hours=1)) == 0
    assert told(alice) == [f"订单 {order.number} 尚未支付"]
    assert "2027-03-12 12:00" in texts.text_of(notices.inbox(alice)[0]).body


def test_notices_follow_the_customers_settings(alice: User, bob: User, shop: Shop, call) -> None:
    notices.choose(alice, quota_percents=[50, 90, 50], quota_on=True, ending_on=False, unpaid_on=False)
    notices.choose(bob, quota_percents=[50], quota_on=False, ending_on=True, unpaid_on=True)
    for customer in (alice, bob):
        app = shop.buy(customer, units=10)
        call(app, NOON, 6)
        shop.order(customer)
    due.scan(NOON + timedelta(hours=25))
    due.scan(shanghai(2027, 4, 9, 12))
    assert [(n.kind, n.percent) for n in notices.inbox(alice)] == [("quota", 50)]
    assert sorted(n.kind for n in notices.inbox(bob)) == ["ending", "unpaid"]
    assert notices.settings_of(alice).quota_percents == [50, 90]


@pytest.mark.parametrize("wrong", [[0], [101], [10, 20, 30, 40, 50, 60]])
def test_invalid_percentages_are_rejected(alice: User, wrong: list[int]) -> None:
    with pytest.raises(ChangeRefused):
        notices.choose(alice, quota_percents=wrong, quota_on=True, ending_on=True, unpaid_on=True)


def test_a_notice_is_mailed_once_in_the_customers_language(
    alice: User, bob: User, shop: Shop, mailoutbox
) -> None:
    User.objects.filter(pk=bob.pk).update(language="en")
    for customer in (alice, bob):
        shop.order(customer)
    due.scan(NOON + timedelta(hours=24))
    assert mailing.mail(LATER) == 2
    assert mailing.mail(LATER) == 0
    to_alice, to_bob = sorted(mailoutbox, key=lambda message: message.to)
    assert (to_alice.to, to_bob.to) == (["alice@example.org"], ["bob@example.org"])
    assert to_alice.subject.endswith("尚未支付")
    assert "2027-03-12 12:00" in to_alice.body
    assert to_bob.subject.endswith("has not been paid")


def test_a_failed_mail_is_retried(alice: User, shop: Shop, monkeypatch, caplog) -> None:
    shop.order(alice)
    due.scan(NOON + timedelta(hours=24))

    def down(*_args: object) -> None:
        raise SMTPServerDisconnected

    with monkeypatch.context() as broken:
        broken.setattr(mailing, "send_mail", down)
        assert mailing.mail(LATER) == 0
    assert "could not be mailed" in caplog.text
    assert mailing.mail(LATER) == 1
    assert len(mail.outbox) == 1


class Refusing:
    """The mail server rejects Alice's mail with `code` and accepts Bob's."""

    def __init__(self, code: int, *, at_data: bool = False) -> None:
        self.error = (
            SMTPDataError(code, b"no")
            if at_data
            else SMTPRecipientsRefused({"alice@example.org": (code, b"no")})
        )
        self.sent: list[str] = []

    def __call__(self, _title: str, _body: str, _sender: str, to: list[str]) -> None:
        if to == ["alice@example.org"]:
            raise self.error
        self.sent += to


@pytest.mark.parametrize("at_data", [False, True])
@pytest.mark.parametrize(("code", "tried_again"), [(450, 1), (550, 0)])
def test_one_rejected_mail_does_not_delay_the_others(
    alice: User, bob: User, shop: Shop, monkeypatch, code: int, tried_again: int, at_data: bool
) -> None:
    for customer in (alice, bob):
        shop.order(customer)
    due.scan(NOON + timedelta(hours=24))
    server = Refusing(code, at_data=at_data)
    with monkeypatch.context() as refusing:
        refusing.setattr(mailing, "send_mail", server)
        assert mailing.mail(LATER) == 1
    assert server.sent == ["bob@example.org"]
    assert mailing.mail(LATER) == tried_again


@pytest.mark.parametrize("address", ["alice@" + "ä" * 60 + ".example", "a\nb@example.org"])
def test_an_unmailable_address_does_not_stop_the_others(
    alice: User, bob: User, shop: Shop, settings: Settings, address: str, mailoutbox
) -> None:
    """Through Django's own SMTP code, up to where it would open the connection."""
    for customer in (alice, bob):
        shop.order(customer)
    User.objects.filter(pk=alice.pk).update(email=address)
    due.scan(NOON + timedelta(hours=24))
    settings.EMAIL_BACKEND = "tests.billing.test_notices.Encoding"
    assert mailing.mail(LATER) == 1
    assert mailing.mail(LATER + timedelta(hours=2)) == 0
    assert [message.to for message in mailoutbox] == [["bob@example.org"]]


class Encoding(smtp.EmailBackend):
    """Writes the mail and its envelope as for SMTP, and delivers it to the outbox."""

    def open(self) -> bool:
        self.connection = self
        return False

    def close(self) -> None:
        pass

    def sendmail(self, _sender: str, recipients: list[str], _text: bytes) -> None:
        [address.encode("ascii") for address in recipients]

    def _send(self, message: mail.EmailMessage) -> bool:
        sent = bool(super()._send(message))
        if sent:
            mail.outbox.append(message)
        return sent


def test_all_notices_are_one_digest_and_at_most_one_an_hour(
    alice: User, bob: User, shop: Shop, mailoutbox
) -> None:
    for _i in range(5):
        shop.order(alice)
    shop.order(bob)
    day = NOON + timedelta(hours=24)
    due.scan(day)
    assert mailing.mail(day) == 2
    to_alice = next(message for message in mailoutbox if message.to == ["alice@example.org"])
    assert to_alice.subject == "您有 5 条新消息"
    assert to_alice.body.count("尚未支付") == 5
    assert "/console/inbox/" in to_alice.body
    shop.order(alice, NOON + timedelta(minutes=30))
    due.scan(day + timedelta(minutes=30))
    assert mailing.mail(day + timedelta(minutes=59)) == 0
    assert mailing.mail(day + timedelta(minutes=61)) == 1


def test_a_long_digest_is_cut(alice: User, shop: Shop, mailoutbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mailing, "DIGEST_LINES", 3)
    for _i in range(5):
        shop.order(alice)
    due.scan(NOON + timedelta(hours=24))
    mailing.mail(NOON + timedelta(hours=24))
    (sent,) = mailoutbox
    assert sent.body.count("尚未支付") == 3
    assert "另有 2 条消息。" in sent.body


def test_one_customer_cannot_fill_the_batch(
    alice: User, bob: User, shop: Shop, monkeypatch: pytest.MonkeyPatch, mailoutbox
) -> None:
    """With one mail per run, Alice's notices are one mail, and Bob's is the next."""
    monkeypatch.setattr(mailing, "MAIL_BATCH", 1)
    for _i in range(9):
        shop.order(alice)
    shop.order(bob)
    day = NOON + timedelta(hours=24)
    due.scan(day)
    assert [mailing.mail(day), mailing.mail(day)] == [1, 1]
    assert {message.to[0] for message in mailoutbox} == {"alice@example.org", "bob@example.org"}


def test_an_unverified_address_gets_no_notice(alice: User, shop: Shop, mailoutbox) -> None:
    User.objects.filter(pk=alice.pk).update(email_verified_at=None)
    shop.order(alice)
    day = NOON + timedelta(hours=24)
    due.scan(day)
    assert mailing.mail(day) == 0
    assert notices.unread_count(alice) == 1
    User.objects.filter(pk=alice.pk).update(email_verified_at=day)
    assert mailing.mail(day + timedelta(days=4)) == 0  # too old to be mailed
    assert mailing.mail(day + timedelta(hours=1)) == 1


def test_notices_are_marked_as_read(alice: User, bob: User, shop: Shop) -> None:
    for _i in range(3):
        shop.order(alice)
    due.scan(NOON + timedelta(hours=24))
    assert notices.unread_count(alice) == 3
    first = notices.inbox(alice)[0]
    assert notices.mark_read(bob, LATER, [first.pk]) == 0
    assert notices.mark_read(alice, LATER, [first.pk]) == 1
    assert notices.unread_count(alice) == 2
    assert notices.mark_read(alice, LATER) == 2
    assert Notice.objects.filter(read_at=LATER).count() == 3
