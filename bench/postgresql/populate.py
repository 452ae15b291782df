"""Fill a database for the page queries: Apps, orders, packages, wallets and debits with consistent books.

One customer owns half of everything, 500 others the rest. Rows are inserted by COPY and INSERT ... SELECT
with the triggers off, so the database user must be a superuser; `reconcile` verifies the result.
"""

import io
import random
import statistics
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection, models, transaction
from django.utils import timezone

from accounts.models import App, Region, User
from billing import forecast, notices, orders, packages, quota
from billing.models import Order, Package, Period, Sku, Wallet, WalletEntry
from billing.payments import vouchers, wallet
from billing.periods import SHANGHAI, windows
from common.paging import RowsPaginator

OTHERS = 500
PRICE = Decimal("0.10")
TOP_UP = Decimal("1000000.00")
PAGE = 20
ORDER_EVERY = timedelta(days=10)
PAID_AFTER = timedelta(minutes=1)


@transaction.atomic
def populate(*, apps: int, orders: int, debits: int, seed: int = 1) -> None:
    """Fill an empty database. `orders` must be a multiple of `apps`."""
    started = time.monotonic()
    dice = random.Random(seed)
    now = timezone.now()
    each = orders // apps
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL synchronous_commit = off")
    customers = _customers()
    region = Region.objects.get(code="cn-sh6")
    skus = list(Sku.objects.filter(tier="thousand").order_by("pk"))
    rows: dict[type[models.Model], list[tuple[object, ...]]] = {
        model: [] for model in (App, Order, Package, Period, WalletEntry)
    }
    balance = dict.fromkeys((customer.pk for customer in customers), TOP_UP)
    for customer in customers:
        rows[WalletEntry].append(
            (
                customer.pk,
                "top_up",
                TOP_UP,
                TOP_UP,
                None,
                customers[0].pk,
                "bench",
                f"top up {customer.pk}",
                now,
            )
        )
    for number in range(1, apps + 1):
        owner = customers[0] if number <= apps // 2 else dice.choice(customers[1:])
        first = now - PAID_AFTER - ORDER_EVERY * (each - dice.random())
        rows[App].append((number, f"app-{number:010}", owner.pk, region.pk, f"App {number}", "bench", first))
        for turn in range(each):
            _order(rows, balance, dice, number, turn, first + ORDER_EVERY * turn, owner, region, skus, now)
    _write(rows, balance)
    _debits(-(-debits // len(rows[Package])), now)
    with connection.cursor() as cursor:
        for model in rows:
            table = model._meta.db_table
            cursor.execute(
                f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), (SELECT max(id) FROM {table}))"
            )
    print(f"populated in {time.monotonic() - started:.0f} s")


def _customers() -> list[User]:
    return User.objects.bulk_create(
        User(username=f"bench{number}", email=f"bench{number}@example.org", password="!")
        for number in range(OTHERS + 1)
    )


def _order(
    rows: dict[type[models.Model], list[tuple[object, ...]]],
    balance: dict[int, Decimal],
    dice: random.Random,
    app: int,
    turn: int,
    at: datetime,
    owner: User,
    region: Region,
    skus: list[Sku],
    now: datetime,
) -> None:
    """Add one order: an App's first is paid; of the others 2 % are pending and 8 % cancelled."""
    pk = len(rows[Order]) + 1
    sku, quantity, months = dice.choice(skus), dice.randint(1, 9), dice.randint(1, 3)
    lot = dice.random()
    state = "paid" if turn == 0 or lot < 0.9 else "pending" if lot < 0.92 else "cancelled"
    amount = PRICE * quantity * months
    paid_at = at + PAID_AFTER if state == "paid" else None
    rows[Order].append(
        (
            pk, f"{at.astimezone(SHANGHAI):%Y%m%d%H%M%S}{pk % 1_000_000:06}", owner.pk, f"bench {pk}",
            app if turn or paid_at else None, turn == 0, f"App {app}", "bench", region.pk, sku.pk, quantity,
            months, sku.units_per_month, sku.meter, PRICE, amount, state,
            "customer" if state == "cancelled" else "", at, now + timedelta(hours=48), paid_at,
            at if state == "cancelled" else None, amount if paid_at else 0, 0,
        )
    )  # fmt: skip
    if paid_at is None:
        return
    balance[owner.pk] -= amount
    rows[WalletEntry].append(
        (owner.pk, "payment", -amount, balance[owner.pk], pk, None, "", f"bench {pk}", paid_at)
    )
    package = len(rows[Package]) + 1
    tiles = windows(paid_at, months)
    units = sku.units_per_month * quantity
    rows[Package].append((package, pk, app, sku.api, units, tiles[0][0], tiles[-1][1], 0, None, None, ""))
    rows[Period].extend(
        (package, app, sku.api, sku.meter, number, start, end, units, 0)
        for number, (start, end) in enumerate(tiles)
    )


COLUMNS = {
    App: "id app_id customer_id region_id name description created_at",
    Order: "id number customer_id token app_id is_new_app app_name app_description region_id sku_id quantity"
    " months units_per_month meter unit_price amount state cancel_reason created_at expires_at paid_at"
    " cancelled_at cash_paid voucher_paid",
    Package: "id order_id app_id api units_per_period starts_at ends_at extra_months refunded_at"
    " refunded_by_id refund_reason",
    Period: "package_id app_id api meter number starts_at ends_at granted used",
    WalletEntry: "wallet_id kind amount balance_after order_id by_id reason token at",
}


def _write(rows: dict[type[models.Model], list[tuple[object, ...]]], balance: dict[int, Decimal]) -> None:
    Wallet.objects.bulk_create(Wallet(customer_id=pk, balance=left) for pk, left in balance.items())
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_app ALTER allowed_addresses SET DEFAULT '{}'")
        for model, columns in COLUMNS.items():
            names = columns.replace(" ", ", ")
            cursor.copy_expert(f"COPY {model._meta.db_table} ({names}) FROM STDIN", _text(rows[model]))
        cursor.execute("ALTER TABLE accounts_app ALTER allowed_addresses DROP DEFAULT")


def _text(rows: Iterable[tuple[object, ...]]) -> io.StringIO:
    """Format rows for COPY; no value here needs escaping."""
    lines = io.StringIO()
    for row in rows:
        lines.write("\t".join(r"\N" if value is None else str(value) for value in row) + "\n")
    lines.seek(0)
    return lines


# A version 7 UUID for debit number `n` of Period `p`: its time, then digits that are reproducible.
DEBIT_ID = """
(lpad(to_hex((extract(epoch FROM made.at) * 1000)::bigint), 12, '0')
 || '7' || left(made.digits, 3) || '8' || right(made.digits, 15))::uuid
"""


def _debits(each: int, now: datetime) -> None:
    """Create `each` debits of one unit in the first Period of every Package, settled after a second."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH made AS (
                SELECT p.id, p.app_id, p.api, p.granted - n AS left_after, md5(p.id || ' ' || n) AS digits,
                       p.starts_at + n * (least(p.ends_at, %(now)s) - p.starts_at) / %(n)s AS at
                  FROM billing_period p, generate_series(0, %(n)s - 1) n WHERE p.number = 0
            ), debited AS (
                INSERT INTO billing_debit
                    (call_id, app_id, api, units, state, remaining_after, created_at, hold_expires_at,
                     closed_at)
                SELECT {DEBIT_ID}, app_id, api, 1, 'settled', left_after, at, at, at + interval '1 second'
                  FROM made
            )
            INSERT INTO billing_debitline (debit_id, period_id, units) SELECT {DEBIT_ID}, id, 1 FROM made""",
            {"now": now, "n": each},
        )
        cursor.execute("UPDATE billing_period SET used = %s WHERE number = 0", [each])
        cursor.execute("""
            INSERT INTO billing_answeredhour (hour, app_id, api, answers, units)
            SELECT date_trunc('hour', closed_at, 'UTC'), app_id, api, count(*), sum(units)
              FROM billing_debit WHERE state = 'settled' GROUP BY 1, 2, 3""")


def measure(target_ms: float) -> bool:
    """Time the queries of the console's pages for the customer who owns half of everything."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
    customer = User.objects.get(username="bench0")
    app = customer.apps.order_by("pk")[7]
    at = timezone.now()

    def page(rows: "models.QuerySet[models.Model]", number: int) -> None:
        list(RowsPaginator(rows, PAGE).get_page(number))

    def apps_page(number: int) -> None:
        shown = list(RowsPaginator(customer.apps.select_related("region"), PAGE).get_page(number))
        packages.summary(shown, at)

    number = Order.objects.filter(customer=customer).values_list("number", flat=True)[100]
    asked: dict[str, Callable[[], object]] = {
        "remaining of one API": lambda: quota.remaining(app, "face_detect", at),
        "apps page 1": lambda: apps_page(1),
        "apps page 200": lambda: apps_page(200),
        "run-out forecast of one App": lambda: forecast.of([app], at),
        "order list page 1": lambda: page(orders.of(customer), 1),
        "order list page 2000": lambda: page(orders.of(customer), 2000),
        "order list, unpaid": lambda: page(orders.of(customer, state="pending"), 1),
        "order list, search a number": lambda: page(orders.of(customer, text=number), 1),
        "order list, search a name": lambda: page(orders.of(customer, text="App 77"), 1),
        "statement page 1": lambda: page(wallet.statement(customer), 1),
        "statement page 2000": lambda: page(wallet.statement(customer), 2000),
        "balances and unread notices": lambda: (
            wallet.balance(customer),
            vouchers.balance(customer, at),
            notices.unread_count(customer),
        ),
    }
    counts = [f"{model._meta.verbose_name} {model.objects.count():,}" for model in (App, Order, Period)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM billing_debit")
        print(", ".join(counts), f"debits {cursor.fetchone()[0]:,}")
    good = True
    for name, ask in asked.items():
        ask()
        times = []
        for _i in range(15):
            began = time.perf_counter()
            ask()
            times.append((time.perf_counter() - began) * 1000)
        middle = statistics.median(times)
        good = good and middle < target_ms
        print(
            f"{name:40} {middle:7.1f} ms  (best {min(times):.1f}, worst {max(times):.1f}; target {target_ms})"
        )
    return good
