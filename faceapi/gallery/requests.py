"""Parse and validate the bodies of the gallery's APIs, without access to the database.

The functions raise ApiError 4007 for a malformed entry, 4001 for a missing picture and 4306 for a missing
consent, each with the entry's index.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.gallery import codes, stored_faces
from faceapi.request import images
from faceapi.request.body import MAX_IMAGES
from faceapi.request.images import Picture
from faceapi.request.spool import Spool
from gallery import search
from gallery.enrolment import Entry
from gallery.groups import Wanted

DEFAULT_LIMIT, MAX_LIST = 100, 1000  # of one entry; of all entries of a list request together
MAX_NAME, MAX_NOTE, MAX_REFERENCE = 64, 200, 100
MAX_RETENTION_DAYS = 36_500
MAX_MS = 253_402_300_799_999  # the year 9999


def malformed(detail: str, index: int | None = None) -> ApiError:
    return ApiError(errors.JSON, detail, index=index)


def objects(data: Any) -> list[dict[str, Any]]:
    """Return the entries of `data`, each an object. Raises ApiError 4001, 4007, 4015."""
    found = images.listed(data, MAX_IMAGES)
    for index, entry in enumerate(found):
        if not isinstance(entry, dict):
            raise malformed(f"{images.kind(entry)} instead of an object", index)
    return found


def _reject_unknown(given: Mapping[str, Any], names: Iterable[str], index: int | None) -> None:
    """Reject unknown fields: if a misspelt `retention_day` were ignored, faces would be kept for ever."""
    for name in given:
        if name not in names:
            raise malformed(f"unknown field {name[:32]}", index)


def _id(entry: Mapping[str, Any], name: str, index: int) -> str:
    value = entry.get(name)
    if not stored_faces.is_id(value):
        raise malformed(f"{name} must be 1-64 characters of A-Z a-z 0-9 _ - .", index)
    return str(value)


def _text(entry: Mapping[str, Any], name: str, most: int, index: int) -> str | None:
    """Return one line of text without control characters; None if it is absent."""
    value = entry.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value.strip()) > most or not value.strip().isprintable():
        raise malformed(f"{name} must be at most {most} printable characters", index)
    return value.strip()


def _number(entry: Mapping[str, Any], name: str, least: int, most: int, index: int | None) -> int | None:
    value = entry.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise malformed(f"{name} must be a whole number from {least} to {most}", index)
    return value


def _options(data: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    options = data.get("options", {})
    if not isinstance(options, dict):
        raise malformed(f'"options" is {images.kind(options)}, not an object')
    _reject_unknown(options, names, None)
    return options


def _flag(options: Mapping[str, Any], name: str) -> bool:
    value = options.get(name, False)
    if not isinstance(value, bool):
        raise malformed(f"{name} must be true or false")
    return value


# --- groups ----------------------------------------------------------------------


def groups_to_add(data: Any) -> list[Wanted]:
    """Return the entries of face_group_add."""
    found = []
    for index, entry in enumerate(objects(data)):
        _reject_unknown(entry, ("group_id", "name", "retention_days"), index)
        group_id = _id(entry, "group_id", index)
        name = _text(entry, "name", MAX_NAME, index) or group_id
        days = _number(entry, "retention_days", 1, MAX_RETENTION_DAYS, index)
        found.append(Wanted(group_id, name, days, frozenset(entry)))
    return found


@dataclass(frozen=True, slots=True)
class Page:
    """An entry of a list request: the rows after the id `after`, at most `limit`."""

    after: str
    limit: int
    group_id: str = ""


def pages(data: Any, *, of_group: bool) -> list[Page]:
    """Return the entries of face_group_list and face_person_list."""
    found = []
    for index, entry in enumerate(objects(data)):
        _reject_unknown(entry, ("group_id", "after", "limit") if of_group else ("after", "limit"), index)
        after = _id(entry, "after", index) if entry.get("after") is not None else ""
        limit = _number(entry, "limit", 1, MAX_LIST, index) or DEFAULT_LIMIT
        found.append(Page(after, limit, _id(entry, "group_id", index) if of_group else ""))
    if sum(page.limit for page in found) > MAX_LIST:
        raise malformed(f"the limits of all entries add up to more than {MAX_LIST}")
    return found


def group_ids(data: Any) -> list[str]:
    """Return the entries of face_group_delete."""
    found = []
    for index, entry in enumerate(objects(data)):
        _reject_unknown(entry, ("group_id",), index)
        found.append(_id(entry, "group_id", index))
    return found


# --- persons -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Erasure:
    """An entry of face_person_delete. A malformed `face_id` matches nothing."""

    group_id: str
    person_id: str
    face_id: UUID | None
    is_of_one_face: bool


def erasures(data: Any) -> list[Erasure]:
    """Return the entries of face_person_delete."""
    found = []
    for index, entry in enumerate(objects(data)):
        _reject_unknown(entry, ("group_id", "person_id", "face_id"), index)
        which = entry.get("face_id")
        if which is not None:
            _id(entry, "face_id", index)
        group_id, person_id = _id(entry, "group_id", index), _id(entry, "person_id", index)
        found.append(Erasure(group_id, person_id, stored_faces.face_id(which), which is not None))
    return found


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The body of face_person_add: the entries and, in the same order, their pictures."""

    entries: list[Entry]
    pictures: list[Picture]
    unique: bool


def enrolment(data: Any, spool: Spool) -> Enrolment:
    """Read the body of face_person_add."""
    found, pictures = [], []
    for index, entry in enumerate(objects(data)):
        _reject_unknown(entry, ("group_id", "person_id", "image", "consent", "note"), index)
        expires_at, reference = _consent(entry.get("consent"), index)
        found.append(
            Entry(
                _id(entry, "group_id", index),
                _id(entry, "person_id", index),
                reference,
                expires_at,
                _text(entry, "note", MAX_NOTE, index),
            )
        )
        pictures.append(images.picture(index, entry.get("image"), spool))
    return Enrolment(found, pictures, _flag(_options(data, ("unique",)), "unique"))


def _consent(consent: Any, index: int) -> tuple[datetime | None, str]:
    if not isinstance(consent, dict):
        raise ApiError(codes.NO_CONSENT, f'"consent" is {images.kind(consent)}, not an object', index=index)
    _reject_unknown(consent, ("reference", "expires_at_ms"), index)
    reference = _text(consent, "reference", MAX_REFERENCE, index)
    if not reference:
        raise ApiError(codes.NO_CONSENT, "consent.reference is missing", index=index)
    expires_at_ms = _number(consent, "expires_at_ms", 1, MAX_MS, index)
    if expires_at_ms is None:
        return None, reference
    return datetime.fromtimestamp(expires_at_ms / 1000, UTC), reference


# --- search ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Search:
    """The options of face_search."""

    groups: list[str]
    top: int
    min_confidence: float
    is_of_all_faces: bool
    with_quality: bool


def search_options(data: Any) -> Search:
    """Read the options of face_search."""
    if not isinstance(data, dict):  # `images.listed` raises the error for this
        images.listed(data, MAX_IMAGES)
    options = _options(data, ("groups", "top", "min_confidence", "faces", "quality"))
    groups = options.get("groups")
    most = search.MAX_GROUPS
    if (
        not isinstance(groups, list)
        or not 1 <= len(groups) <= most
        or not all(map(stored_faces.is_id, groups))
    ):
        raise malformed(f"options.groups must be a list of 1 to {most} group ids")
    faces = options.get("faces", "largest")
    if faces not in ("largest", "all"):
        raise malformed('options.faces must be "largest" or "all"')
    least = options.get("min_confidence", settings.COMPARE_SAME_FROM)
    if not isinstance(least, int | float) or isinstance(least, bool) or not 0 <= least <= 100:
        raise malformed("options.min_confidence must be a number from 0 to 100")
    return Search(
        list(dict.fromkeys(groups)),
        _number(options, "top", 1, search.MAX_TOP, None) or 5,
        float(least),
        faces == "all",
        _flag(options, "quality"),
    )
