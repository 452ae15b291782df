"""The face gallery: groups, enrolment, search and erasure.

gallery = Gallery(client)
gallery.add_group("staff")
gallery.enrol("staff", "1001", "photo.jpg", consent="HR-12")
for face in gallery.search("door.jpg", ["staff"]):
    print(face.persons)
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from facecloud_client.client import FaceClient
from facecloud_client.errors import InputError
from facecloud_client.i18n import say
from facecloud_client.request.sources import Picture, Source, source
from facecloud_client.results import Box, unexpected

PREFIX = "data:application/octet-stream;base64,"


class JsonBody:
    """A request body that is kept in memory, because a gallery's request has few pictures."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._bytes = json.dumps(content).encode()
        self.length_bytes = len(self._bytes)
        self.sha1_hex = hashlib.sha1(self._bytes, usedforsecurity=False).hexdigest()

    def __iter__(self) -> Iterator[bytes]:
        yield self._bytes


@dataclass(frozen=True)
class Match:
    """A person that matches a face.

    `false_match_rate` is an upper bound of the probability that a stranger reaches this confidence.
    """

    group_id: str
    person_id: str
    face_id: str
    confidence: float
    false_match_rate: float


@dataclass(frozen=True)
class FoundFace:
    """A face of the picture and its matches, best first."""

    location: Box
    persons: tuple[Match, ...]


@dataclass(frozen=True)
class Enrolment:
    """A picture to enrol. `consent` is the reference of the person's consent, `expires_at_ms` its end."""

    group_id: str
    person_id: str
    picture: Source
    consent: str
    expires_at_ms: int | None = None

    def entry(self) -> dict[str, Any]:
        consent: dict[str, Any] = {"reference": self.consent}
        if self.expires_at_ms is not None:
            consent["expires_at_ms"] = self.expires_at_ms
        return {
            "group_id": self.group_id,
            "person_id": self.person_id,
            "image": inline(self.picture),
            "consent": consent,
        }


def inline(picture: Source) -> str:
    """Return the entry of `data` for a picture. Raises InputError for an unreadable file."""
    if picture.url is not None:
        return picture.url
    try:
        data = picture.data if picture.path is None else picture.path.read_bytes()
    except OSError as error:
        raise InputError(picture.name, error.strerror or str(error)) from error
    return PREFIX + base64.urlsafe_b64encode(data or b"").decode()


class Gallery:
    """The gallery of one App. Every method raises ApiError, TransportError or InputError."""

    def __init__(self, client: FaceClient) -> None:
        self._client = client
        self.base_url = client.base_url

    def call(
        self,
        api: str,
        data: Sequence[Any],
        options: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str = "",
    ) -> Sequence[Mapping[str, Any]]:
        """Send one request to `api`, with retries; return the entries of its `result`."""
        content = {"data": list(data)} | ({"options": dict(options)} if options else {})
        body = JsonBody(content)
        return self._client.call_body(api, body, len(data), idempotency_key=idempotency_key).entries

    def add_group(self, group_id: str, name: str = "", *, retention_days: int | None = None) -> bool:
        """Create or update a group; return whether it was created.

        An existing group keeps what is not given. The name of a new one is its id by default.
        """
        entry: dict[str, Any] = {"group_id": group_id} | ({"name": name} if name else {})
        if retention_days is not None:
            entry["retention_days"] = retention_days
        return bool(self.call("face_group_add", [entry])[0]["created"])

    def groups(self) -> Iterator[Mapping[str, Any]]:
        """Yield every group, ordered by id."""
        yield from self._pages("face_group_list", "groups", {})

    def persons(self, group_id: str) -> Iterator[Mapping[str, Any]]:
        """Yield every person of a group, ordered by id."""
        yield from self._pages("face_person_list", "persons", {"group_id": group_id})

    def _pages(self, api: str, name: str, entry: dict[str, Any]) -> Iterator[Mapping[str, Any]]:
        after: dict[str, Any] = {}
        while True:
            page = self.call(api, [{**entry, **after, "limit": 1000}])[0]
            yield from page[name]
            if not page.get("next"):
                return
            after = {"after": page["next"]}

    def enrol(
        self,
        group_id: str,
        person_id: str,
        picture: Picture,
        *,
        consent: str,
        expires_at_ms: int | None = None,
        unique: bool = False,
    ) -> str:
        """Enrol a face, and return its id."""
        one = Enrolment(group_id, person_id, source(picture), consent, expires_at_ms)
        return str(self.enrol_all([one], unique=unique)[0]["face_id"])

    def enrol_all(
        self, wanted: Sequence[Enrolment], *, unique: bool = False, idempotency_key: str = ""
    ) -> Sequence[Mapping[str, Any]]:
        """Enrol all of these faces in one request, or none of them.

        With an `idempotency_key`, the same request is charged once in 24 hours, even if the process that sent
        it first has died. A repeat gets the answer for five minutes, then ApiError 4022.
        """
        entries = [one.entry() for one in wanted]
        return self.call("face_person_add", entries, {"unique": unique}, idempotency_key=idempotency_key)

    def search(
        self,
        picture: Picture | Source,
        groups: Iterable[str],
        *,
        top: int = 5,
        min_confidence: float | None = None,
        all_faces: bool = False,
    ) -> list[FoundFace]:
        """Return the faces of a picture with the persons of these groups that they match.

        Only the largest face is searched for, unless `all_faces`. At most `top` persons that reach
        `min_confidence` (0-100) are returned for each face, best first.
        """
        entry = self.search_entry(
            picture, groups, top=top, min_confidence=min_confidence, all_faces=all_faces
        )
        return found_faces(entry)

    def search_entry(
        self,
        picture: Picture | Source,
        groups: Iterable[str],
        *,
        top: int = 5,
        min_confidence: float | None = None,
        all_faces: bool = False,
        quality: bool = False,
    ) -> Mapping[str, Any]:
        """Search like `search`, and return the entry of `result` as received.

        With `quality`, it also has the reasons for poor quality.
        """
        options: dict[str, Any] = {
            "groups": list(groups),
            "top": top,
            "faces": "all" if all_faces else "largest",
            "quality": quality,
        }
        if min_confidence is not None:
            options["min_confidence"] = min_confidence
        (entry,) = self.call("face_search", [inline(source(picture))], options)
        return entry

    def erase(self, group_id: str, person_id: str, face_id: str | None = None) -> int:
        """Delete a person or one face; return the number of deleted faces."""
        entry = {"group_id": group_id, "person_id": person_id} | ({"face_id": face_id} if face_id else {})
        return int(self.call("face_person_delete", [entry])[0]["deleted_faces"])

    def delete_group(self, group_id: str) -> int:
        """Delete a group with its persons and faces; return the number of deleted faces."""
        return int(self.call("face_group_delete", [{"group_id": group_id}])[0]["deleted_faces"])


def found_faces(entry: Mapping[str, Any]) -> list[FoundFace]:
    """Read one entry of the `result` of face_search. Raises TransportError for anything else."""
    try:
        return [
            FoundFace(
                Box(**{side: int(face["location"][side]) for side in ("left", "top", "width", "height")}),
                tuple(
                    Match(
                        str(one["group_id"]),
                        str(one["person_id"]),
                        str(one["face_id"]),
                        float(one["confidence"]),
                        float(one["false_match_rate"]),
                    )
                    for one in face["person_list"]
                ),
            )
            for face in entry["face_list"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise unexpected(entry) from error


def one_in(rate: float) -> str:
    """Format a rate: `1 in 12,000`."""
    count = f"{round(1 / rate):,}" if rate > 0 else "∞"
    return say(f"1/{count}", f"1 in {count}")
