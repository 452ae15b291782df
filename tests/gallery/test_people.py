"""The list of persons, page by page."""

from datetime import datetime

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from accounts.models import App
from gallery import people
from gallery.models import Group, Person

pytestmark = pytest.mark.django_db


@pytest.fixture
def many(app: App, now: datetime) -> App:
    """Create persons without faces, to be listed."""
    group = Group.objects.get(app=app)
    ids = ["a", "A", "a.b", "a-b", "_", "0", "9" * 64, *(f"p{n}" for n in range(30))]
    Person.objects.bulk_create(
        Person(group=group, person_id=one, tag=f"{n:032x}", created_at=now) for n, one in enumerate(ids)
    )
    return app


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(limit=st.integers(1, 50), prefix=st.sampled_from(["", "p", "p1", "a", "zz"]))
def test_pages_show_every_person_once_in_order(many: App, limit: int, prefix: str) -> None:
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        rows, after = people.page(many, "staff", after, limit, prefix=prefix)
        assert len(rows) <= limit
        assert after is None or len(rows) == limit
        seen += [row.person.person_id for row in rows]
    expected = Person.objects.filter(person_id__startswith=prefix).order_by("person_id")
    assert seen == list(expected.values_list("person_id", flat=True))
