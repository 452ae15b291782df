"""The look-up of the notices that exist reads an index, however many notices are kept."""

import pytest
from django.db import connection

from accounts.models import User
from billing.models import Notice, NoticeKind
from billing.notices import due
from tests.billing.conftest import NOON

CUSTOMERS, OF_EACH = 300, 200
FILL = """
INSERT INTO billing_notice (customer_id, kind, key, api, created_at)
SELECT customer.id, 'unpaid', format('unpaid %%s %%s', customer.id, number), '', %s
  FROM accounts_user AS customer, generate_series(1, %s) AS number
"""


def wanted() -> list[Notice]:
    """Return for each customer a notice that exists and one that does not."""
    return [
        Notice(customer_id=pk, kind=NoticeKind.UNPAID, key=f"unpaid {pk} {number}", created_at=NOON)
        for pk in User.objects.values_list("pk", flat=True)
        for number in (7, OF_EACH + 7)
    ]


@pytest.mark.django_db
def test_the_notices_that_exist_are_looked_up_by_customer() -> None:
    User.objects.bulk_create(
        [User(username=f"c{number}", email=f"c{number}@example.org") for number in range(CUSTOMERS)]
    )
    with connection.cursor() as cursor:
        cursor.execute(FILL, [NOON, OF_EACH])
        cursor.execute("ANALYZE billing_notice")
    plans = []

    def explain(execute, sql, params, many, context):
        if sql.startswith("SELECT") and "billing_notice" in sql:
            with connection.connection.cursor() as cursor:
                cursor.execute("EXPLAIN " + sql, params)
                plans.append("\n".join(line for (line,) in cursor.fetchall()))
        return execute(sql, params, many, context)

    due_now = wanted()
    with connection.execute_wrapper(explain):
        assert due.add(due_now, NOON) == CUSTOMERS
    for plan in plans:
        conditions = [line for line in plan.splitlines() if "Index Cond" in line]
        assert "Seq Scan" not in plan, plan
        assert conditions, plan
        assert all("customer_id =" in line for line in conditions), plan
    assert len(plans) == 2 * CUSTOMERS / due.BATCH
    assert due.add(wanted(), NOON) == 0
