"""Reconciling groups, faces and persons."""

from datetime import datetime

import pytest
from django.db import connection

from accounts.models import App
from tests.gallery.conftest import Enrol, breaks, template

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        ("UPDATE gallery_group SET faces = 7", "gallery group"),
        ("UPDATE gallery_face SET model_version = 'x'", "gallery group"),
        ("UPDATE gallery_face SET call_id = gen_random_uuid()", "gallery face"),
        ("DELETE FROM gallery_face", "gallery person"),
    ],
)
def test_reconcile_finds_what_was_tampered_with(
    app: App, enrol: Enrol, now: datetime, statement: str, row: str
) -> None:
    enrol(app, "p", template(1))
    assert not breaks(now)
    with connection.cursor() as cursor:
        cursor.execute(statement)
    assert any(found.startswith(row) for found in breaks(now))
