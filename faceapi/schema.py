"""The OpenAPI 3.1 description of the signed APIs (/api/schema/), generated from the table of codes."""

from itertools import groupby
from pathlib import PurePosixPath
from typing import Any

from django.conf import settings
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, extend_schema, extend_schema_view

from billing.models import Api
from faceapi import errors
from faceapi.errors import Code
from faceapi.gallery import schema as gallery
from faceapi.request import base64_text
from faceapi.request.body import MAX_IMAGES
from faceapi.request.images import MAX_PAIRS
from inference.calibration import scoring
from inference.results import REASONS

Json = dict[str, Any]

DOCUMENTED_PREFIX = "/api/v1/face_"  # the manual's other prefixes answer the same

INTEGER = {"type": "integer"}
TEXT = {"type": "string"}
POINT = {"type": "object", "properties": {"x": INTEGER, "y": INTEGER}, "required": ["x", "y"]}
PIC_QUALITY = {
    "type": "integer",
    "enum": [0, 1],
    "description": "0: the quality suffices (满足所需的质量要求); 1: it does not (不满足), or no face",
}
QUALITY: Json = {
    "type": "object",
    "description": "Present if the request has options.quality; `reasons` state why pic_quality is 1.",
    "properties": {
        "score": {"type": "number", "minimum": 0, "maximum": 1},
        "reasons": {"type": "array", "items": {"type": "string", "enum": list(REASONS)}},
    },
    "required": ["score", "reasons"],
}
IMAGE: Json = {
    "type": "string",
    "minLength": 1,
    "description": f"http(s) URL, or {base64_text.PREFIXES[0]} and base64 (URL-safe or standard alphabet). "
    "PNG or JPEG without alpha, at most 10 MiB, 32x32 to 5000x5000.",
    "examples": ["https://example.org/example.png", f"{base64_text.PREFIXES[0]}iVBORw0KGgo..."],
}
IMAGE_OR_STORED_FACE: Json = IMAGE | {
    "description": f"{IMAGE['description']} Or a stored face: face:<group_id>/<person_id> (the best match "
    "counts) or face:<group_id>/<person_id>/<face_id>.",
    "examples": [*IMAGE["examples"], "face:staff/1001"],
}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _judged(**properties: Json) -> Json:
    """Return the schema of a result, with a `quality` if the request asks for it."""
    result = _object(**properties, pic_quality=PIC_QUALITY)
    result["properties"] |= {"quality": _ref("Quality")}
    return result


def _list(items: Json, **more: Any) -> Json:
    return {"type": "array", "items": items, **more}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


LOCATION = _object(left=INTEGER, top=INTEGER, width=INTEGER, height=INTEGER)
LANDMARK = _object(
    **dict.fromkeys(("left_eye", "right_eye", "nose", "mouth_left", "mouth_right"), _ref("Point"))
)
PROBABILITY = {
    "type": "number",
    "minimum": 0,
    "maximum": 1,
    "description": "Calibrated: about eight in ten boxes with 0.8 are faces.",
}
CONFIDENCE = {
    "type": "number",
    "minimum": 0,
    "maximum": 100,
    "description": "Three decimals. Of pairs of different adults of one gender, age group and ethnic group, "
    + ", ".join(
        f"one in {round(1 / scoring.false_accept_rate(at)):,} reaches {at}".replace(",", " ")
        for at in (60, 70, 80)
    )
    + f". Above {scoring.measured_to():g} no rate was measured. Calibration: {scoring.table_version()}.",
}
SAME = {
    "type": "string",
    "enum": ["true", "false"],
    "description": f"true if the confidence is at least {settings.COMPARE_SAME_FROM:g}",
}
COMPONENTS: Json = {
    "Image": IMAGE,
    "PairImage": IMAGE,
    "Location": LOCATION,
    "Point": POINT,
    "Landmark": LANDMARK,
    "Quality": QUALITY,
    "FaceDetectResult": _judged(
        face_list=_list(
            _object(location=_ref("Location"), face_probability=PROBABILITY, landmark=_ref("Landmark"))
        )
    ),
    "FaceAnalyseResult": _judged(
        face_list=_list(
            _object(
                age={"type": "integer", "minimum": 0},
                gender={"type": "string", "enum": ["M", "F"]},
                location=_ref("Location"),
            )
        ),
    ),
    "FaceCompareResult": _judged(
        face_compare=SAME,
        confidence=CONFIDENCE,
    ),
    "Signed": {
        "type": "object",
        "description": "The request as the server received it, if its signature is wrong (4104).",
        "properties": {
            **dict.fromkeys(("method", "path", "query", "x_ctyun_dt", "body_sha1"), TEXT),
            "body_bytes": INTEGER,
            "clock_difference_ms": INTEGER,
        },
    },
}


def _error(codes: list[Code]) -> Json:
    """Return the schema of the errors with one HTTP status."""
    return {
        **_object(
            code={"type": "integer", "enum": [code.number for code in codes]},
            message={"type": "string", "enum": list(dict.fromkeys(code.zh for code in codes))},
            request_id={"type": "string", "format": "uuid"},
            remedy={"type": "string"},
            remedy_en={"type": "string"},
        )
        | {"description": "\n".join(f"- {code.number} {code.zh} / {code.en}" for code in codes)},
    }


def _error_responses() -> dict[tuple[int, str], Json]:
    possible = (row for row in errors.in_use() if not row.reserved)
    rows = sorted(possible, key=lambda row: (row.http, row.number))
    responses: dict[tuple[int, str], Json] = {}
    for http, group in groupby(rows, key=lambda row: row.http):
        schema = _error(list(group))
        schema["properties"] |= {
            "detail": {"type": "string", "description": "one sentence about this request"},
            "detail_zh": {"type": "string", "description": "the same in Chinese"},
            "index": {"type": "integer", "minimum": 0, "description": "the image (or pair) at fault"},
            "signed": _ref("Signed"),
            "quality": _ref("Quality"),
        }
        responses[http, "application/json"] = schema
    return responses


def _header(name: str, description: str, *, on: list[int | str] | bool) -> OpenApiParameter:
    return OpenApiParameter(name, str, OpenApiParameter.HEADER, description=description, response=on)


_PARAMETERS = [
    OpenApiParameter(
        "X-CTYUN-DT",
        int,
        OpenApiParameter.HEADER,
        required=True,
        description="Unix timestamp in milliseconds; the signature covers it.",
    ),
    OpenApiParameter(
        "Idempotency-Key",
        {"type": "string", "pattern": "^[!-~]{1,128}$"},
        OpenApiParameter.HEADER,
        description="Requests with the same key and body within 24 hours are carried out and charged once.",
    ),
    _header(
        "X-Request-Id",
        "The id of the call; on every reply to a request, but not on the plain-text 429 that is sent to an "
        "address with too many open connections before a request is read.",
        on=True,
    ),
    _header("X-Billed-Units", "Units charged for this call; 0 unless the code is 0.", on=True),
    _header("X-Quota-Remaining", "Units that remain after this call (剩余调用量).", on=True),
    _header(
        "Idempotent-Replayed",
        "true: this is the answer of the earlier request with the same Idempotency-Key.",
        on=[200],
    ),
    _header("Retry-After", "Seconds to wait before a retry.", on=[429, 503]),
]


def describes(api: Api, summary: str, result: str, *, pairs: bool = False) -> Any:
    """Return a class decorator that describes the view of an API."""
    entry = _list(_ref("PairImage"), minItems=2, maxItems=2) if pairs else _ref("Image")
    request = _object(data=_list(entry, minItems=1, maxItems=MAX_PAIRS if pairs else MAX_IMAGES))
    request["properties"]["options"] = {
        "type": "object",
        "properties": {"quality": {"type": "boolean", "description": "each result also has `quality`"}},
    }
    answer = _object(
        code={"type": "integer", "const": errors.OK},
        message={"type": "string", "const": errors.SUCCESS[0]},
        result=_list(_ref(result)),
    )
    picture = "https://example.org/example.png"
    return extend_schema_view(
        post=extend_schema(
            operation_id=api.value,
            summary=f"{api.label} · {summary}",
            description=f"Also under /face/api/v1/{api.value}.json and /v1/{api.value}.json.",
            tags=["人脸识别"],
            parameters=_PARAMETERS,
            request={"application/json": request},
            responses={(200, "application/json"): answer} | _error_responses(),
            examples=[
                OpenApiExample(
                    "URL", value={"data": [[picture, picture]] if pairs else [picture]}, request_only=True
                )
            ],
        )
    )


def describes_gallery(name: str, summary: str, result: str, *, entry: str) -> Any:
    """Return a class decorator that describes one API of the face gallery (faceapi/gallery/schema.py)."""
    request = _object(data=_list(_ref(entry), minItems=1, maxItems=MAX_IMAGES))
    if options := gallery.OPTIONS.get(name):
        request["properties"]["options"] = options
        if options["required"]:
            request["required"].append("options")
    answer = _object(
        code={"type": "integer", "const": errors.OK},
        message={"type": "string", "const": errors.SUCCESS[0]},
        result=_list(_ref(result)),
    )
    return extend_schema_view(
        post=extend_schema(
            operation_id=name,
            summary=f"{gallery.LABELS[name]} · {summary}",
            description=f"{gallery.DESCRIPTIONS[name]}\n\n"
            f"Also under /face/api/v1/{name}.json and /v1/{name}.json.",
            tags=["人脸库"],
            parameters=_PARAMETERS,
            request={"application/json": request},
            responses={(200, "application/json"): answer} | _error_responses(),
            examples=[OpenApiExample(name, value=gallery.EXAMPLES[name], request_only=True)],
        )
    )


# --- hooks of drf-spectacular (settings.SPECTACULAR_SETTINGS) ----------------------


def only_documented(endpoints: list[tuple[str, ...]], **_: Any) -> list[tuple[str, ...]]:
    """Return the endpoints that this installation offers, each under the first of the three prefixes only."""
    return [
        endpoint
        for endpoint in endpoints
        if endpoint[0].startswith(DOCUMENTED_PREFIX)
        and (settings.GALLERY or PurePosixPath(endpoint[0]).stem not in gallery.LABELS)
    ]


def add_components(result: Json, generator: Any, request: Any, public: bool) -> Json:
    """Add the schemas that the views refer to, and the signature as a security scheme."""
    for path in result["paths"].values():
        path["post"]["requestBody"]["required"] = True
        path["post"]["security"] = [{"CTYUN": []}]
        for (http, kind), schema in _error_responses().items():
            path["post"]["responses"][str(http)]["content"][kind]["schema"] = schema
    components = result.setdefault("components", {})
    of_gallery = gallery.COMPONENTS | {"PairImage": IMAGE_OR_STORED_FACE} if settings.GALLERY else {}
    components["schemas"] = COMPONENTS | of_gallery | components.get("schemas", {})
    components["securitySchemes"] = {
        "CTYUN": {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "CTYUN <AppKey>:<hex HMAC-SHA256 of METHOD\\npath\\nquery\\nX-CTYUN-DT\\n"
            "sha1hex(body), keyed with the SecretKey> (4.1.3)",
        }
    }
    return result
