"""The face gallery's APIs: enrolment and search, which take pictures and units, and the free ones.

All of them count as calls of the API `face_search`. Faces are stored in the transaction that settles the
call: a face is in the gallery if and only if its enrolment is paid for.
"""

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import redis
from django.conf import settings
from rest_framework.request import Request

from billing.models import Api
from common.postgresql.clock import now
from faceapi import calls, errors, responses, schema
from faceapi.answers import AnswerResponse
from faceapi.errors import ApiError, details
from faceapi.gallery import codes, console_user, requests, stored_faces
from faceapi.gallery.requests import Enrolment, Search
from faceapi.request.images import Picture, parse
from faceapi.request.spool import Spool
from faceapi.views import FaceApiView
from gallery import enrolment, groups, people, search, trail
from gallery.enrolment import Enrolled
from gallery.groups import Wanted
from gallery.models import Action, Group
from gallery.retention import erasure
from gallery.search import Match
from gallery.trail import Actor
from inference.results import Template

Json = dict[str, Any]


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


@schema.describes_gallery("face_person_add", "enrol faces, all or none", "PersonAdded", entry="PersonToAdd")
class PersonAddView(FaceApiView):
    """Enrolment: one picture per entry, one unit each; all entries are enrolled or none."""

    api = Api.FACE_SEARCH
    operation = "identify"
    names_persons = True
    wanted: Enrolment

    def parse(self, data: Any, spool: Spool) -> list[Picture]:
        stored_faces.require_gallery()
        self.wanted = requests.enrolment(data, spool)
        return self.wanted.pictures

    def check(self) -> None:
        enrolment.check(self.call.caller.app, self.wanted.entries, self.call.at)

    def answer(self, results: list[Json]) -> list[Json]:
        found = [stored_faces.identified(result) for result in results]
        for index, one in enumerate(found):
            if not one.quality.passed:
                raise ApiError(
                    codes.NOT_GOOD_ENOUGH,
                    *details.not_good_enough(one.quality.reasons),
                    index=index,
                    quality=responses.quality(one.quality),
                )
        templates = [one.templates[0] for one in found]
        enrolled = enrolment.with_ids(self.wanted.entries, templates, self.call.id)
        checked_at = now()
        if self.wanted.unique:
            with self.scanning(self.deadline - time.monotonic()):
                enrolment.refuse_look_alikes(
                    self.call.caller.app, enrolled, checked_at, settings.COMPARE_SAME_FROM
                )
        self.call.effect = partial(self._store, enrolled, checked_at)
        return responses.enrolled(found, enrolled)

    def _store(self, enrolled: list[Enrolled], checked_at: datetime, at: datetime) -> None:
        app = self.call.caller.app
        enrolment.store(
            app,
            enrolled,
            at,
            Actor(self.call.id, console_user.of(self.request.META, app)),
            unique_from=settings.COMPARE_SAME_FROM if self.wanted.unique else None,
            checked_at=checked_at,
        )


@schema.describes_gallery("face_search", "find the stored person", "FaceSearchResult", entry="Image")
class FaceSearchView(FaceApiView):
    """人脸搜索: the persons of some groups that the faces of a picture match."""

    api = Api.FACE_SEARCH
    names_persons = True
    wanted: Search
    in_groups: list[Group]

    def parse(self, data: Any, spool: Spool) -> list[Picture]:
        stored_faces.require_gallery()
        self.wanted = requests.search_options(data)
        self.operation = "identify_all" if self.wanted.is_of_all_faces else "identify"
        return parse(data, spool)

    def check(self) -> None:
        self.in_groups = search.searched(self.call.caller.app, self.wanted.groups)

    def answer(self, results: list[Json]) -> list[Json]:
        pictures = [stored_faces.identified(result) for result in results]
        found = [[self._matches(template) for template in one.templates] for one in pictures]
        tags = [match.tag for faces in found for matches in faces for match in matches]
        self.call.effect = partial(self._write_trail, tags, sum(len(one.templates) for one in pictures))
        stored = sum(group.faces for group in self.in_groups)
        return responses.search(pictures, found, faces=stored, with_quality=self.wanted.with_quality)

    def _matches(self, template: Template) -> list[Match]:
        self.check_client_waits()
        with self.scanning(self.deadline - time.monotonic()):
            return search.best(
                self.in_groups,
                template,
                top=self.wanted.top,
                min_confidence=self.wanted.min_confidence,
                at=self.call.at,
            )

    def _write_trail(self, tags: list[str], faces: int, at: datetime) -> None:
        app = self.call.caller.app
        trail.write(
            app,
            Action.SEARCH,
            at,
            Actor(self.call.id, console_user.of(self.request.META, app)),
            groups=self.wanted.groups,
            tags=tags,
            faces=faces,
        )


# --- free of charge ------------------------------------------------------------------


class FreeView(FaceApiView):
    """An API without pictures. It needs no units, package or worker: faces can always be deleted.

    `act` runs in the transaction that settles the call and marks its Idempotency-Key. So of the calls with
    one key one acts, and its answer is stored before the transaction is committed.
    """

    api = Api.FACE_SEARCH
    infers = False
    needs_gallery = False
    read: Callable[..., list[Any]]
    act: Callable[..., list[Json]]
    entries: list[Any]
    done: bytes  # the answer

    def parse(self, data: Any, spool: Spool) -> list[Picture]:
        if self.needs_gallery:
            stored_faces.require_gallery()
        self.entries = self.read(data)
        return []

    def perform(self, pictures: Sequence[Picture], spool: Spool, client: redis.Redis) -> bytes:
        self.call.effect = partial(self._act, client)
        calls.succeed(self.call, now())
        return self.done

    def _act(self, client: redis.Redis, at: datetime) -> None:
        result = self.act(self.entries, at)
        self.done = responses.as_json({"code": errors.OK, "message": errors.SUCCESS[0], "result": result})
        self._remember(self.done, client)

    def finish(self, answer: bytes, request: Request, client: redis.Redis) -> AnswerResponse:
        return self._reply(answer, units=0)


@schema.describes_gallery("face_group_add", "create or update groups", "GroupAdded", entry="GroupToAdd")
class GroupAddView(FreeView):
    key_scope = "group_add"
    needs_gallery = True
    read = staticmethod(requests.groups_to_add)

    def act(self, wanted: list[Wanted], at: datetime) -> list[Json]:
        created = groups.add(self.call.caller.app, wanted, at, Actor(self.call.id))
        return [
            {"group_id": one.group_id, "created": made} for one, made in zip(wanted, created, strict=True)
        ]


@schema.describes_gallery("face_group_list", "the groups of the App", "GroupPage", entry="GroupsToList")
class GroupListView(FreeView):
    key_scope = "group_list"

    def read(self, data: Any) -> list[requests.Page]:
        return requests.pages(data, of_group=False)

    def act(self, pages: list[requests.Page], at: datetime) -> list[Json]:
        return [self._page(page) for page in pages]

    def _page(self, page: requests.Page) -> Json:
        rows, after = groups.page(self.call.caller.app, page.after, page.limit)
        listed = [
            {
                "group_id": row.group.group_id,
                "name": row.group.name,
                "persons": row.persons,
                "faces": row.group.faces,
                "created_at_ms": _ms(row.group.created_at),
                "model_version": row.group.model_version,
                **(
                    {"retention_days": row.group.retention_days}
                    if row.group.retention_days is not None
                    else {}
                ),
            }
            for row in rows
        ]
        return {"groups": listed, **({"next": after} if after else {})}


@schema.describes_gallery("face_group_delete", "delete groups and their keys", "Deleted", entry="GroupRef")
class GroupDeleteView(FreeView):
    key_scope = "group_delete"
    read = staticmethod(requests.group_ids)

    def act(self, group_ids: list[str], at: datetime) -> list[Json]:
        app, actor = self.call.caller.app, Actor(self.call.id)
        return [
            {"group_id": group_id, "deleted_faces": groups.delete(app, group_id, at, actor)}
            for group_id in group_ids
        ]


@schema.describes_gallery("face_person_list", "the persons of a group", "PersonPage", entry="PersonsToList")
class PersonListView(FreeView):
    key_scope = "person_list"
    names_persons = True

    def read(self, data: Any) -> list[requests.Page]:
        return requests.pages(data, of_group=True)

    def act(self, pages: list[requests.Page], at: datetime) -> list[Json]:
        groups.find(self.call.caller.app, [page.group_id for page in pages])
        return [self._page(page) for page in pages]

    def _page(self, page: requests.Page) -> Json:
        rows, after = people.page(self.call.caller.app, page.group_id, page.after, page.limit)
        listed = [
            {
                "person_id": row.person.person_id,
                "note": row.person.note,
                "faces": [
                    {
                        "face_id": face.pk.hex,
                        "created_at_ms": _ms(face.created_at),
                        **(
                            {"consent_expires_at_ms": _ms(face.consent_expires_at)}
                            if face.consent_expires_at is not None
                            else {}
                        ),
                    }
                    for face in row.faces
                ],
            }
            for row in rows
        ]
        return {"persons": listed, **({"next": after} if after else {})}


@schema.describes_gallery("face_person_delete", "erase persons or faces", "Deleted", entry="PersonRef")
class PersonDeleteView(FreeView):
    key_scope = "person_delete"
    read = staticmethod(requests.erasures)

    def act(self, erasures: list[requests.Erasure], at: datetime) -> list[Json]:
        return [{"deleted_faces": self._delete(one, at)} for one in erasures]

    def _delete(self, one: requests.Erasure, at: datetime) -> int:
        if one.is_of_one_face and one.face_id is None:
            return 0  # malformed, so no face has this id
        return erasure.delete_person(
            self.call.caller.app,
            one.group_id,
            one.person_id,
            at,
            Actor(self.call.id),
            face_id=one.face_id,
        )
