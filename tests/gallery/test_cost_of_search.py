"""A search compares a face with its candidates only, whichever way they were found."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from django.db import connection

from accounts.models import App
from gallery import search
from gallery.models import Face, Group
from tests.gallery.conftest import Enrol, template

FACES = 200


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from nodes(inner)


@pytest.mark.parametrize("is_indexed", [False, True])
def test_only_candidates_are_compared_in_full_precision(
    app: App, enrol: Enrol, now: datetime, is_indexed: bool
) -> None:
    for seed in range(FACES):
        enrol(app, f"p{seed}", template(seed))
    Group.objects.update(indexed_at=now if is_indexed else None)
    Face.objects.update(indexed=is_indexed)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE gallery_face, gallery_person")
    plans: list[dict[str, Any]] = []

    def explain(execute, sql, params, many, context):
        if "gallery_face" in sql:
            with connection.connection.cursor() as cursor:
                cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + sql, params)
                plans.append(cursor.fetchone()[0][0]["Plan"])
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explain):
        found = search.nearest(Group.objects.get(), template(FACES, like=7), top=1, at=now)
    assert found[0].person_id == "p7"
    # In a nested loop without an index, each face would be compared with each candidate.
    removed = [node.get("Rows Removed by Join Filter", 0) for plan in plans for node in nodes(plan)]
    assert len(plans) > 0
    assert sum(removed) == 0
