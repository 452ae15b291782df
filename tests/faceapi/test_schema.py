"""The OpenAPI description has every code, and the replies conform to it."""

import json
import os
import subprocess
import sys
from typing import Any

import hypothesis
import jsonschema
import pytest
import requests
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from pytest_django import Settings
from schemathesis import Case
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from faceapi import errors
from faceapi.authentication import signing
from tests.faceapi.conftest import Caller, encode, inline

NAMES = ("face_detect", "face_analyse", "face_compare", "face_search")
GALLERY = ("face_group_add", "face_group_list", "face_group_delete")
PERSONS = ("face_person_add", "face_person_list", "face_person_delete")
APIS = {f"/api/v1/{name}.json" for name in (*NAMES, *GALLERY, *PERSONS)}


def description() -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(SchemaGenerator().get_schema(public=True)))
    return plain


def test_the_description_is_openapi_3_1_of_all_apis() -> None:
    found = description()
    assert found["openapi"] == "3.1.0"
    assert set(found["paths"]) == APIS


def test_the_description_is_served(caller: Caller) -> None:
    reply = requests.get(f"http://{caller.address}/api/schema/?format=json", timeout=30)
    assert reply.status_code == 200
    assert set(reply.json()["paths"]) == APIS


@pytest.mark.parametrize("path", sorted(APIS))
def test_the_description_has_every_code_under_its_status(path: str) -> None:
    responses = description()["paths"][path]["post"]["responses"]
    named = {
        code: int(status)
        for status, response in responses.items()
        for code in response["content"]["application/json"]["schema"]["properties"]["code"].get("enum", [])
    }
    assert named == {row.number: row.http for row in errors.TABLE.values() if not row.reserved}


def test_the_description_names_the_header_of_a_repeated_answer() -> None:
    for path in APIS:
        responses = description()["paths"][path]["post"]["responses"]
        assert [code for code in responses if "Idempotent-Replayed" in responses[code]["headers"]] == ["200"]


def test_a_pair_may_name_stored_faces_where_the_gallery_is_in_use(settings: Settings) -> None:
    assert "face:<group_id>/<person_id>" in description()["components"]["schemas"]["PairImage"]["description"]
    settings.GALLERY = False
    assert "face:" not in description()["components"]["schemas"]["PairImage"]["description"]


def test_the_description_states_the_threshold_of_the_installation() -> None:
    program = (
        "import django; django.setup(); from faceapi.gallery.schema import OPTIONS;"
        "print(OPTIONS['face_search']['properties']['min_confidence']['default'])"
    )
    environment = os.environ | {"COMPARE_SAME_FROM": "72.5"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "72.5\n"


def test_the_description_allows_to_remove_a_retention() -> None:
    group = jsonschema.Draft202012Validator(description()["components"]["schemas"]["GroupToAdd"])
    for days, is_valid in ((1, True), (None, True), (0, False), ("1", False)):
        assert group.is_valid({"group_id": "staff", "retention_days": days}) is is_valid


class Signature(requests.auth.AuthBase):
    """Signs each request as it is sent."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        path, query = signing.split_target(request.path_url)
        target = f"{path}?{query}" if query else path
        sent = self._caller.headers(body.encode() if isinstance(body, str) else body, target)
        request.headers.update({name: sent[name] for name in ("Authorization", "X-CTYUN-DT")})
        return request


schema = schemathesis.openapi.from_dict(description())
# Checks the form of the answers, but not whether a random body is refused: tests/faceapi/errors does.
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@schema.parametrize()
@hypothesis.settings(
    max_examples=20, deadline=None, suppress_health_check=list(hypothesis.HealthCheck), derandomize=True
)
def test_answers_conform_to_the_description(case: Case, caller: Caller) -> None:
    response = case.call(base_url=f"http://{caller.address}", auth=Signature(caller), timeout=60)
    assert response.status_code < 500, response.text
    case.validate_response(response, checks=CHECKS)


@pytest.mark.parametrize("name", NAMES[:3])
def test_the_answer_to_a_valid_call_conforms_to_the_description(name: str, caller: Caller) -> None:
    path = f"/api/v1/{name}.json"
    picture = inline(encode())
    data = [[picture, picture]] if "compare" in path else [picture]
    url = f"http://{caller.address}{path}"
    response = requests.post(url, json={"data": data}, auth=Signature(caller), timeout=60)
    assert response.status_code == 200, response.text
    schema[path]["POST"].validate_response(response)


def test_the_gallerys_answers_conform_to_the_description(caller: Caller) -> None:
    requests_in_order = [
        ("face_group_add", {"group_id": "staff", "name": "员工"}),
        ("face_group_list", {}),
        ("face_person_list", {"group_id": "staff"}),
        ("face_person_delete", {"group_id": "staff", "person_id": "1001"}),
        ("face_group_delete", {"group_id": "staff"}),
    ]
    for name, entry in requests_in_order:
        path = f"/api/v1/{name}.json"
        url = f"http://{caller.address}{path}"
        response = requests.post(url, json={"data": [entry]}, auth=Signature(caller), timeout=60)
        assert response.status_code == 200, response.text
        schema[path]["POST"].validate_response(response)
