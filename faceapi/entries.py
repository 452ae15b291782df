"""The shape of `data` and what each entry is: an inline picture in the spool, or a URL (manual 4.2.2)."""

from dataclasses import dataclass
from typing import Any

from faceapi import base64text, errors, fetching
from faceapi.body import MAX_IMAGES
from faceapi.errors import ApiError
from faceapi.splitter import Blob
from faceapi.spool import Span, Spool
from inference import headers
from inference.errors import ImageError

MAX_PAIRS = 50


@dataclass(slots=True)
class Picture:
    """One picture: `index` of its entry (of its pair in face_compare), `span` once it is here."""

    index: int
    span: Span | None
    url: str = ""


def parse(data: Any, spool: Spool, *, pairs: bool) -> list[Picture]:
    """The pictures in the order of the request; those given inline are checked by their header.

    Raises ApiError 4001 and 4015, and with `index` 4001, 4002, 4003, 4006, 4008, 4009, 4011, 4012.
    """
    entries = data.get("data") if isinstance(data, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ApiError(errors.NO_IMAGE, 'the body must be {"data": [...]} with at least one entry')
    limit = MAX_PAIRS if pairs else MAX_IMAGES
    if len(entries) > limit:
        raise ApiError(errors.TOO_MANY_IMAGES, f"{len(entries)} entries, the limit is {limit}")
    flat: list[tuple[int, str | Blob]] = []
    for index, entry in enumerate(entries):
        members = entry if pairs else [entry]
        if not isinstance(members, list) or len(members) != (2 if pairs else 1):
            raise ApiError(errors.NO_IMAGE, "an entry must be a pair of strings", index=index)
        for member in members:
            if not isinstance(member, str | Blob):
                raise ApiError(errors.NO_IMAGE, "an image must be given as a string", index=index)
            flat.append((index, member))
    return [_picture(index, member, spool) for index, member in flat]


def _picture(index: int, member: str | Blob, spool: Spool) -> Picture:
    if isinstance(member, str):
        member = member.strip()
        inline = base64text.split_data_url(member)
        if inline is None:
            fetching.check_url(member, index)
            return Picture(index, None, member)
        member = _decode(*inline, spool)
    if member.code:
        raise ApiError(member.code, member.detail, index=index)
    check_header(spool, member.span, index)
    return Picture(index, member.span)


def _decode(prefix: str, text: str, spool: Spool) -> Blob:
    """A short inline picture, which the splitter left in the text."""
    nowhere = Span(spool.size, 0)
    if not base64text.is_known_prefix(prefix.encode("utf-8", "replace").replace(b"\\", b"!")):
        return Blob(nowhere, errors.BASE64, base64text.UNKNOWN_PREFIX)
    decoded = base64text.decode(text)
    if decoded is None:
        return Blob(nowhere, errors.BASE64, "not valid base64")
    spool.write(decoded)
    return Blob(Span(nowhere.start, len(decoded)))


def check_header(spool: Spool, span: Span, index: int) -> None:
    """Refuse by its header what could not be served. Raises ApiError 4002, 4003, 4008, 4009, 4012 with
    `index`.
    """
    with spool.view(span) as view:
        try:
            headers.read_header(view)
        except ImageError as error:
            raise ApiError(error.code, error.detail, index=index) from None
