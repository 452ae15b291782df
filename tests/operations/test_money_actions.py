"""Actions that move money are confirmed with their effect; a mistaken top-up is reversed by an entry."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from django.test import Client
from playwright.sync_api import expect

from accounts import roles
from accounts.models import AuditEntry, PendingAct, User
from billing import orders
from billing.books import reconcile, sales_reports
from billing.errors import InsufficientBalance, NotReversible
from billing.models import Api, EntryKind, Notice, NoticeKind, Package, WalletEntry
from billing.notices import due, texts
from billing.payments import wallet
from tests.console.conftest import PASSWORD, Place, Visitor
from tests.operations.conftest import Login, World

pytestmark = pytest.mark.django_db
ASKED, DONE, BAD_REQUEST = 200, 302, 400


@pytest.fixture
def topped_up(alice: User, operators: dict[str, User], now: datetime) -> WalletEntry:
    return wallet.top_up(alice, Decimal("1000"), by=operators["finance"], reason="transfer", at=now)


def send(client: Client, path: str, **fields: Any) -> Any:
    return client.post(path, {"reason": "mistyped", "token": uuid4(), **fields})


def test_a_top_up_shows_the_balance_before_and_after(
    alice: User, log_in: Login, topped_up: WalletEntry
) -> None:
    finance, path = log_in("finance"), f"/ops/acts/top-up/{alice.pk}/"
    asked = send(finance, path, amount="88.80")
    page = asked.content.decode()
    assert asked.status_code == ASKED
    assert "1,000.00" in page
    assert "1,088.80" in page
    assert wallet.balance(alice) == 1000
    sent = dict(asked.context["sent"])
    assert finance.post(path, {**sent, "confirmed": "1"}).status_code == DONE
    assert wallet.balance(alice) == Decimal("1088.80")


def test_a_changed_balance_is_confirmed_again(
    alice: User, log_in: Login, operators: dict[str, User], topped_up: WalletEntry, now: datetime
) -> None:
    finance, path = log_in("finance"), f"/ops/acts/top-up/{alice.pk}/"
    sent = dict(send(finance, path, amount="5").context["sent"])
    wallet.top_up(alice, Decimal("7"), by=operators["admin"], reason="meanwhile", at=now)
    again = finance.post(path, {**sent, "confirmed": "1"})
    assert again.status_code == ASKED
    assert "1,012.00" in again.content.decode()
    assert wallet.balance(alice) == 1007
    assert finance.post(path, {**dict(again.context["sent"]), "confirmed": "1"}).status_code == DONE


def test_returning_from_the_confirmation_keeps_the_input(alice: User, log_in: Login) -> None:
    finance, path = log_in("finance"), f"/ops/acts/top-up/{alice.pk}/"
    sent = dict(send(finance, path, amount="5").context["sent"])
    form = finance.post(path, {**sent, "edit": "1"})
    assert 'value="5"' in form.content.decode()
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize("name", ["refund", "cancel", "disable-key", "close"])
def test_a_destructive_action_is_confirmed_on_a_page(
    name: str, world: World, log_in: Login, place: Place, now: datetime
) -> None:
    fresh = orders.pay(place(world.app.customer, Api.FACE_ANALYSE, app=world.app), now)
    subject = {
        "refund": fresh.package,
        "cancel": place(world.app.customer),
        "disable-key": world.key,
        "close": world.app.customer,
    }[name]
    admin, path = log_in("admin"), f"/ops/acts/{name}/{subject.pk}/"
    asked = send(admin, path)
    assert asked.status_code == ASKED
    assert asked.context["changes"]
    assert not AuditEntry.objects.exists()
    assert admin.post(path, {**dict(asked.context["sent"]), "confirmed": "1"}).status_code == DONE
    assert AuditEntry.objects.filter(act=name).count() == 1


def test_a_reversal_is_an_entry_a_notice_and_an_audit_entry(
    alice: User, log_in: Login, operators: dict[str, User], topped_up: WalletEntry, now: datetime
) -> None:
    path = f"/ops/acts/reverse/{topped_up.pk}/"
    finance = log_in("finance")
    assert 'value="1000.00"' in finance.get(path).content.decode()
    assert send(finance, path, amount="900", confirmed="1").status_code == DONE
    entry = WalletEntry.objects.get(kind=EntryKind.REVERSAL)
    assert (entry.amount, entry.balance_after, entry.reverses) == (-900, 100, topped_up)
    assert (entry.by, entry.reason) == (operators["finance"], "mistyped")
    topped_up.refresh_from_db()
    assert topped_up.amount == 1000
    audited = AuditEntry.objects.get(act="reverse")
    assert (audited.customer, Decimal(audited.details["worth"])) == (alice, 900)
    later = now + timedelta(minutes=1)
    due.scan(later)
    notice = Notice.objects.get(customer=alice, kind=NoticeKind.REVERSAL)
    assert notice.amount == 900
    assert "900.00" in texts.text_of(notice).title
    assert not [broken for proof in reconcile.run(later) for broken in proof.breaks]
    assert sum(day.topped_up for day in sales_reports.days(now - timedelta(days=1), later)) == 100
    assert f"/ops/acts/reverse/{topped_up.pk}/" not in finance.get("/ops/desk/?q=alice").content.decode()


def test_a_top_up_is_reversed_once_and_never_beyond_it(
    alice: User, operators: dict[str, User], topped_up: WalletEntry, now: datetime
) -> None:
    by = operators["finance"]
    with pytest.raises(NotReversible):
        wallet.reverse(topped_up, Decimal("1000.01"), by=by, reason="x", at=now)
    entry = wallet.reverse(topped_up, Decimal("400"), by=by, reason="x", at=now)
    for wrong in (topped_up, entry):
        with pytest.raises(NotReversible):
            wallet.reverse(wrong, Decimal("1"), by=by, reason="x", at=now)
    assert wallet.balance(alice) == 600
    twin = WalletEntry(
        wallet=entry.wallet, kind=EntryKind.REVERSAL, amount=-1, balance_after=599, reverses=topped_up,
        by=by, reason="x", at=now,
    )  # fmt: skip
    with pytest.raises(IntegrityError, match="wallet_reversed_once"), transaction.atomic():
        twin.save(force_insert=True)
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        connection.cursor().execute("UPDATE billing_walletentry SET reverses_id = NULL")


def test_spent_money_cannot_be_reversed(
    alice: User, operators: dict[str, User], place: Place, priced: None, topped_up: WalletEntry, now: datetime
) -> None:
    orders.pay(place(alice), now)
    left = wallet.balance(alice)
    assert left < 1000
    with pytest.raises(InsufficientBalance):
        wallet.reverse(topped_up, Decimal("1000"), by=operators["finance"], reason="x", at=now)
    assert wallet.balance(alice) == left


def test_a_large_reversal_waits_for_a_second_operator(
    alice: User, log_in: Login, operators: dict[str, User], topped_up: WalletEntry, settings: Any
) -> None:
    settings.APPROVAL_ABOVE_YUAN = Decimal("500")
    reply = send(log_in("finance"), f"/ops/acts/reverse/{topped_up.pk}/", amount="1000", confirmed="1")
    assert reply["Location"] == "/ops/approvals/"
    assert wallet.balance(alice) == 1000
    second = Client()
    user = User.objects.create_user("op-finance-2", "finance2@example.org")
    roles.assign(user, ["finance"])
    second.force_login(user)
    path = f"/ops/approvals/{PendingAct.objects.get().pk}/"
    waiting = second.get("/ops/approvals/").content.decode()
    assert "1,000.00" in waiting
    assert second.post(path, {"decision": "pending"}).status_code == BAD_REQUEST
    asked = second.post(path, {"decision": "approved"})
    assert asked.status_code == ASKED  # without JavaScript
    assert wallet.balance(alice) == 1000
    second.post(path, {"decision": "approved", "confirmed": "1"})
    assert wallet.balance(alice) == 0


def test_a_viewer_sees_what_waits_without_balance_and_reason(
    log_in: Login, topped_up: WalletEntry, settings: Any
) -> None:
    settings.APPROVAL_ABOVE_YUAN = Decimal("500")
    finance = log_in("finance")
    send(finance, f"/ops/acts/reverse/{topped_up.pk}/", amount="1000", confirmed="1")
    reason = PendingAct.objects.get().reason
    private = ["账户余额", reason, "冲正金额"]
    assert all(text in finance.get("/ops/approvals/").content.decode() for text in private)
    seen = log_in("viewer").get("/ops/approvals/").content.decode()
    assert "冲正" in seen
    assert not [text for text in private if text in seen]


@pytest.mark.parametrize(("name", "words"), [("top-up", "收支明细"), ("close", "客户看不到")])
def test_each_form_has_its_own_hint_about_the_reason(
    name: str, words: str, alice: User, log_in: Login
) -> None:
    form = log_in("admin").get(f"/ops/acts/{name}/{alice.pk}/").context["form"]
    assert words in str(form.fields["reason"].help_text)


@pytest.mark.browser
def test_a_mistaken_top_up_is_reversed_in_a_browser(
    visitor: Visitor, alice: User, operators: dict[str, User], now: datetime
) -> None:
    fiona = User.objects.create_user("fiona", "fiona@example.org", PASSWORD)
    roles.assign(fiona, ["finance"])
    wallet.top_up(alice, Decimal("1000"), by=operators["admin"], reason="对公转账", at=now)
    page = visitor.page
    visitor.log_in(fiona)
    visitor.open("/ops/desk/?q=alice&tab=money")
    visitor.follow("冲正")
    page.get_by_label("冲正金额").fill("900")
    page.get_by_label("原因").fill("多输了一个零")
    visitor.press("下一步")
    expect(page.get_by_text("请确认：冲正").first).to_be_visible()
    expect(page.locator(".before-after")).to_contain_text("100.00 元")
    assert visitor.axe() == []
    visitor.press("确认冲正")
    expect(page.get_by_text("已完成：冲正。")).to_be_visible()
    assert wallet.balance(alice) == 100
    assert Package.objects.count() == 0
