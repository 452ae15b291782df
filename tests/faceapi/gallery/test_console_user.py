"""The trail names the customer for calls of the console, and no other caller can forge that."""

from datetime import datetime

import pytest
from django.conf import settings

from accounts.models import App, User
from faceapi.gallery import console_user
from gallery.models import TrailEntry
from tests.faceapi.conftest import inline
from tests.faceapi.gallery.conftest import Gallery, entry
from tests.gallery.conftest import app_of


def meta(header: dict[str, str]) -> dict[str, str]:
    return {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in header.items()}


def test_only_the_console_can_name_the_customer(
    app: App, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    mallory = app_of("mallory", now)
    assert console_user.of(meta(console_user.header(app, app.customer)), app) == app.customer
    assert console_user.of(meta(console_user.header(mallory, mallory.customer)), app) is None
    assert console_user.of(meta(console_user.header(app, mallory.customer)), app) is None
    assert console_user.of({}, app) is None
    assert console_user.of({"HTTP_X_CONSOLE_USER": "[1, 1]:x:y"}, app) is None
    old = console_user.header(app, app.customer)
    monkeypatch.setattr(console_user, "VALID_S", -1)
    assert console_user.of(meta(old), app) is None


def test_the_trail_names_the_customer_of_a_console_call(
    gallery: Gallery, app: App, portrait: bytes, worker: object, product_environment: dict[str, str]
) -> None:
    key = product_environment["DJANGO_SECRET_KEY"]
    assert key == settings.SECRET_KEY
    who = User.objects.get(pk=app.customer_id)
    header = {"X_Console_User": console_user.header(app, who)[console_user.HEADER]}
    assert gallery.send("face_person_add", [entry("1001", portrait)], **header).code == 0
    search = [inline(portrait)], {"groups": ["staff"]}
    assert gallery.send("face_search", *search, **header).code == 0
    assert gallery.send("face_search", *search, X_Console_User="forged").code == 0
    trail = TrailEntry.objects.filter(app=app, call_id__isnull=False).exclude(action="group_add")
    assert [one.by_id for one in trail.order_by("pk")] == [who.pk, who.pk, None]
