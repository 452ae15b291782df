"""Record the SQL that a version sends on its main paths, for the next version's test of its schema.

Run it at each release, in a checkout of that release with an empty database and a separate Valkey:

    cd CHECKOUT; export PYTHONPATH=. DATABASE_URL=… REDIS_URL=…; python …/record.py …/file.json

Each statement is stored as sent, with the number of rows that it returned. This script imports only modules
of the recorded version, not of its own tree.
"""

# mypy: ignore-errors
# The names are those of another version.

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

# Statements that control the transaction, which a replay does not have.
CONTROL = ("SAVEPOINT", "RELEASE", "ROLLBACK", "SET ", "SHOW ", "SELECT set_config", "DECLARE", "FETCH")
statements: list[list[Any]] = []


def record(  # an execute_wrapper of Django
    execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
) -> Any:
    found = execute(sql, params, many, context)
    cursor = context["cursor"].cursor
    sent = cursor.query.decode()
    if not sent.lstrip().startswith(CONTROL):
        statements.append([sent, cursor.rowcount])
    return found


def main() -> None:
    """Record into the file given as first argument."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "facecloud.settings"
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    with connection.execute_wrapper(record):
        _sell_and_serve()
    unique: dict[str, list[Any]] = {}
    for number, (sent, rows) in enumerate(statements):
        name = sent if sent.startswith("SELECT") and "(" not in sent[:40] else f"{number} {sent}"
        unique.setdefault(name, [sent, rows])
    Path(sys.argv[1]).write_text(
        json.dumps(list(unique.values()), ensure_ascii=False, indent=0), encoding="utf-8"
    )
    sys.stdout.write(f"{len(unique)} statements\n")


def _sell_and_serve() -> None:
    from django.utils import timezone

    from accounts import keys
    from accounts.models import Region, User
    from billing import forecast, notices, orders, quota, reconcile, refunds, vouchers, wallet
    from billing.models import Sku
    from faceapi import calls, errors, rollups
    from faceapi.calls import LiveCall
    from faceapi.errors import ApiError

    at = timezone.now()
    alice = User.objects.create_user("alice", "alice@example.org", email_verified_at=at)
    olga = User.objects.create_superuser("olga", "olga@example.org")
    wallet.top_up(alice, Decimal(50), by=olga, reason="transfer", at=at)
    vouchers.issue(
        face_value=Decimal(5), valid_from=at, valid_until=at + timedelta(days=9), customer=alice, by=olga,
        reason="gift", at=at,
    )  # fmt: skip

    def order(token: str, **more: Any) -> Any:
        return orders.create(
            customer=alice, region=Region.objects.get(code="cn-sh6"), name="门禁", description="大楼门禁",
            sku=Sku.objects.get(api="face_detect", tier="thousand"), quantity=1, months=2, token=token, at=at,
            **{"app": None, **more},
        )  # fmt: skip

    app = orders.pay(order("first"), at).app
    again = orders.pay(order("second", app=app), at)
    refunds.refund(again.package, by=olga, reason="mistake", at=at)
    orders.cancel(order("third"), at)
    order("fourth")
    key = keys.of(app)[0] if hasattr(keys, "of") else app.keys.get()

    def call(images: int = 2) -> Any:
        made = LiveCall(
            calls.new_id(at), "face_detect", at, "203.0.113.9", key=key, images=images, is_authentic=True
        )
        made.debit = quota.reserve(call_id=made.id, app=app, api=made.api, images=images, at=at)
        return made

    served, unanswered = call(), call(1)
    calls.succeed(served, at)
    quota.confirm({served.id: 2})
    calls.succeed(unanswered, at)
    calls.fail(call(3), ApiError(errors.UNDECODABLE, index=1), at)
    call(4)
    later = at + timedelta(minutes=10)
    quota.sweep(later)
    calls.withdraw_unconfirmed(later)
    rollups.close(at + timedelta(hours=3))
    rollups.rebuild(at)
    list(rollups.differences())
    notices.scan(later)
    forecast.sample(at)
    orders.expire_due(at + timedelta(days=3))
    reconcile.run_and_record(later)
    _open_pages(alice, olga, app, again)


def _open_pages(alice: Any, olga: Any, app: Any, order: Any) -> None:
    """Open the pages of customers and operators; redirected pages send queries too."""
    from django.apps import apps
    from django.test import Client

    pages = [
        "/console/", "/console/apps/", f"/console/apps/{app.app_id}/", f"/console/apps/{app.app_id}/keys/",
        f"/console/apps/{app.app_id}/report/", f"/console/apps/{app.app_id}/report/?range=30d",
        f"/console/apps/{app.app_id}/report.csv", "/console/orders/", "/console/orders/new/",
        f"/console/orders/{order.number}/", "/console/wallet/", "/console/wallet/statement.csv",
        "/console/inbox/", "/console/debug/", "/console/settings/",
    ]  # fmt: skip
    records = [
        f"/admin/{model._meta.app_label}/{model._meta.model_name}/"
        for model in apps.get_models()
        if model._meta.app_label in ("accounts", "billing", "faceapi")
    ]
    desks = ["/ops/", "/ops/business/", "/ops/live/", "/ops/desk/?q=alice", "/ops/approvals/", "/metrics"]
    for user, paths in ((alice, pages), (olga, [*desks, *records])):
        client = Client(headers={"host": "localhost"})
        client.force_login(user)
        for path in paths:
            with suppress(Exception):  # a model without a page
                client.get(path)


if __name__ == "__main__":
    main()
