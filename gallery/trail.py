"""The audit trail of all actions on faces, in ids and counts; the only writer of TrailEntry."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from accounts.models import App, User
from gallery.models import Action, Group, Person, TrailEntry
from gallery.vectors import keys

MAX_TAGS = 100  # in one entry


@dataclass(frozen=True, slots=True)
class Actor:
    """The API call or the console user of an action; neither for a scheduled task or a command."""

    call_id: UUID | None = None
    by: User | None = None


SYSTEM = Actor()


def write(
    app: App,
    action: Action,
    at: datetime,
    actor: Actor,
    *,
    groups: Iterable[str],
    tags: Iterable[str] = (),
    faces: int = 0,
) -> None:
    """Write an entry per MAX_TAGS tags, in the transaction of the action that it records."""
    named = sorted(set(tags))
    for first in range(0, len(named) or 1, MAX_TAGS):
        TrailEntry.objects.create(
            app=app,
            at=at,
            action=action,
            group_ids=sorted(set(groups)),
            tags=named[first : first + MAX_TAGS],
            faces=faces if first == 0 else 0,
            call_id=actor.call_id,
            by=actor.by,
        )


def names_of(app: App, entries: Sequence[TrailEntry]) -> dict[str, str]:
    """Return the person ids of the tags in these entries, for persons that still exist."""
    tags = {tag for entry in entries for tag in entry.tags}
    found = Person.objects.filter(group__app=app, tag__in=tags)
    return dict(found.values_list("tag", "person_id"))


def tags_of(app: App, person_id: str) -> list[str]:
    """Return the tags of a person id in the App's groups, whether the person still exists or not."""
    return [keys.tag(group, person_id) for group in Group.objects.filter(app=app)]
