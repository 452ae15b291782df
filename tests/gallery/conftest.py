"""Fixtures of the gallery: the Apps of Alice and Bob, synthetic templates, enrolments of settled calls."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from uuid import UUID

import numpy as np
import pytest
from django.utils import timezone

from accounts.applications import create_app
from accounts.models import App, Region, User
from billing.models import Debit
from faceapi import calls
from gallery import enrolment, groups, reconcile
from gallery.enrolment import Entry
from gallery.groups import Wanted
from gallery.models import TrailEntry
from gallery.trail import Actor
from inference.results import Quality, Template

Enrol = Callable[..., UUID]
GOOD = Quality(1.0, ())


def template(seed: int, *, like: int | None = None, noise: float = 0.4) -> Template:
    """Return a synthetic template: of a new person, or of another picture of the person of seed `like`."""
    random = np.random.default_rng(seed)
    base = np.random.default_rng(like if like is not None else seed)

    def vector() -> tuple[float, ...]:
        found = base.normal(size=128)
        found /= np.linalg.norm(found)
        if like is not None:
            found += random.normal(size=128) * noise / np.sqrt(128)
        return tuple(np.round(found / np.linalg.norm(found), 7).tolist())

    return Template(vector(), vector(), round(float(base.normal(-2, 0.3)), 6), GOOD)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def app_of(name: str, at: datetime) -> App:
    user = User.objects.create_user(name, f"{name}@example.org")
    region = Region.objects.filter(is_active=True).first()
    assert region is not None
    return create_app(customer=user, region=region, name="门禁", description="大楼", at=at)


@pytest.fixture
def app(db: None, now: datetime) -> App:
    """Return Alice's App with the group `staff`."""
    made = app_of("alice", now)
    groups.add(made, [Wanted("staff", "员工")], now, Actor())
    return made


@pytest.fixture
def other_app(db: None, now: datetime) -> App:
    """Return Bob's App with a group of the same id."""
    made = app_of("bob", now)
    groups.add(made, [Wanted("staff", "员工")], now, Actor())
    return made


def store(
    app: App,
    person_id: str,
    face: Template,
    *,
    at: datetime,
    group_id: str = "staff",
    expires_at: datetime | None = None,
    unique: bool = False,
    note: str | None = None,
) -> UUID:
    """Store one face as a settled call does; return the call's id."""
    call_id = calls.new_id(at)
    Debit.objects.create(
        call_id=call_id,
        app=app,
        api="face_search",
        units=1,
        state="settled",
        remaining_after=0,
        created_at=at,
        hold_expires_at=at,
        closed_at=at,
    )
    entries = [Entry(group_id, person_id, "HR-12", expires_at, note)]
    faces = enrolment.with_ids(entries, [face], call_id)
    enrolment.store(app, faces, at, Actor(call_id), unique_from=70.0 if unique else None)
    return call_id


@pytest.fixture
def enrol(now: datetime) -> Enrol:
    """Return `store` with the current time by default."""
    return partial(store, at=now)


def actions(app: App) -> list[str]:
    """Return the actions in the audit trail of the App, oldest first."""
    return list(TrailEntry.objects.filter(app=app).order_by("pk").values_list("action", flat=True))


def breaks(at: datetime) -> list[str]:
    """Return the rows that the checks of the gallery find inconsistent."""
    checks = (
        reconcile.groups_count_their_faces,
        reconcile.enrolled_faces_were_charged,
        reconcile.faces_match_their_persons,
    )
    return [found.row for check in checks for found in check(at)]
