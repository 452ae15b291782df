"""Order, pay, call, fail, expire, refund, extend in any order: the product against a model in plain Python.

The model (model.py) implements only the manual's rules.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import transaction
from django.test import override_settings
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from accounts.models import User
from billing import extension, orders, overdue, packages, quota
from billing.errors import (
    AmountRefused,
    Expired,
    HoldLost,
    InsufficientBalance,
    NotExtendable,
    NotOrdered,
    NotRefundable,
    OrderNotCancellable,
    OrderNotPayable,
    UsedUp,
)
from billing.models import DebitState
from billing.payments import refunds, vouchers, wallet
from billing.periods import SHANGHAI
from tests.billing.conftest import DETECT, Shop, breaks
from tests.billing.quota.model import Held, ModelVoucher, Month, Purchase, Service, month_ends


class Billing(RuleBasedStateMachine):
    purchases = Bundle("purchases")
    services = Bundle("services")
    calls = Bundle("calls")

    @initialize(
        target=services,
        start=st.sampled_from([(2027, 1, 28), (2028, 1, 30), (2027, 3, 10), (2027, 12, 31), (2028, 2, 29)]),
        days=st.integers(1, 20),
    )
    def open(self, start: tuple[int, int, int], days: int) -> object:
        """Return a customer with money, vouchers, and an App with two Packages that overlap."""
        self.block = transaction.atomic()
        self.block.__enter__()
        self.now = datetime(*start, 10, tzinfo=SHANGHAI)
        self.alice = User.objects.create_user("alice", "alice@example.org")
        self.olga = User.objects.create_user("olga", "olga@example.org")
        self.shop = Shop()
        self.cash = Decimal(0)
        self.model_vouchers: list[ModelVoucher] = []
        self.all_services: list[Service] = []
        self.all_purchases: list[Purchase] = []
        self.all_calls: list[Held] = []
        self.top_up(3000)
        self.voucher(900, 20)
        self.voucher(800, 45)
        service = self._pay(self._order(None, 5, 2, 400))
        self.now += timedelta(days=days)
        self._pay(self._order(self.all_services[0], 5, 1, 300))
        return service

    def teardown(self) -> None:
        if not hasattr(self, "block"):
            return
        try:
            # A hold may be old here: only the rule `sweep` sweeps.
            assert not [broken for broken in breaks(self.now) if ", expired at" not in broken.detail]
        finally:
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)

    @rule(step=st.sampled_from(["minute", "hour", "hour", "day", "two days", "month's end", "forty days"]))
    def time_passes(self, step: str) -> None:
        if step == "month's end":  # to the very start or end of some window
            bounds = [
                b for w in self.all_purchases for m in w.periods for b in (m.starts, m.ends) if b > self.now
            ]
            self.now = min(bounds, default=self.now)
        else:
            self.now += {
                "minute": timedelta(minutes=1),
                "hour": timedelta(hours=1),
                "day": timedelta(days=1),
                "two days": timedelta(days=2),
                "forty days": timedelta(days=40),
            }[step]

    @rule(amount=st.integers(1, 3000))
    def top_up(self, amount: int) -> None:
        self.cash += Decimal(amount) / 100
        wallet.top_up(self.alice, Decimal(amount) / 100, by=self.olga, reason="transfer", at=self.now)

    @rule(amount=st.integers(1, 2000), days=st.integers(1, 60))
    def voucher(self, amount: int, days: int) -> None:
        until = self.now + timedelta(days=days)
        self.model_vouchers.append(ModelVoucher(until, Decimal(amount) / 100))
        issued = vouchers.issue(
            face_value=Decimal(amount) / 100, valid_from=self.now, valid_until=until, by=self.olga,
            reason="gift", at=self.now,
        )  # fmt: skip
        vouchers.redeem(self.alice, issued.code, self.now)

    def unpaid(self) -> int:
        """Return the number of orders that can still be paid, which is limited."""
        since = self.now - timedelta(hours=48)
        return sum(purchase.state == "pending" and purchase.made > since for purchase in self.all_purchases)

    def _order(self, service: Service | None, units: int, months: int, price: int) -> Purchase:
        token = uuid4().hex
        order = self.shop.order(
            self.alice, self.now, app=service and service.app, units=units, months=months,
            price=str(Decimal(price) / 100), token=token,
        )  # fmt: skip
        purchase = Purchase(
            order, self.now, token, Decimal(price) * months / 100, service, units, months, price
        )
        self.all_purchases.append(purchase)
        return purchase

    @rule(purchase=purchases)
    def order_again_with_the_same_form(self, purchase: Purchase) -> None:
        was_new = purchase.order.is_new_app
        again = self.shop.order(
            self.alice, self.now, app=None if was_new or purchase.app is None else purchase.app.app,
            units=purchase.units, months=purchase.months,
            price=str(Decimal(purchase.price) / 100), token=purchase.token,
        )  # fmt: skip
        assert again == purchase.order

    @precondition(lambda self: self.unpaid() < orders.UNPAID_AT_ONCE)
    @rule(
        target=purchases,
        units=st.integers(1, 9),
        months=st.integers(1, 3),
        price=st.sampled_from([0, 1, 400, 1000]),
    )
    def order_a_new_app(self, units: int, months: int, price: int) -> Purchase:
        return self._order(None, units, months, price)

    @precondition(lambda self: self.unpaid() < orders.UNPAID_AT_ONCE)
    @rule(
        target=services,
        units=st.integers(1, 9),
        months=st.integers(1, 3),
        price=st.sampled_from([0, 300, 700]),
    )
    def buy_at_once(self, units: int, months: int, price: int) -> object:
        return self._pay(self._order(None, units, months, price))

    @precondition(lambda self: self.unpaid() < orders.UNPAID_AT_ONCE)
    @rule(
        target=purchases,
        service=services,
        units=st.integers(1, 9),
        months=st.integers(1, 3),
        price=st.integers(0, 9),
    )
    def buy_again(self, service: Service, units: int, months: int, price: int) -> Purchase:
        return self._order(service, units, months, price)

    @rule(target=services, purchase=purchases)
    def pay(self, purchase: Purchase) -> object:
        return self._pay(purchase)

    def _pay(self, purchase: Purchase) -> object:
        if purchase.state != "pending" or self.now >= purchase.made + timedelta(hours=48):
            with pytest.raises(OrderNotPayable):
                orders.pay(purchase.order, self.now)
            purchase.state = "cancelled" if purchase.state == "pending" else purchase.state
            return multiple()
        burned = []
        owed = purchase.amount
        for voucher in sorted((p for p in self.model_vouchers if p.until > self.now), key=lambda p: p.until):
            part = min(voucher.left, owed)
            owed -= part
            burned.append((voucher, part))
        if owed > self.cash:
            with pytest.raises(InsufficientBalance):
                orders.pay(purchase.order, self.now)
            return multiple()
        paid = orders.pay(purchase.order, self.now)
        assert (paid.cash_paid, paid.voucher_paid) == (owed, purchase.amount - owed)
        for voucher, part in burned:
            voucher.left -= part
        self.cash -= owed
        purchase.state, purchase.cash, purchase.from_vouchers = "paid", owed, burned
        purchase.paid = self.now
        purchase.periods = self._months(purchase, purchase.months)
        assert paid.app is not None
        if purchase.app is not None:
            purchase.app.purchases.append(purchase)
            return multiple()
        purchase.app = Service(paid.app, [purchase])
        self.all_services.append(purchase.app)
        return purchase.app

    def _months(self, purchase: Purchase, count: int) -> list[Month]:
        assert purchase.paid is not None
        ends = month_ends(purchase.paid, count)
        starts = [purchase.paid, *ends]
        return [Month(start, end, purchase.units) for start, end in zip(starts, ends, strict=False)]

    @rule(purchase=purchases)
    def cancel(self, purchase: Purchase) -> None:
        if purchase.state == "pending":
            orders.cancel(purchase.order, self.now)
            purchase.state = "cancelled"
        else:
            with pytest.raises(OrderNotCancellable):
                orders.cancel(purchase.order, self.now)

    @rule()
    def expire_orders(self) -> None:
        orders.expire_due(self.now)
        for purchase in self.all_purchases:
            if purchase.state == "pending" and self.now >= purchase.made + timedelta(hours=48):
                purchase.state = "cancelled"

    @precondition(lambda self: any(purchase.periods for purchase in self.all_purchases))
    @rule(pick=st.integers(0, 9))
    def refund(self, pick: int) -> None:
        delivered = [purchase for purchase in self.all_purchases if purchase.periods]
        purchase = delivered[pick % len(delivered)]
        unused = purchase.state == "paid" and all(month.left == purchase.units for month in purchase.periods)
        package = purchase.order.package
        if not unused or purchase.periods[-1].ends <= self.now:
            with pytest.raises(NotRefundable):
                refunds.refund(package, by=self.olga, reason="mistake", at=self.now)
            return
        refunds.refund(package, by=self.olga, reason="mistake", at=self.now)
        purchase.state = "refunded"
        self.cash += purchase.cash
        for voucher, part in purchase.from_vouchers:
            voucher.left += part
        assert purchase.app is not None
        purchase.app.purchases.remove(purchase)

    @precondition(lambda self: any(purchase.periods for purchase in self.all_purchases))
    @rule(pick=st.integers(0, 9), months=st.sampled_from([0, 1, 1, 2, 36]))
    def extend(self, pick: int, months: int) -> None:
        delivered = [purchase for purchase in self.all_purchases if purchase.periods]
        purchase = delivered[pick % len(delivered)]
        package = purchase.order.package
        before = len(purchase.periods)
        if purchase.state == "refunded" or purchase.periods[-1].ends <= self.now:
            with pytest.raises(NotExtendable):
                extension.extend(package, months, self.now)
        elif months == 0 or before + months > 36:
            with pytest.raises(AmountRefused):
                extension.extend(package, months, self.now)
        else:
            extension.extend(package, months, self.now)
            purchase.periods += self._months(purchase, before + months)[before:]

    def _live(self, service: Service) -> list[Month]:
        months = [
            m for purchase in service.purchases for m in purchase.periods if m.starts <= self.now < m.ends
        ]
        return sorted(months, key=lambda month: month.ends)  # stable: the oldest package first

    @rule(target=calls, service=services, images=st.integers(1, 7), hold_s=st.sampled_from([30, 180]))
    def call(self, service: Service, images: int, hold_s: int) -> object:
        months = self._live(service)
        if sum(month.left for month in months) < images:
            refusal = UsedUp
            if not service.purchases:
                refusal = NotOrdered
            elif all(purchase.periods[-1].ends <= self.now for purchase in service.purchases):
                refusal = Expired
            with pytest.raises(refusal):
                quota.reserve(call_id=uuid4(), app=service.app, api=DETECT, images=images, at=self.now)
            return multiple()
        held = Held(uuid4(), self.now + timedelta(seconds=hold_s), service, [])
        for month in months:
            part = min(month.left, images - sum(units for _month, units in held.parts))
            if part:
                month.left -= part
                held.parts.append((month, part))
        debit = quota.reserve(
            call_id=held.call_id, app=service.app, api=DETECT, images=images, at=self.now, hold_s=hold_s
        )
        assert debit.remaining_after == sum(month.left for month in months)
        self.all_calls.append(held)
        return held

    @rule(held=calls)
    def reserve_again(self, held: Held) -> None:
        """Reserve a call again: it takes its units once, whatever its state."""
        debit = quota.reserve(call_id=held.call_id, app=held.service.app, api=DETECT, images=1, at=self.now)
        assert (debit.units, debit.state) == (sum(units for _month, units in held.parts), held.state)

    @rule(held=calls)
    def answer(self, held: Held) -> None:
        if held.state == "returned":
            with pytest.raises(HoldLost):
                quota.settle(held.call_id, self.now)
        else:
            quota.settle(held.call_id, self.now)
            if held.state == "held":
                held.state, held.until = "settling", self.now + timedelta(seconds=quota.CONFIRM_WITHIN_S)

    @rule(held=calls, is_exact=st.booleans())
    def confirm(self, held: Held, is_exact: bool) -> None:
        """Only what is settling becomes settled, and only for the units that the answer stated."""
        units = sum(units for _month, units in held.parts)
        if is_exact and held.state == "settling":
            held.state = "settled"
        stated = units if is_exact else units + 1
        assert quota.confirm({held.call_id: stated}) == {held.call_id: held.state if is_exact else "wrong"}

    def _return(self, held: Held) -> int:
        held.state = "returned"
        for month, units in held.parts:
            month.left += units
        return sum(units for _month, units in held.parts)

    @rule(held=consumes(calls))
    def fail(self, held: Held) -> None:
        expected = self._return(held) if held.state == "held" else 0
        assert quota.give_back(held.call_id, self.now) == expected

    @rule(held=consumes(calls))
    def withdraw(self, held: Held) -> None:
        expected = self._return(held) if held.state in ("held", "settling") else 0
        assert quota.withdraw(held.call_id, self.now) == expected

    @rule()
    def sweep(self) -> None:
        lost = [held for held in self.all_calls if held.state == "held" and held.until <= self.now]
        assert quota.sweep(self.now) == len(lost)
        for held in lost:
            self._return(held)
        late = [held for held in self.all_calls if held.state == "settling" and held.until <= self.now]
        withdrawn = overdue.end_each(
            DebitState.SETTLING, self.now, lambda debit: quota.withdraw(debit.pk, self.now)
        )
        assert withdrawn == len(late)
        for held in late:
            self._return(held)

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "block"):
            return
        assert wallet.balance(self.alice) == self.cash
        assert vouchers.balance(self.alice, self.now) == sum(
            (voucher.left for voucher in self.model_vouchers if voucher.until > self.now), Decimal(0)
        )
        rows = {row.app.pk: row for row in packages.summary([s.app for s in self.all_services], self.now)}
        for service in self.all_services:
            left = sum(month.left for month in self._live(service))
            assert quota.remaining(service.app, DETECT, self.now) == left
            if service.purchases:
                row = rows[service.app.pk]
                assert row.remaining == left
                assert row.expires_at == max(purchase.periods[-1].ends for purchase in service.purchases)
            else:
                assert service.app.pk not in rows


@pytest.mark.django_db
@override_settings(FREE_PACKAGES_PER_CUSTOMER=100)
def test_the_product_agrees_with_the_model() -> None:
    run_state_machine_as_test(
        Billing,
        settings=settings(
            deadline=None,
            derandomize=True,
            max_examples=40,
            stateful_step_count=30,
            suppress_health_check=list(HealthCheck),
        ),
    )
