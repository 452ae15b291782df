"""Reserve, settle, give back, sweep: order, atomicity, idempotence, midnight, meters."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.models import App, User
from billing import packages, quota
from billing.errors import Expired, HoldLost, NotOrdered, UsedUp
from billing.models import Debit, DebitLine, Period
from tests.billing.conftest import DETECT, NOON, Shop, shanghai

LATER = NOON + timedelta(seconds=5)


def used(app: App) -> list[int]:
    """Return what each Period has used, in burn order."""
    return list(Period.objects.filter(app=app).order_by("ends_at", "package").values_list("used", flat=True))


def reserve(app: App, images: int = 1, at=NOON, **more):
    call_id = more.pop("call_id", None) or uuid4()
    return quota.reserve(call_id=call_id, app=app, api=more.pop("api", DETECT), images=images, at=at, **more)


def test_reserve_returns_units_and_the_remaining_quota(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=100)
    debit = reserve(app, 7)
    assert (debit.units, debit.remaining_after, debit.state) == (7, 93, "held")
    stored = Debit.objects.get(pk=debit.pk)
    assert {f.attname: getattr(stored, f.attname) for f in Debit._meta.fields} == {
        f.attname: getattr(debit, f.attname) for f in Debit._meta.fields
    }


def test_reserve_without_an_order_is_refused(alice: User, shop: Shop) -> None:
    app = shop.buy(alice)
    with pytest.raises(NotOrdered):
        reserve(app, api="face_compare", pairs=1)


def test_reserve_after_the_expiry_is_refused(alice: User, shop: Shop) -> None:
    app = shop.buy(alice)
    with pytest.raises(Expired):
        reserve(app, at=shanghai(2027, 4, 10))


def test_reserve_takes_all_units_or_none(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=10)
    with pytest.raises(UsedUp) as refused:
        reserve(app, 11)
    assert refused.value.details == {"remaining": 10, "next_at": None}
    assert used(app) == [0]
    assert not Debit.objects.exists()
    assert reserve(app, 10).remaining_after == 0


def test_a_call_takes_units_from_several_periods_earliest_end_first(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, shanghai(2027, 3, 1, 9), units=10)
    shop.buy(alice, shanghai(2027, 2, 20, 9), app=app, units=10)  # ends first
    shop.buy(alice, shanghai(2027, 3, 5, 9), app=app, units=10)
    debit = reserve(app, 25)
    assert used(app) == [10, 10, 5]
    assert sorted(debit.lines.values_list("units", flat=True)) == [5, 10, 10]
    assert debit.remaining_after == 5
    assert quota.give_back(debit.pk, LATER) == 25
    assert used(app) == [0, 0, 0]


def test_of_equal_ends_the_older_package_is_used_first(alice: User, shop: Shop) -> None:
    """30 and 31 January both end on 28 February."""
    app = shop.buy(alice, shanghai(2027, 1, 30, 9), units=10)
    shop.buy(alice, shanghai(2027, 1, 31, 9), app=app, units=10)
    reserve(app, 4, at=shanghai(2027, 2, 1))
    assert list(app.periods.order_by("package_id").values_list("used", flat=True)) == [4, 0]


def test_reserve_is_idempotent_in_every_state(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=10)
    for close in (lambda _: None, lambda c: quota.settle(c, LATER), lambda c: quota.give_back(c, LATER)):
        call_id = uuid4()
        first = reserve(app, 3, call_id=call_id)
        close(call_id)
        before = used(app)
        again = reserve(app, 3, call_id=call_id, at=LATER)
        assert (again.pk, again.units, again.remaining_after) == (first.pk, 3, first.remaining_after)
        assert again.state == Debit.objects.get(pk=call_id).state
        assert used(app) == before


def test_reserving_the_last_units_twice_is_one_reserve(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=3)
    call_id = uuid4()
    reserve(app, 3, call_id=call_id)
    assert reserve(app, 3, call_id=call_id).units == 3
    assert used(app) == [3]


def test_a_call_id_of_another_app_is_refused(alice: User, bob: User, shop: Shop) -> None:
    call_id = uuid4()
    reserve(shop.buy(alice), call_id=call_id)
    with pytest.raises(ValueError, match="another App"):
        reserve(shop.buy(bob), call_id=call_id)


@pytest.mark.parametrize("wrong", [{"images": 0}, {"pairs": -1}, {"hold_s": 0}, {"hold_s": 241}])
def test_invalid_arguments_are_rejected(alice: User, shop: Shop, wrong: dict[str, int]) -> None:
    app = shop.buy(alice)
    with pytest.raises(ValueError, match="images="):
        reserve(app, **{"images": 1, **wrong})


def test_settle_and_give_back_are_idempotent_and_the_first_wins(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=10)
    answered, failed = reserve(app, 2), reserve(app, 3)
    quota.settle(answered.pk, LATER)
    quota.settle(answered.pk, LATER)
    assert quota.give_back(answered.pk, LATER) == 0
    assert quota.give_back(failed.pk, LATER) == 3
    assert quota.give_back(failed.pk, LATER) == 0
    with pytest.raises(HoldLost):
        quota.settle(failed.pk, LATER)
    assert used(app) == [2]


def test_give_back_ignores_and_settle_refuses_an_unknown_call(db: None) -> None:
    assert quota.give_back(uuid4(), NOON) == 0
    with pytest.raises(HoldLost):
        quota.settle(uuid4(), NOON)


def test_sweep_returns_only_expired_holds(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=10)
    early, late = reserve(app, 1, hold_s=60), reserve(app, 2, hold_s=120)
    assert quota.sweep(NOON + timedelta(seconds=59)) == 0
    assert quota.sweep(NOON + timedelta(seconds=60)) == 1
    with pytest.raises(HoldLost):
        quota.settle(early.pk, LATER)  # so the call is not served and costs nothing
    quota.settle(late.pk, LATER)
    assert quota.sweep(NOON + timedelta(hours=1)) == 0
    assert used(app) == [2]


def test_the_longest_hold_is_swept_within_five_minutes() -> None:
    from django.conf import settings

    every_s = settings.CELERY_BEAT_SCHEDULE["sweep-holds"]["schedule"]
    assert quota.MAX_HOLD_S + every_s <= 300


def test_an_expired_hold_can_settle_until_the_sweep(alice: User, shop: Shop) -> None:
    debit = reserve(shop.buy(alice), hold_s=1)
    quota.settle(debit.pk, NOON + timedelta(minutes=2))
    assert quota.sweep(NOON + timedelta(minutes=3)) == 0


def test_at_midnight_a_call_in_flight_settles_against_its_own_period(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, NOON, units=10, months=2)
    before, after = shanghai(2027, 4, 9, 23, 59, 59), shanghai(2027, 4, 10, 0, 0, 1)
    answered, failed = reserve(app, 4, at=before), reserve(app, 3, at=before)
    quota.settle(answered.pk, after)
    quota.give_back(failed.pk, after)
    assert used(app) == [4, 0]
    assert quota.remaining(app, DETECT, after) == 10


def test_windows_are_half_open_to_the_microsecond(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, NOON, units=10, months=2)
    midnight = shanghai(2027, 4, 10)
    reserve(app, 1, at=midnight - timedelta(microseconds=1))
    reserve(app, 2, at=midnight)
    assert used(app) == [1, 2]


@pytest.mark.parametrize(("meter", "cost"), [("images", 6), ("calls", 1), ("pairs", 3)])
def test_the_meter_is_copied_from_the_catalogue(alice: User, shop: Shop, meter: str, cost: int) -> None:
    app = shop.buy(alice, api="face_compare", meter=meter)
    assert reserve(app, 6, pairs=3, api="face_compare").units == cost


def test_compare_is_seeded_with_the_meter_calls(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, api="face_compare")
    assert reserve(app, 100, pairs=50, api="face_compare").units == 1


def test_two_meters_never_mix_in_one_call(alice: User, shop: Shop) -> None:
    """The catalogue changed between two orders: the older Package has 2 calls left, the newer 10 pairs."""
    app = shop.buy(alice, api="face_compare", meter="calls", units=2)
    shop.buy(alice, LATER, app=app, api="face_compare", meter="pairs", units=10)
    three_pairs = {"images": 6, "pairs": 3, "api": "face_compare", "at": LATER}
    assert [reserve(app, **three_pairs).units for _i in range(5)] == [1, 1, 3, 3, 3]
    with pytest.raises(UsedUp):
        reserve(app, **three_pairs)
    assert reserve(app, 2, pairs=1, api="face_compare", at=LATER).units == 1


def test_database_constraints_reject_inconsistent_rows(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=5)
    period = Period.objects.get(app=app)
    for wrong in (6, -1):
        with pytest.raises(IntegrityError), transaction.atomic():
            Period.objects.filter(pk=period.pk).update(used=wrong)
    debit = reserve(app, 5)
    with pytest.raises(IntegrityError), transaction.atomic():
        DebitLine.objects.create(debit=debit, period=period, units=0)


def test_a_reserve_rolls_back_with_its_callers_transaction(alice: User, shop: Shop) -> None:
    app = shop.buy(alice, units=5)
    with transaction.atomic():
        reserve(app, 5)
        transaction.set_rollback(True)
    assert used(app) == [0]
    with transaction.atomic():
        debit = reserve(app, 2)
        with pytest.raises(UsedUp):
            reserve(app, 4)  # a refusal leaves the transaction usable
        quota.settle(debit.pk, NOON)
    assert used(app) == [2]


def test_a_refunded_package_has_no_units(alice: User, olga: User, shop: Shop) -> None:
    from billing.payments import refunds

    app = shop.buy(alice, units=5)
    refunds.refund(app.packages.get(), by=olga, reason="bought by mistake", at=LATER)
    with pytest.raises(NotOrdered):
        reserve(app, at=LATER)
    assert packages.summary([app], LATER) == []


def test_the_live_period_is_found_by_index(alice: User, shop: Shop) -> None:
    """Counts the index scans of the product's own statement, as PostgreSQL reports them."""
    app = shop.buy(alice, months=3)
    for number in range(60):  # so that this index is the cheapest one for a few Periods
        shop.buy(User.objects.create_user(f"customer {number}"), months=3)

    def scans(relation: str) -> int:
        cursor.execute("SELECT pg_stat_get_xact_numscans(%s::regclass)", [relation])
        return int(cursor.fetchone()[0])

    with connection.cursor() as cursor:
        cursor.execute("ANALYZE billing_period")
        cursor.execute("DISCARD PLANS")
        cursor.execute("SET LOCAL enable_seqscan = off")  # a table of so few pages would be scanned
        before = scans("billing_period"), scans("period_burn_order")
        reserve(app, 1)
        assert scans("billing_period") == before[0]
        assert scans("period_burn_order") > before[1]


def burn(free: list[int], need: int) -> list[int] | None:
    """Apply the rule in four lines: in order, as much as needed, or nothing at all."""
    if sum(free) < need:
        return None
    taken = []
    for units in free:
        taken.append(min(units, need - sum(taken)))
    return taken


@pytest.mark.django_db
@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.lists(st.integers(1, 30), max_size=8))
def test_any_calls_on_any_packages_burn_in_order(sizes: list[int], needs: list[int]) -> None:
    with transaction.atomic():
        customer = User.objects.create_user(uuid4().hex, f"{uuid4().hex}@example.org")
        shop, app = Shop(), None
        for number, size in enumerate(sizes):
            app = shop.buy(customer, NOON + timedelta(days=number), app=app, units=size)
        assert app is not None
        at = NOON + timedelta(days=len(sizes))
        free = list(sizes)
        for need in needs:
            taken = burn(free, need)
            if taken is None:
                with pytest.raises(UsedUp):
                    reserve(app, need, at=at)
            else:
                free = [units - part for units, part in zip(free, taken, strict=True)]
                assert reserve(app, need, at=at).remaining_after == sum(free)
        assert used(app) == [size - units for size, units in zip(sizes, free, strict=True)]
        transaction.set_rollback(True)
