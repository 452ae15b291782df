"""The previous version runs on the new schema during an upgrade: the statements of its main paths work.

The statements were recorded in revision 0bb134c: a purchase, calls that end in each way, the scheduled tasks,
reconcile, and the pages of customers and operators. Record those of the next release when it is made.
"""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from embedded.services.postgres import APPLICATION
from tests.rows import undisturbed

STATEMENTS = json.loads((Path(__file__).parent / "statements.json").read_text(encoding="utf-8"))
IDENTITIES = """
SELECT depend.refobjid::regclass::text, depend.objid::regclass::text
  FROM pg_depend AS depend JOIN pg_class ON pg_class.oid = depend.objid AND relkind = 'S'
 WHERE depend.classid = 'pg_class'::regclass AND depend.refclassid = 'pg_class'::regclass
   AND depend.deptype IN ('a', 'i')
"""


def number_from_one(cursor: Any) -> None:
    """Let empty tables number their rows as in the database that the statements were recorded in."""
    cursor.execute(IDENTITIES)
    for table, sequence in cursor.fetchall():
        cursor.execute(f"SELECT EXISTS (SELECT FROM {table})")
        if not cursor.fetchone()[0]:
            cursor.execute(f"ALTER SEQUENCE {sequence} RESTART")  # is undone with the transaction


def replay(statements: list[Any]) -> None:
    """Send the statements as the application's role; reads find at least as many rows, writes as many."""
    with connection.cursor() as cursor:
        number_from_one(cursor)
        cursor.execute(f"SET LOCAL ROLE {APPLICATION}")
        for sent, rows in statements:
            cursor.execute(sent)
            if sent.lstrip().startswith("SELECT"):
                assert cursor.rowcount >= rows, sent
            else:
                assert cursor.rowcount == rows, sent
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("RESET ROLE")


@pytest.mark.django_db
def test_the_previous_version_works_on_the_new_schema() -> None:
    assert len(STATEMENTS) > 400
    undisturbed(partial(replay, STATEMENTS))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE accounts_app DROP COLUMN description",
        "ALTER TABLE billing_period RENAME COLUMN used TO taken",
        "ALTER TABLE accounts_user ADD COLUMN more text NOT NULL",
        "DROP FUNCTION faceapi_record_call",
        "REVOKE INSERT ON faceapi_call FROM " + APPLICATION,
    ],
)
def test_an_incompatible_change_of_the_schema_is_detected(change: str) -> None:
    def detected() -> None:
        with connection.cursor() as cursor:
            cursor.execute(change)
        with pytest.raises((ProgrammingError, IntegrityError)), transaction.atomic():
            replay(STATEMENTS)

    undisturbed(detected)
