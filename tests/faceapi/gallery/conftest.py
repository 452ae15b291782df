"""Fixtures of the gallery's APIs: Alice's App with face_search, her caller, one face in two pictures."""

import json
from datetime import datetime
from io import BytesIO

import pytest
from PIL import Image

from accounts.models import App, User
from billing.models import Api, Period
from tests.faceapi.conftest import Answer, Caller, buy, inline

CONSENT = {"reference": "HR-12"}


class Gallery:
    """Calls of the gallery's APIs by one caller."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    def send(self, api: str, data: object, options: object = None, **headers: str) -> Answer:
        body = {"data": data} | ({"options": options} if options is not None else {})
        return self.caller.send(json.dumps(body).encode(), f"/api/v1/{api}.json", **headers)

    def result(self, api: str, data: object, options: object = None) -> list:
        answer = self.send(api, data, options)
        assert answer.code == 0, answer.json
        return answer.json["result"]

    def enrol(self, person_id: str, picture: bytes, group_id: str = "staff", **more: object) -> Answer:
        return self.send("face_person_add", [entry(person_id, picture, group_id, **more)])


def entry(person_id: str, picture: bytes, group_id: str = "staff", **more: object) -> dict[str, object]:
    return {
        "group_id": group_id,
        "person_id": person_id,
        "image": inline(picture),
        "consent": CONSENT,
        **more,
    }


@pytest.fixture
def app(app: App, alice: User, now: datetime) -> App:
    """Return the App with an additional month of face_search."""
    return buy(alice, Api.FACE_SEARCH, now, app=app)


@pytest.fixture
def gallery(caller: Caller) -> Gallery:
    made = Gallery(caller)
    assert made.result("face_group_add", [{"group_id": "staff", "name": "员工"}])[0]["created"] is True
    return made


@pytest.fixture(scope="module")
def portrait(astronaut: bytes) -> bytes:
    """Return the face and its surroundings as a small picture."""
    out = BytesIO()
    Image.open(BytesIO(astronaut)).convert("RGB").crop((80, 0, 370, 290)).save(out, "JPEG", quality=92)
    return out.getvalue()


@pytest.fixture(scope="module")
def second_shot(astronaut: bytes) -> bytes:
    """Return the same person, larger and slightly rotated."""
    out = BytesIO()
    turned = Image.open(BytesIO(astronaut)).convert("RGB").rotate(4).crop((90, 10, 360, 280))
    turned.resize((330, 330)).save(out, "JPEG", quality=80)
    return out.getvalue()


def used(app: App) -> int:
    return sum(Period.objects.filter(app=app, api=Api.FACE_SEARCH).values_list("used", flat=True))
