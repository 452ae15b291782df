"""References to stored faces in a call, and the answer codes for the gallery's errors."""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings

from accounts.models import App
from faceapi import errors
from faceapi.errors import ApiError
from faceapi.gallery import codes
from gallery import trail
from gallery.errors import (
    ConsentPast,
    GalleryError,
    GalleryFull,
    LooksLike,
    NoSuchFace,
    NoSuchGroup,
    OtherModel,
    TooManyFaces,
)
from gallery.models import Action
from gallery.search import Known, Reference
from gallery.trail import Actor
from inference.calibration import scoring
from inference.results import IdentifyResult, Template

PREFIX = "face:"
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_FACE_ID = re.compile(r"[0-9a-f]{32}")


def is_id(value: object) -> bool:
    """Return whether this is the id of a group or a person."""
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def face_id(value: object) -> UUID | None:
    """Return the id of a face, or None if it is malformed."""
    return UUID(value) if isinstance(value, str) and _FACE_ID.fullmatch(value) else None


def reference(text: str, index: int) -> Reference | None:
    """Parse `face:<group_id>/<person_id>[/<face_id>]`; return None if the text does not start with `face:`.

    Raises ApiError 4302 if it is malformed.
    """
    if not text.startswith(PREFIX):
        return None
    require_gallery()
    parts = text.removeprefix(PREFIX).split("/")
    which = face_id(parts[2]) if len(parts) == 3 else None
    if len(parts) not in (2, 3) or not all(map(is_id, parts)) or (len(parts) == 3 and which is None):
        raise ApiError(
            codes.NO_FACE,
            "not face:<group_id>/<person_id> or face:<group_id>/<person_id>/<face_id>",
            index=index,
        )
    return Reference(parts[0], parts[1], which, index)


def require_gallery() -> None:
    """Raise ApiError 4020 if the gallery is switched off in this installation."""
    if not settings.GALLERY:
        raise ApiError(errors.PATH, "the face gallery is switched off in this installation")


def trail_of_comparison(app: App, actor: Actor, known: Sequence[Known]) -> Callable[[datetime], None]:
    """Return a function that records the comparison with these persons when the call is settled."""

    def write(at: datetime) -> None:
        trail.write(
            app,
            Action.COMPARE,
            at,
            actor,
            groups=[one.group_id for one in known],
            tags=[one.tag for one in known],
            faces=sum(len(one.templates) for one in known),
        )

    return write


def identified(result: Mapping[str, Any]) -> IdentifyResult:
    """Return a worker's result. Raises ApiError 5003 if the worker has another model version."""
    found = IdentifyResult.from_dict(dict(result))
    if found.version != scoring.template_version():
        raise ApiError(errors.OVERLOADED, "the workers are being upgraded", retry_after_s=30)
    return found


def template_of(result: Mapping[str, Any]) -> Template:
    """Return the template of a picture's largest face; an empty template if there is no face."""
    found = identified(result)
    return found.templates[0] if found.templates else Template((), (), 0.0, found.quality)


_CODES: dict[type[GalleryError], tuple[int, str]] = {
    NoSuchGroup: (codes.NO_GROUP, "group_id {group_id}"),
    NoSuchFace: (codes.NO_FACE, "person_id {person_id} of group {group_id}"),
    GalleryFull: (codes.GALLERY_FULL, "the limit is {limit} {what}"),
    LooksLike: (codes.LOOKS_LIKE, "it matches person_id {person_id}"),
    ConsentPast: (codes.NO_CONSENT, "the consent has expired"),
    OtherModel: (codes.OTHER_MODEL, "group_id {group_id}"),
    TooManyFaces: (codes.TOO_MANY_FACES, "person_id {person_id}, the limit is {limit} faces"),
}


NO_FACE_OF_PERSON = "face_id {face_id.hex} of person_id {person_id} of group {group_id}"


def as_api_error(refusal: GalleryError) -> ApiError:
    """Return the ApiError for an error of the gallery."""
    code, detail = _CODES[type(refusal)]
    if isinstance(refusal, NoSuchFace) and refusal.values["face_id"]:
        detail = NO_FACE_OF_PERSON
    return ApiError(code, detail.format(**refusal.values), index=refusal.index)
