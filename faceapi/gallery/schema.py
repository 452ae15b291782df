"""The schemas of the face gallery's APIs in the OpenAPI description (faceapi/schema.py)."""

from typing import Any

from django.conf import settings

from faceapi.gallery.requests import DEFAULT_LIMIT, MAX_LIST
from gallery import search
from gallery.models import MAX_FACES_OF_PERSON

Json = dict[str, Any]

INTEGER: Json = {"type": "integer", "minimum": 0}
TEXT: Json = {"type": "string"}
ID: Json = {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,64}$"}
FACE_ID: Json = {"type": "string", "pattern": "^[0-9a-f]{32}$"}
MS: Json = {"type": "integer", "description": "Unix time in milliseconds"}
LIMIT: Json = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_LIST,
    "default": DEFAULT_LIMIT,
    "description": f"the limits of all entries of a request, each {DEFAULT_LIMIT} if absent, may add up to "
    f"{MAX_LIST} at most (otherwise 4007)",
}
PERSON_KEYS = ("group_id", "person_id")


def _object(required: tuple[str, ...], **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


def _input(required: tuple[str, ...], **properties: Json) -> Json:
    return _object(required, **properties) | {"additionalProperties": False}


def _list(items: Json, **more: Any) -> Json:
    return {"type": "array", "items": items, **more}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


COMPONENTS: Json = {
    "GroupToAdd": _input(
        ("group_id",),
        group_id=ID,
        name={
            "type": "string",
            "maxLength": 64,
            "description": "if absent: the group_id for a new group, unchanged for an existing one",
        },
        retention_days={
            "type": ["integer", "null"],
            "minimum": 1,
            "maximum": 36_500,
            "description": "each face is deleted this many days after its enrolment. null: faces are kept. "
            "If absent: null for a new group, unchanged for an existing one",
        },
    ),
    "GroupAdded": _object(("group_id", "created"), group_id=ID, created={"type": "boolean"}),
    "GroupsToList": _input((), after=ID, limit=LIMIT),
    "GroupPage": _object(
        ("groups",),
        groups=_list(
            _object(
                ("group_id", "name", "persons", "faces", "created_at_ms", "model_version"),
                group_id=ID,
                name=TEXT,
                persons=INTEGER,
                faces=INTEGER,
                created_at_ms=MS,
                model_version={"type": "string", "description": "empty until the first enrolment"},
                retention_days=INTEGER,
            )
        ),
        next={"type": "string", "description": "send it as `after` for the next page; absent on the last"},
    ),
    "GroupRef": _input(("group_id",), group_id=ID),
    "Deleted": _object(("deleted_faces",), deleted_faces=INTEGER, group_id=ID),
    "PersonToAdd": _input(
        ("group_id", "person_id", "image", "consent"),
        group_id=ID,
        person_id=ID,
        image=_ref("Image"),
        consent=_input(
            ("reference",),
            reference={"type": "string", "minLength": 1, "maxLength": 100},
            expires_at_ms=MS,
        ),
        note={"type": "string", "maxLength": 200, "description": "about the person; unchanged if absent"},
    ),
    "PersonAdded": _object(
        ("group_id", "person_id", "face_id", "location", "quality"),
        group_id=ID,
        person_id=ID,
        face_id=FACE_ID,
        location=_ref("Location"),
        quality=_ref("Quality"),
    ),
    "PersonsToList": _input(("group_id",), group_id=ID, after=ID, limit=LIMIT),
    "PersonPage": _object(
        ("persons",),
        persons=_list(
            _object(
                ("person_id", "faces", "note"),
                person_id=ID,
                faces=_list(
                    _object(
                        ("face_id", "created_at_ms"),
                        face_id=FACE_ID,
                        created_at_ms=MS,
                        consent_expires_at_ms=MS,
                    ),
                    maxItems=MAX_FACES_OF_PERSON,
                ),
                note=TEXT,
            )
        ),
        next=TEXT,
    ),
    "PersonRef": _input(PERSON_KEYS, group_id=ID, person_id=ID, face_id=ID),
    "FaceSearchResult": _object(
        ("face_list", "pic_quality"),
        face_list=_list(
            _object(
                ("location", "person_list"),
                location=_ref("Location"),
                person_list=_list(
                    _object(
                        (*PERSON_KEYS, "face_id", "confidence", "false_match_rate"),
                        group_id=ID,
                        person_id=ID,
                        face_id=FACE_ID,
                        confidence={"type": "number", "minimum": 0, "maximum": 100},
                        false_match_rate={
                            "type": "number",
                            "minimum": 0,
                            "maximum": 1,
                            "description": "an upper bound of the probability that any stranger's face "
                            "reaches this confidence if all N faces are of people of the same gender, age "
                            "group and ethnic group: 1 - (1 - far)^N; about a tenth of it in mixed ones",
                        },
                    ),
                    maxItems=search.MAX_TOP,
                    description="the best match of each person, best first",
                ),
            )
        ),
        pic_quality={"type": "integer", "enum": [0, 1]},
        quality=_ref("Quality"),
    ),
}
OPTIONS: dict[str, Json] = {
    "face_person_add": _input(
        (),
        unique={
            "type": "boolean",
            "default": False,
            "description": "reject a face that matches another person in the group (4305)",
        },
    ),
    "face_search": _input(
        ("groups",),
        groups=_list(ID, minItems=1, maxItems=search.MAX_GROUPS),
        top={"type": "integer", "minimum": 1, "maximum": search.MAX_TOP, "default": 5},
        min_confidence={
            "type": "number",
            "minimum": 0,
            "maximum": 100,
            "default": settings.COMPARE_SAME_FROM,
            "description": "by default, the confidence from which face_compare is true in this installation",
        },
        faces={"type": "string", "enum": ["largest", "all"], "default": "largest"},
        quality={"type": "boolean", "description": "each result also has `quality`"},
    ),
}
LABELS = {
    "face_group_add": "新建人脸组",
    "face_group_list": "人脸组列表",
    "face_group_delete": "删除人脸组",
    "face_person_add": "人脸入库",
    "face_person_list": "人员列表",
    "face_person_delete": "删除人员",
    "face_search": "人脸搜索",
}
_FREE = "Free of charge; no active package is needed."
DESCRIPTIONS = {
    "face_group_add": f"An existing group is updated, and `created` is false. {_FREE}",
    "face_group_list": f"Ordered by id. {_FREE}",
    "face_group_delete": "Deletes each group with its persons, faces and key. `deleted_faces` is 0 if there "
    f"is no such group. {_FREE}",
    "face_person_add": "One unit of face_search per entry. All entries are enrolled or none; `index` of an "
    "error is the position of the entry at fault. Pictures are not stored.",
    "face_person_list": f"Ordered by id. {_FREE}",
    "face_person_delete": "Deletes a person, or one face if face_id is given. `deleted_faces` is 0 if there "
    f"is nothing to delete. {_FREE}",
    "face_search": "One unit per picture.",
}
_IMAGE = "https://example.org/example.png"
EXAMPLES: dict[str, Json] = {
    "face_group_add": {"data": [{"group_id": "staff", "name": "员工", "retention_days": 365}]},
    "face_group_list": {"data": [{}]},
    "face_group_delete": {"data": [{"group_id": "staff"}]},
    "face_person_add": {
        "data": [
            {"group_id": "staff", "person_id": "1001", "image": _IMAGE, "consent": {"reference": "HR-12"}}
        ]
    },
    "face_person_list": {"data": [{"group_id": "staff"}]},
    "face_person_delete": {"data": [{"group_id": "staff", "person_id": "1001"}]},
    "face_search": {"data": [_IMAGE], "options": {"groups": ["staff"]}},
}
