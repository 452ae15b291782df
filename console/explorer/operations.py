"""The APIs of the OpenAPI description: name, labels, schema of the body, optional headers."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from django.conf import settings
from drf_spectacular.generators import SchemaGenerator

from billing.models import Api

Json = dict[str, Any]
SIGNED_HEADERS = ("X-CTYUN-DT",)  # which signing sets
GALLERY_TAG = "人脸库"


@dataclass(frozen=True)
class Operation:
    """One API. `label` is its Chinese name, a message id; `headers` are those that a caller may set."""

    name: str
    label: str
    description: str
    body: Json
    headers: dict[str, Json]
    is_gallery: bool

    @property
    def deletes(self) -> bool:
        """Return whether the API deletes data."""
        return self.name.endswith("_delete")


@cache
def document() -> Json:
    """Return the OpenAPI description, generated once per process."""
    made: Json = SchemaGenerator().get_schema(request=None, public=True)
    return made


@cache
def _all() -> dict[str, Operation]:
    found = {}
    for path in document()["paths"].values():
        post = path["post"]
        label, _, _ = post["summary"].partition(" · ")
        name = post["operationId"]
        found[name] = Operation(
            name,
            label,
            post["description"],
            post["requestBody"]["content"]["application/json"]["schema"],
            {
                one["name"]: one
                for one in post["parameters"]
                if one["in"] == "header" and one["name"] not in SIGNED_HEADERS
            },
            is_gallery=GALLERY_TAG in post["tags"],
        )
    return found


def operations() -> dict[str, Operation]:
    """Return the APIs that this site serves, by name, the metered ones first."""
    served = [one for one in _all().values() if settings.GALLERY or not one.is_gallery]
    metered = [str(api) for api in Api.values]
    served.sort(key=lambda one: metered.index(one.name) if one.name in metered else len(metered))
    return {one.name: one for one in served}


def resolved(schema: Json) -> Json:
    """Return the schema that a $ref refers to, or the schema itself."""
    if "$ref" not in schema:
        return schema
    components: Json = document()["components"]["schemas"]
    return resolved(components[schema["$ref"].rpartition("/")[2]])


def is_picture(schema: Json) -> bool:
    """Return whether the schema is that of a picture: a URL or base64, or in a pair also a stored face."""
    return str(schema.get("$ref", "")).endswith(("/Image", "/PairImage"))
