"""Search for the stored persons that match a face. PostgreSQL does the matching, on rotated vectors.

A group of up to settings.GALLERY_EXACT_FACES faces is scanned exactly, which finds every match. A larger one
is searched through the HNSW index (vectors/indexing.py), which misses some (docs/benchmarks.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from django.db import connection, transaction

from accounts.models import App
from gallery import groups
from gallery.errors import NoSuchFace, NoSuchGroup, OtherModel
from gallery.models import MAX_FACES_OF_PERSON, Face, Group, Person
from gallery.vectors import templates
from inference.calibration import scoring
from inference.results import Template

MAX_GROUPS = 10
MAX_TOP = 100
MAX_PAIRS_SCORED = 4  # up to this number of pairs, all are scored, without a preselection
EF_SEARCH = 400  # finds whom the exact scan finds, also among 100 000 (docs/benchmarks.md)
# All large groups share the index, so most entries that a scan reads may belong to other groups. Therefore
# the limits are ten times the defaults of pgvector (docs/benchmarks.md).
MAX_SCAN_TUPLES = 200_000
SCAN_MEM_MULTIPLIER = 10  # of work_mem


@dataclass(frozen=True, slots=True)
class Match:
    """A person that matches a face, by the best of the person's stored faces."""

    group_id: str
    person_id: str
    tag: str
    face_id: UUID
    confidence: float


# Faces that can be compared and may be searched: neither the consent nor the group's retention has ended.
_KEPT = """
    face.group_id = %(group)s AND face.model_version = %(version)s
    AND face.vector IS NOT NULL
    AND (face.consent_expires_at IS NULL OR face.consent_expires_at > %(at)s)
    AND (%(since)s::timestamptz IS NULL OR face.created_at > %(since)s::timestamptz)
"""
# The inner product in half precision selects the candidates. They are ids only, because sorting rows of 1 kB
# takes four times the CPU time for `top` 100. `+ 0` keeps the planner from using the HNSW index, whose result
# is not exact.
_CANDIDATES = "SELECT face.id FROM gallery_face AS face WHERE {kept} ORDER BY {order} LIMIT %(limit)s"
_EXACT = _CANDIDATES.format(kept=_KEPT, order="(face.vector <#> %(probe)s::halfvec) + 0")
_INDEXED = _CANDIDATES.format(kept=_KEPT + " AND face.indexed", order="face.vector <#> %(probe)s::halfvec")
# The inner product in full precision ranks them. It is a statement of its own, because `enable_sort = off`,
# which makes the planner use the HNSW index, would also make it compare each candidate with every face.
_BEST = """
WITH scored AS (
    SELECT DISTINCT ON (person_id) id, person_id,
           -((vector::vector + vector_remainder::vector) <#> %(probe)s::vector) AS product
      FROM gallery_face WHERE id = ANY(%(candidates)s) ORDER BY person_id, product DESC
)
SELECT person.person_id, person.tag, scored.id, scored.product
  FROM scored JOIN gallery_person AS person ON person.id = scored.person_id
 ORDER BY scored.product DESC, person.person_id LIMIT %(top)s
"""


def nearest(
    group: Group, template: Template, *, top: int, at: datetime, enrolled_since: datetime | None = None
) -> list[Match]:
    """Return the `top` persons of a group that are most similar to this face, best first.

    With `enrolled_since`, only among the faces that were enrolled after that moment, by an exact scan.
    """
    probe = "[" + ",".join(map(repr, templates.probe(template, group))) + "]"
    since = [at - timedelta(days=group.retention_days)] if group.retention_days is not None else []
    if enrolled_since is not None:
        since.append(enrolled_since)
    values: dict[str, Any] = {
        "group": group.pk,
        "version": scoring.template_version(),
        "probe": probe,
        "at": at,
        "since": max(since, default=None),
        # Enough faces for `top` persons, even if each has the maximum number of faces.
        "limit": top * MAX_FACES_OF_PERSON,
        "top": top,
    }
    with transaction.atomic(), connection.cursor() as cursor:
        # Read the current state: the group may have left the index during inference.
        is_indexed = enrolled_since is None and _is_indexed(group)
        if is_indexed:
            # Iterative scan: read the index until enough entries belong to this group.
            cursor.execute(
                "SELECT set_config('hnsw.iterative_scan', 'strict_order', true),"
                " set_config('hnsw.ef_search', %s, true), set_config('hnsw.max_scan_tuples', %s, true),"
                " set_config('hnsw.scan_mem_multiplier', %s, true), set_config('enable_sort', 'off', true)",
                [str(EF_SEARCH), str(MAX_SCAN_TUPLES), str(SCAN_MEM_MULTIPLIER)],
            )
            cursor.execute(_INDEXED, values)
            candidates = cursor.fetchall()
            cursor.execute("SELECT set_config('enable_sort', 'on', true)")
        if not is_indexed or not _is_indexed(group):  # or if its faces left the index during the query
            cursor.execute(_EXACT, values)
            candidates = cursor.fetchall()
        cursor.execute(_BEST, values | {"candidates": [face_id for (face_id,) in candidates]})
        rows = cursor.fetchall()
    return [
        Match(group.group_id, person_id, tag, face_id, scoring.confidence_of(product, template))
        for person_id, tag, face_id, product in rows
    ]


def _is_indexed(group: Group) -> bool:
    return Group.objects.filter(pk=group.pk, indexed_at__isnull=False).exists()


def searched(app: App, group_ids: Sequence[str]) -> list[Group]:
    """Return the groups to search. Raises NoSuchGroup, and OtherModel for templates of another version.

    The errors have no index: the groups are an option of the request, not entries of its data.
    """
    try:
        found = groups.find(app, group_ids)
    except NoSuchGroup as refusal:
        raise NoSuchGroup(**refusal.values) from None
    for group in found.values():
        if not _is_comparable(group):
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
    """Return an upper bound of the probability that one of `faces` strangers' faces reaches `confidence`.

    It assumes, as `confidence` does, that all of them are of the same gender, age group and ethnic group. In
    a mixed gallery, the probability is about a tenth (docs/benchmarks.md).
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
    """The templates of the person that a reference names."""

    templates: tuple[Template, ...]
    group_id: str
    tag: str


def look_up(app: App, references: Sequence[Reference], at: datetime) -> list[Known]:
    """Return the templates of each reference, with three queries for all of them.

    Raises NoSuchGroup, NoSuchFace and OtherModel with the index of the pair.
    """
    in_app = {one.group_id for one in references}
    groups_by_id = {group.group_id: group for group in Group.objects.filter(app=app, group_id__in=in_app)}
    for one in references:
        if one.group_id not in groups_by_id:
            raise NoSuchGroup(index=one.index, group_id=one.group_id)
        if not _is_comparable(groups_by_id[one.group_id]):
            raise OtherModel(index=one.index, group_id=one.group_id)
    found = Person.objects.filter(
        group__in=groups_by_id.values(), person_id__in={one.person_id for one in references}
    )
    persons = {(person.group_id, person.person_id): person for person in found}
    wanted = [persons.get((groups_by_id[one.group_id].pk, one.person_id)) for one in references]
    faces: dict[int, list[Face]] = {person.pk: [] for person in wanted if person is not None}
    for face in Face.objects.filter(person__in=faces):
        faces[face.person_id].append(face)
    restored: dict[UUID, Template] = {}
    answers = []
    for one, person in zip(references, wanted, strict=True):
        group = groups_by_id[one.group_id]
        kept = [
            face
            for face in (faces[person.pk] if person is not None else [])
            if is_kept(face, group, at) and one.face_id in (None, face.pk)
        ]
        if person is None or not kept:
            raise NoSuchFace(
                index=one.index, group_id=one.group_id, person_id=one.person_id, face_id=one.face_id
            )
        for face in kept:
            if face.pk not in restored:
                restored[face.pk] = templates.restored(face, group)
        answers.append(Known(tuple(restored[face.pk] for face in kept), one.group_id, person.tag))
    return answers


def _is_comparable(group: Group) -> bool:
    return not group.faces or group.model_version == scoring.template_version()


def likely_best(firsts: Sequence[Template], seconds: Sequence[Template]) -> list[tuple[Template, Template]]:
    """Return a few pairs of faces, one from each side, that are likely to include the best match.

    Twenty stored faces against twenty are 400 pairs, too many to score each exactly in a web process.
    """
    if len(firsts) * len(seconds) <= MAX_PAIRS_SCORED or not all(one.has_face for one in (*firsts, *seconds)):
        return [(first, second) for first in firsts for second in seconds]
    rows, columns = (np.array([scoring.fused_vector(one) for one in side]) for side in (firsts, seconds))
    alike = rows @ columns.T  # without constants, because the same picture scores 100
    constants = np.add.outer([one.constant for one in firsts], [one.constant for one in seconds])
    products = alike - constants / 2
    chosen = dict.fromkeys([*np.argsort(-products, axis=None)[:2], int(alike.argmax())])
    pairs = [divmod(int(number), len(seconds)) for number in chosen]
    return [(firsts[first], seconds[second]) for first, second in pairs]


def is_kept(face: Face, group: Group, at: datetime) -> bool:
    """Return whether the face may still be used: neither its consent nor its retention has ended."""
    ends_at = kept_until(face, group)
    return ends_at is None or ends_at > at


def kept_until(face: Face, group: Group) -> datetime | None:
    """Return when the face is deleted automatically: at the end of its consent or retention."""
    ends = [face.consent_expires_at] if face.consent_expires_at is not None else []
    if group.retention_days is not None:
        ends.append(face.created_at + timedelta(days=group.retention_days))
    return min(ends, default=None)
