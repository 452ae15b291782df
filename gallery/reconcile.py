"""The checks of this room for `manage.py reconcile` (settings.RECONCILE_CHECKS)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from billing.books.reconcile import Break


def _rows(sql: str, values: list[Any] | None = None) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def groups_count_their_faces(at: datetime) -> Iterable[Break]:
    """Check that each group's number of faces matches its rows, and that all have its model version."""
    for pk, counted, rows, versions in _rows("""
        SELECT groups.id, groups.faces, count(face.id),
               count(*) FILTER (WHERE face.model_version <> groups.model_version)
          FROM gallery_group AS groups LEFT JOIN gallery_face AS face ON face.group_id = groups.id
         GROUP BY groups.id
        HAVING groups.faces <> count(face.id)
            OR count(*) FILTER (WHERE face.model_version <> groups.model_version) > 0
    """):
        yield Break(f"gallery group {pk}", f"counts {counted} faces, has {rows}; {versions} of another model")


def enrolled_faces_were_charged(at: datetime) -> Iterable[Break]:
    """Check that every stored face was enrolled by a call that was charged.

    A missing debit is a break only for faces of the last day, because older debits may have been dropped.
    """
    for pk, call_id, state in _rows(
        """
        SELECT face.id, face.call_id, coalesce(debit.state, 'missing')
          FROM gallery_face AS face
          JOIN gallery_group AS groups ON groups.id = face.group_id
          LEFT JOIN billing_debit AS debit ON debit.call_id = face.call_id AND debit.app_id = groups.app_id
         WHERE debit.state IN ('held', 'returned') OR debit.state IS NULL AND face.created_at > %s
        """,
        [at - timedelta(days=1)],
    ):
        yield Break(f"gallery face {pk}", f"enrolled by call {call_id}, whose debit is {state}")


def faces_match_their_persons(at: datetime) -> Iterable[Break]:
    """Check that each face is in the group of its person, and that each person has a face."""
    for pk, faces in _rows("""
        SELECT person.id, count(face.id)
          FROM gallery_person AS person LEFT JOIN gallery_face AS face ON face.person_id = person.id
         GROUP BY person.id, person.group_id
        HAVING count(face.id) = 0 OR bool_or(face.group_id <> person.group_id)
    """):
        yield Break(f"gallery person {pk}", f"has {faces} faces, or some of another group")
