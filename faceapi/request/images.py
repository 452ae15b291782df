"""The pictures of a request: parsed from `data` (manual 4.2.2), decoded or fetched into the spool."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from faceapi import errors
from faceapi.errors import ApiError
from faceapi.gallery import stored_faces
from faceapi.request import data_url, fetching
from faceapi.request.body import MAX_IMAGES
from faceapi.request.data_url import Blob
from faceapi.request.spool import Spool, SpoolSlice
from gallery.search import Reference
from inference.errors import ImageError
from inference.images import headers
from inference.images.formats.common import Header

MAX_PAIRS = 50


@dataclass(slots=True)
class Picture:
    """A picture of the request. `index` is that of its entry, in face_compare that of its pair.

    `place` sets `span` and `header`: at once, or after the picture was fetched from `url`.
    """

    index: int
    url: str = ""
    span: SpoolSlice | None = None
    header: Header | None = None

    def place(self, span: SpoolSlice, spool: Spool) -> None:
        """Record where in the spool the picture is, and read its header.

        Raises ApiError 4002, 4003, 4008, 4009 or 4012 with `index`.
        """
        if not span.length:
            raise ApiError(errors.NOT_AN_IMAGE, "an empty image", index=self.index)
        with spool.view(span) as view:
            try:
                self.header = headers.read_header(view)
            except ImageError as error:
                raise ApiError(error.code, error.detail, index=self.index) from None
        self.span = span


def parse(data: Any, spool: Spool) -> list[Picture]:
    """Return the pictures in the order of the request, with the headers of inline ones checked.

    Raises ApiError 4001 and 4015, and with `index` 4001, 4002, 4003, 4006, 4008, 4009, 4011, 4012.
    """
    return [picture(index, entry, spool) for index, entry in enumerate(listed(data, MAX_IMAGES))]


def parse_pairs(data: Any, spool: Spool) -> list[Picture | Reference]:
    """Return the images of all pairs in one flat list; each is a picture or a stored face of the gallery.

    Raises what `parse` raises.
    """
    flat: list[Picture | Reference] = []
    for index, entry in enumerate(listed(data, MAX_PAIRS)):
        if not (isinstance(entry, list) and len(entry) == 2):
            found = f"a list of {len(entry)}" if isinstance(entry, list) else kind(entry)
            raise ApiError(errors.NO_IMAGE, f"{found} instead of a pair of images", index=index)
        for member in entry:
            reference = stored_faces.reference(member, index) if isinstance(member, str) else None
            flat.append(reference or picture(index, member, spool))
    return flat


def listed(data: Any, limit: int) -> list[Any]:
    """Return the entries of `data`. Raises ApiError 4001 and 4015."""
    if not isinstance(data, dict):
        raise ApiError(errors.NO_IMAGE, f'the body is {kind(data)}, not an object {{"data": [...]}}')
    if "data" not in data:
        raise ApiError(errors.NO_IMAGE, 'the body has no "data"')
    entries = data["data"]
    if not isinstance(entries, list) or not entries:
        found = "an empty list" if entries == [] else kind(entries)
        raise ApiError(errors.NO_IMAGE, f'"data" is {found}, not a list of at least one entry')
    if len(entries) > limit:
        raise ApiError(errors.TOO_MANY_IMAGES, f"{len(entries)} entries, the limit is {limit}")
    return entries


def wants_quality(data: Any) -> bool:
    """Return whether the body has `{"options": {"quality": true}}`. Raises ApiError 4007."""
    options = data.get("options", {})
    wanted = options.get("quality", False) if isinstance(options, dict) else None
    if not isinstance(wanted, bool):
        raise ApiError(errors.JSON, '"options" is not {"quality": true} or {"quality": false}')
    return wanted


def first_alike(spans: Sequence[SpoolSlice], spool: Spool) -> list[int]:
    """Return for each picture the position of the first one with the same bytes, usually its own."""
    of_length = Counter(span.length for span in spans)
    seen: dict[bytes, int] = {}
    first = []
    for position, span in enumerate(spans):
        if of_length[span.length] == 1:  # no other has this length, so its bytes need not be read
            first.append(position)
            continue
        with spool.view(span) as view:
            first.append(seen.setdefault(sha256(view).digest(), position))
    return first


def kind(value: Any) -> str:
    """Return the JSON type of a value."""
    kinds = {str: "a string", Blob: "a string", list: "a list", dict: "an object", bool: "a boolean"}
    return "null" if value is None else kinds.get(type(value), "a number")


def picture(index: int, member: Any, spool: Spool) -> Picture:
    """Return one image of the request. Raises ApiError with `index`."""
    if not isinstance(member, str | Blob):
        raise ApiError(errors.NO_IMAGE, f"{kind(member)} instead of an image", index=index)
    if isinstance(member, str):
        member = member.strip()
        if member[:5].lower() != "data:":
            fetching.check_url(member, index)
            return Picture(index, member)
        member = data_url.decode(member, spool)
    if member.code:
        raise ApiError(member.code, member.detail, index=index)
    inline = Picture(index)
    inline.place(member.span, spool)
    return inline


def fetch(pictures: Sequence[Picture], spool: Spool, *, customer: int) -> None:
    """Fetch the pictures that are given by URL into the spool.

    Raises ApiError 4291, and with `index` 4004, 4005, 4009, 4011 and what `Picture.place` raises.
    """
    missing = [picture for picture in pictures if picture.span is None]
    contents = fetching.fetch_all([(one.index, one.url) for one in missing], customer=customer)
    for picture, content in zip(missing, contents, strict=True):
        start = spool.size
        spool.write(content)
        picture.place(SpoolSlice(start, len(content)), spool)
