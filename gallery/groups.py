"""Create, change, list and delete groups; the only writer of Group except for its model version."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Sum

from accounts.models import App
from gallery import trail
from gallery.errors import GalleryFull, NoSuchGroup
from gallery.locks import lock
from gallery.models import Action, Group
from gallery.retention import erasure, remembered
from gallery.trail import Actor
from gallery.vectors import keys

MAX_GROUPS = 1000


@dataclass(frozen=True, slots=True)
class Wanted:
    """The wanted state of a group. Without `retention_days`, its faces are kept until they are deleted.

    If the group exists, only the `given` fields are changed.
    """

    group_id: str
    name: str
    retention_days: int | None = None
    given: frozenset[str] = frozenset({"name", "retention_days"})


def find(app: App, group_ids: Sequence[str]) -> dict[str, Group]:
    """Return the App's groups with these ids. Raises NoSuchGroup, with the position of the id."""
    found = {group.group_id: group for group in Group.objects.filter(app=app, group_id__in=set(group_ids))}
    for index, group_id in enumerate(group_ids):
        if group_id not in found:
            raise NoSuchGroup(index=index, group_id=group_id)
    return found


@transaction.atomic
def add(app: App, wanted: Sequence[Wanted], at: datetime, actor: Actor) -> list[bool]:
    """Create or update each group; return for each whether it was created. Raises GalleryFull."""
    lock(app)
    ids = {one.group_id for one in wanted}
    groups = {group.group_id: group for group in Group.objects.filter(app=app, group_id__in=ids)}
    free = MAX_GROUPS - Group.objects.filter(app=app).count()
    created = []
    for index, one in enumerate(wanted):
        group = groups.get(one.group_id)
        created.append(group is None)
        if group is None:
            if free <= 0:
                raise GalleryFull(index=index, what="groups", limit=MAX_GROUPS)
            free -= 1
            groups[one.group_id] = Group.objects.create(
                app=app,
                group_id=one.group_id,
                name=one.name,
                retention_days=one.retention_days,
                created_at=at,
                key_encrypted=keys.new_key(),
            )
            trail.write(app, Action.GROUP_ADD, at, actor, groups=[one.group_id])
            continue
        name = one.name if "name" in one.given else group.name
        days = one.retention_days if "retention_days" in one.given else group.retention_days
        if (group.name, group.retention_days) != (name, days):
            group.name, group.retention_days = name, days
            group.save(update_fields=["name", "retention_days"])
            trail.write(app, Action.GROUP_CHANGE, at, actor, groups=[one.group_id])
    return created


@dataclass(frozen=True, slots=True)
class Listed:
    """A group with its current number of persons."""

    group: Group
    persons: int


def page(app: App, after: str, limit: int) -> tuple[list[Listed], str | None]:
    """Return the groups whose ids follow `after`, and the `after` of the next page, if there is one."""
    rows = list(Group.objects.filter(app=app, group_id__gt=after).order_by("group_id")[: limit + 1])
    counts = dict(
        Group.objects.filter(pk__in=[group.pk for group in rows])
        .order_by()
        .values_list("pk")
        .annotate(Count("persons"))
    )
    shown = [Listed(group, counts[group.pk]) for group in rows[:limit]]
    return shown, shown[-1].group.group_id if len(rows) > limit else None


@transaction.atomic
def delete(app: App, group_id: str, at: datetime, actor: Actor) -> int:
    """Delete a group with its persons, faces and key; return the number of faces, 0 if it does not exist."""
    lock(app)
    group = Group.objects.filter(app=app, group_id=group_id).first()
    if group is None:
        return 0
    faces = erasure.empty(group)
    remembered.forget(app.pk)
    group.delete()
    trail.write(app, Action.GROUP_DELETE, at, actor, groups=[group_id], faces=faces)
    return faces


def delete_all(apps: Iterable[App], at: datetime, actor: Actor) -> int:
    """Delete every group of these Apps, one transaction each; return the number of faces."""
    faces = 0
    for app in apps:
        for group_id in Group.objects.filter(app=app).values_list("group_id", flat=True):
            faces += delete(app, group_id, at, actor)
    return faces


def faces_of_closed_accounts() -> int:
    """Return the number of stored faces of closed accounts, whose customers cannot delete them."""
    closed = Group.objects.filter(app__customer__is_active=False)
    return closed.aggregate(total=Sum("faces"))["total"] or 0


def face_limit(app: App) -> int:
    """Return the App's limit of stored faces: its own, or the installation's."""
    return app.face_limit if app.face_limit is not None else int(settings.GALLERY_FACES_PER_APP)
