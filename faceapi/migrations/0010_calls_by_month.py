"""Calls are partitioned by month, as debits are (billing 0023, which says how)."""

from datetime import UTC, datetime, timedelta

from django.db import migrations, transaction

AHEAD = 3


def split(apps, schema_editor):
    """Add and validate the bound, then swap the tables in one short transaction. Can be run again."""
    with schema_editor.connection.cursor() as cursor:
        bound, months = _bound(cursor)
        try:
            cursor.execute("ALTER TABLE faceapi_call DROP CONSTRAINT IF EXISTS months_bound")
            cursor.execute(
                f"ALTER TABLE faceapi_call ADD CONSTRAINT months_bound CHECK (id < '{bound}') NOT VALID"
            )
            cursor.execute("ALTER TABLE faceapi_call VALIDATE CONSTRAINT months_bound")
            with transaction.atomic(schema_editor.connection.alias):
                cursor.execute("SELECT months_split('faceapi_call', 'id', %s)", [bound])
                for month in months:
                    cursor.execute("SELECT months_make('{faceapi_call}', %s)", [month])
        except BaseException:
            cursor.execute("ALTER TABLE faceapi_call DROP CONSTRAINT IF EXISTS months_bound")
            raise


def _bound(cursor):
    """Return the first id after the first partition, and the months that follow it."""
    cursor.execute(
        "SELECT greatest(now() AT TIME ZONE 'UTC',"
        " (SELECT months_day_of(id) FROM faceapi_call ORDER BY id DESC LIMIT 1))"
    )
    (newest,) = cursor.fetchone()
    if newest > datetime.now(UTC).replace(tzinfo=None) + timedelta(days=400):
        raise ValueError(f"a call's id is of {newest:%F}: was a host's clock years ahead?")
    # No row of the version before may come too late for the first partition while this runs.
    after = (newest + timedelta(days=2)).date().replace(day=1)
    months = []
    for _ in range(AHEAD + 1):
        after = (after + timedelta(days=32)).replace(day=1)
        months.append(after)
    cursor.execute("SELECT months_first_id(%s)", [months[0]])
    return cursor.fetchone()[0], months


def join(apps, schema_editor):
    """Make one table of the partitions again."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT months_join('faceapi_call')")


class Migration(migrations.Migration):
    atomic = False  # rows are read without a lock that others wait for
    dependencies = [("billing", "0023_debits_by_month"), ("faceapi", "0009_face_search")]
    operations = [migrations.RunPython(split, join, atomic=False)]
