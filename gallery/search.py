"""Search: whose stored face a face is. Matching is done by PostgreSQL, on rotated vectors.

A group is scanned exactly, which finds every match, up to settings.GALLERY_EXACT_FACES; a larger one is
searched through its HNSW index (indexing.py), which misses some (docs/benchmarks.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from accounts.models import App
from gallery import groups, templates
from gallery.errors import NoSuchFace, NoSuchGroup, OtherModel
from gallery.models import MAX_FACES_OF_PERSON, Face, Group, Person
from inference.calibration import scoring
from inference.results import Template

MAX_GROUPS = 10
MAX_TOP = 100
EF_SEARCH = 200


@dataclass(frozen=True, slots=True)
class Match:
    """A person that a face matches, by the best of the person's stored faces."""

    group_id: str
    person_id: str
    tag: str
    face_id: UUID
    confidence: float


# What is lawful to search: the consent has not expired, nor has the group's retention.
_KEPT = """
    face.group_id = %(group)s AND face.model_version = %(version)s
    AND (face.consent_expires_at IS NULL OR face.consent_expires_at > %(at)s)
    AND (%(kept_since)s::timestamptz IS NULL OR face.created_at > %(kept_since)s::timestamptz)
"""
# The inner product in half precision finds the candidates, and in full precision orders them. `+ 0` keeps the
# planner from the HNSW index, whose answer is not exact.
_NEAREST = """
WITH candidates AS MATERIALIZED (
    SELECT face.id, face.person_id, face.embedding, face.remainder
      FROM gallery_face AS face
     WHERE {kept}
     ORDER BY {order} LIMIT %(limit)s
), scored AS (
    SELECT DISTINCT ON (person_id) id, person_id,
           -((embedding::vector + remainder::vector) <#> %(probe)s::vector) AS product
      FROM candidates ORDER BY person_id, product DESC
)
SELECT person.person_id, person.tag, scored.id, scored.product
  FROM scored JOIN gallery_person AS person ON person.id = scored.person_id
 ORDER BY scored.product DESC, person.person_id LIMIT %(top)s
"""
_EXACT = _NEAREST.format(kept=_KEPT, order="(face.embedding <#> %(probe)s::halfvec) + 0")
_INDEXED = _NEAREST.format(kept=_KEPT + " AND face.indexed", order="face.embedding <#> %(probe)s::halfvec")


def nearest(group: Group, template: Template, *, top: int, at: datetime) -> list[Match]:
    """Return the `top` persons of a group that are most like this face, best first."""
    probe = "[" + ",".join(map(repr, templates.probe(template, group))) + "]"
    days = group.retention_days
    values: dict[str, Any] = {
        "group": group.pk,
        "version": scoring.template_version(),
        "probe": probe,
        "at": at,
        "kept_since": at - timedelta(days=days) if days is not None else None,
        # So many that `top` persons are among them, however many faces each of them has.
        "limit": top * MAX_FACES_OF_PERSON,
        "top": top,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        # As it is now: the group may have left the index while the picture was worked on.
        is_indexed = _is_indexed(group)
        if is_indexed:
            # Iterative scan: the index is read on until enough of its entries are of this group.
            cursor.execute(
                "SELECT set_config('hnsw.iterative_scan', 'strict_order', true),"
                " set_config('hnsw.ef_search', %s, true), set_config('enable_sort', 'off', true)",
                [str(EF_SEARCH)],
            )
            cursor.execute(_INDEXED, values)
            rows = cursor.fetchall()
        if not is_indexed or not _is_indexed(group):  # or its faces left the index during the query
            cursor.execute(_EXACT, values)
            rows = cursor.fetchall()
    return [
        Match(group.group_id, person_id, tag, face_id, scoring.confidence_of(product, template))
        for person_id, tag, face_id, product in rows
    ]


def _is_indexed(group: Group) -> bool:
    return Group.objects.filter(pk=group.pk, indexed_at__isnull=False).exists()


def searched(app: App, group_ids: Sequence[str]) -> list[Group]:
    """Return the groups to search. Raises NoSuchGroup, and OtherModel: nothing compares across versions."""
    found = groups.find(app, group_ids)
    version = scoring.template_version()
    for group in found.values():
        if group.faces and group.model_version != version:
            raise OtherModel(group_id=group.group_id)
    return list(found.values())


def best(
    in_groups: Sequence[Group], template: Template, *, top: int, min_confidence: float, at: datetime
) -> list[Match]:
    """Return the `top` persons of all these groups that reach `min_confidence`, best first."""
    found = [match for group in in_groups for match in nearest(group, template, top=top, at=at)]
    found.sort(key=lambda match: (-match.confidence, match.group_id, match.person_id))
    return [match for match in found[:top] if match.confidence >= min_confidence]


def false_match_rate(confidence: float, faces: int) -> float:
    """Return the chance that among `faces` stored faces some stranger's reaches this confidence.

    The stranger is a look-alike, as for `confidence` itself: of the same gender, age group and ethnic group.
    """
    return float(1 - (1 - scoring.false_accept_rate(confidence)) ** faces)


@dataclass(frozen=True, slots=True)
class Reference:
    """A stored person (`face:<group_id>/<person_id>`), or one stored face, in a pair of face_compare."""

    group_id: str
    person_id: str
    face_id: UUID | None
    index: int


@dataclass(frozen=True, slots=True)
class Known:
    """What a reference stands for: the templates of a person."""

    templates: tuple[Template, ...]
    group_id: str
    tag: str


def look_up(app: App, references: Sequence[Reference], at: datetime) -> list[Known]:
    """Return the templates of each reference.

    Raises NoSuchGroup, NoSuchFace and OtherModel with the index of the pair.
    """
    known: dict[tuple[str, str, UUID | None], Known] = {}
    answers = []
    for one in references:
        key = one.group_id, one.person_id, one.face_id
        if key not in known:
            known[key] = _look_up(app, one, at)
        answers.append(known[key])
    return answers


def _look_up(app: App, one: Reference, at: datetime) -> Known:
    group = Group.objects.filter(app=app, group_id=one.group_id).first()
    if group is None:
        raise NoSuchGroup(index=one.index, group_id=one.group_id)
    if group.faces and group.model_version != scoring.template_version():
        raise OtherModel(index=one.index, group_id=one.group_id)
    person = Person.objects.filter(group=group, person_id=one.person_id).first()
    faces = [
        face
        for face in Face.objects.filter(person=person)
        if is_kept(face, group, at) and one.face_id in (None, face.pk)
    ]
    if person is None or not faces:
        raise NoSuchFace(index=one.index, group_id=one.group_id, person_id=one.person_id, face_id=one.face_id)
    return Known(tuple(templates.restored(face, group) for face in faces), one.group_id, person.tag)


def is_kept(face: Face, group: Group, at: datetime) -> bool:
    """Return whether the face may still be used: neither its consent nor its retention is over."""
    ends_at = kept_until(face, group)
    return ends_at is None or ends_at > at


def kept_until(face: Face, group: Group) -> datetime | None:
    """Return when the face is deleted by itself: the end of its consent or of its retention."""
    ends = [face.consent_expires_at] if face.consent_expires_at is not None else []
    if group.retention_days is not None:
        ends.append(face.created_at + timedelta(days=group.retention_days))
    return min(ends, default=None)
