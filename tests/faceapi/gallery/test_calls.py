"""The face gallery over the signed API: enrolment, search, comparison and erasure, with quota and tenancy."""

import zlib
from datetime import datetime, timedelta
from io import BytesIO
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone
from PIL import Image

from accounts.models import App
from billing.books import reconcile
from billing.models import Api, Debit, Package, Period
from common import valkey
from embedded.services.managed_process import Process
from faceapi import calls
from faceapi.models import Call
from gallery.models import Face, Group, Person, TrailEntry
from tests.conftest import wait_until
from tests.faceapi.conftest import Caller, buy, encode, inline
from tests.faceapi.gallery.conftest import Gallery, entry, used
from tests.faceapi.test_privacy import encodings, rows, values

pytestmark = pytest.mark.usefixtures("worker")


def test_a_person_is_enrolled_found_compared_and_erased(
    gallery: Gallery, app: App, portrait: bytes, second_shot: bytes
) -> None:
    (added,) = gallery.result("face_person_add", [entry("1001", portrait, note="三楼")])
    assert (added["group_id"], added["person_id"]) == ("staff", "1001")
    assert added["location"]["width"] > 50
    assert added["quality"]["reasons"] == []

    (found,) = gallery.result("face_search", [inline(second_shot)], {"groups": ["staff"]})
    (face,) = found["face_list"]
    (match,) = face["person_list"]
    assert (match["person_id"], match["face_id"]) == ("1001", added["face_id"])
    assert match["confidence"] > 80
    assert 0 < match["false_match_rate"] < 1e-4

    pairs = [
        [inline(second_shot), "face:staff/1001"],
        [f"face:staff/1001/{added['face_id']}", inline(second_shot)],
        [inline(second_shot), inline(portrait)],
        ["face:staff/1001", "face:staff/1001"],
    ]
    compared = gallery.result("face_compare", pairs)
    assert [one["confidence"] for one in compared] == [*[match["confidence"]] * 3, 100.0]

    assert gallery.result("face_group_list", [{}])[0]["groups"][0]["persons"] == 1
    (listed,) = gallery.result("face_person_list", [{"group_id": "staff"}])
    assert [face["face_id"] for face in listed["persons"][0]["faces"]] == [added["face_id"]]
    assert listed["persons"][0]["note"] == "三楼"
    assert used(app) == 2  # an enrolment and a search

    deleted = gallery.send("face_person_delete", [{"group_id": "staff", "person_id": "1001"}])
    assert deleted.json["result"] == [{"deleted_faces": 1}]
    assert deleted.headers["X-Billed-Units"] == "0"
    (found,) = gallery.result("face_search", [inline(second_shot)], {"groups": ["staff"]})
    assert found["face_list"][0]["person_list"] == []
    trail = TrailEntry.objects.filter(app=app).order_by("pk")
    assert [one.action for one in trail] == ["group_add", "enrol", "search", "compare", "erase", "search"]
    proofs = reconcile.run(timezone.now())
    assert [
        found.detail for proof in proofs for found in proof.breaks if f"App {app.pk}" in found.detail
    ] == []


def test_an_enrolment_is_all_or_nothing(gallery: Gallery, app: App, portrait: bytes) -> None:
    """A hundred enrolments with one bad picture: nothing is charged, nothing is stored."""
    data = [entry(f"p{n}", portrait) for n in range(100)]
    data[61]["image"] = inline(encode((200, 200)))
    refused = gallery.send("face_person_add", data)
    assert (refused.code, refused.json["index"]) == (4304, 61)
    assert refused.json["quality"]["reasons"] == ["no_face"]
    assert not Face.objects.filter(group__app=app).exists()
    assert not Person.objects.filter(group__app=app).exists()
    assert used(app) == 0
    assert TrailEntry.objects.filter(app=app).count() == 1


def test_several_faces_are_not_enrolled(gallery: Gallery, portrait: bytes) -> None:
    one = Image.open(BytesIO(portrait))
    both = Image.new("RGB", (one.width * 2, one.height))
    both.paste(one, (0, 0))
    both.paste(one, (one.width, 0))
    out = BytesIO()
    both.save(out, "JPEG", quality=92)
    refused = gallery.enrol("1", out.getvalue())
    assert refused.code == 4304
    assert "several_faces" in refused.json["quality"]["reasons"]
    gallery.result("face_person_add", [entry("1001", portrait)])
    (found,) = gallery.result("face_search", [inline(out.getvalue())], {"groups": ["staff"], "faces": "all"})
    assert [len(face["person_list"]) for face in found["face_list"]] == [1, 1]


def test_another_customer_has_no_access(
    gallery: Gallery, stranger: Caller, portrait: bytes, now: datetime
) -> None:
    (added,) = gallery.result("face_person_add", [entry("1001", portrait)])
    for api in (Api.FACE_SEARCH, Api.FACE_COMPARE):
        buy(stranger.key.app.customer, api, now, app=stranger.key.app)
    foreign = Gallery(stranger)
    image = inline(portrait)
    who = {"group_id": "staff", "person_id": "1001"}
    assert foreign.send("face_search", [image], {"groups": ["staff"]}).code == 4301
    assert foreign.send("face_compare", [[image, "face:staff/1001"]]).code == 4301
    assert foreign.send("face_compare", [[image, f"face:staff/1001/{added['face_id']}"]]).code == 4301
    assert foreign.send("face_person_list", [{"group_id": "staff"}]).code == 4301
    assert foreign.enrol("1001", portrait).code == 4301
    assert foreign.result("face_group_list", [{}]) == [{"groups": []}]
    assert foreign.result("face_person_delete", [who]) == [{"deleted_faces": 0}]
    assert foreign.result("face_group_delete", [{"group_id": "staff"}])[0]["deleted_faces"] == 0
    assert gallery.result("face_group_list", [{}])[0]["groups"][0]["faces"] == 1
    assert used(stranger.key.app) == 0


def test_a_full_gallery_refuses_enrolments(gallery: Gallery, app: App, portrait: bytes) -> None:
    App.objects.filter(pk=app.pk).update(face_limit=2)
    refused = gallery.send("face_person_add", [entry(str(n), portrait) for n in range(3)])
    assert (refused.code, refused.json["index"]) == (4303, 2)
    assert "2" in refused.json["detail"]
    gallery.result("face_person_add", [entry(str(n), portrait) for n in range(2)])
    assert gallery.enrol("9", portrait).code == 4303
    assert used(app) == 2


def test_too_many_faces_and_look_alikes_are_refused(gallery: Gallery, app: App, portrait: bytes) -> None:
    refused = gallery.send("face_person_add", [entry("1001", portrait)] * 21)
    assert (refused.code, refused.json["index"]) == (4308, 20)
    gallery.result("face_person_add", [entry("1001", portrait)])
    refused = gallery.send("face_person_add", [entry("1002", portrait)], {"unique": True})
    assert (refused.code, refused.json["index"]) == (4305, 0)
    assert "1001" in refused.json["detail"]
    gallery.result("face_person_add", [entry("1001", portrait)], {"unique": True})
    assert used(app) == 2


def test_a_group_of_another_model_version_is_refused(gallery: Gallery, app: App, portrait: bytes) -> None:
    gallery.result("face_person_add", [entry("1001", portrait)])
    Group.objects.filter(app=app).update(model_version="of-last-year")
    Face.objects.filter(group__app=app).update(model_version="of-last-year")
    assert gallery.send("face_search", [inline(portrait)], {"groups": ["staff"]}).code == 4307
    assert gallery.enrol("1002", portrait).code == 4307
    assert gallery.send("face_compare", [["face:staff/1001", inline(portrait)]]).code == 4307
    assert gallery.result("face_group_list", [{}])[0]["groups"][0]["model_version"] == "of-last-year"
    assert gallery.result("face_group_delete", [{"group_id": "staff"}])[0]["deleted_faces"] == 1


def test_deleting_works_without_a_live_package(gallery: Gallery, app: App, portrait: bytes) -> None:
    gallery.result("face_person_add", [entry("1001", portrait), entry("1002", portrait)])
    ended = timezone.now() - timedelta(days=1)
    start = ended - timedelta(days=40)
    Period.objects.filter(app=app).update(starts_at=start, ends_at=ended)
    Package.objects.filter(app=app).update(starts_at=start, ends_at=ended)
    assert gallery.send("face_search", [inline(portrait)], {"groups": ["staff"]}).code == 4203
    assert gallery.enrol("1003", portrait).code == 4203
    who = {"group_id": "staff", "person_id": "1001"}
    assert gallery.result("face_person_delete", [who]) == [{"deleted_faces": 1}]
    assert gallery.result("face_person_list", [{"group_id": "staff"}])[0]["persons"][0]["person_id"] == "1002"
    assert gallery.result("face_group_delete", [{"group_id": "staff"}])[0]["deleted_faces"] == 1


def test_an_app_without_the_package_may_not_search(gallery: Gallery, app: App, portrait: bytes) -> None:
    Period.objects.filter(app=app, api=Api.FACE_SEARCH).delete()
    Package.objects.filter(app=app, api=Api.FACE_SEARCH).delete()
    assert gallery.send("face_search", [inline(portrait)], {"groups": ["staff"]}).code == 4201
    assert gallery.enrol("1001", portrait).code == 4201


def test_a_repeat_gets_the_answer_until_a_person_is_erased(
    gallery: Gallery, app: App, portrait: bytes
) -> None:
    key = uuid4().hex
    first = gallery.send("face_person_add", [entry("1001", portrait)], Idempotency_Key=key)
    again = gallery.send("face_person_add", [entry("1001", portrait)], Idempotency_Key=key)
    assert (first.code, again.json) == (0, first.json)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert Face.objects.filter(group__app=app).count() == 1
    assert used(app) == 1
    gallery.result("face_person_delete", [{"group_id": "staff", "person_id": "1001"}])
    assert gallery.send("face_person_add", [entry("1001", portrait)], Idempotency_Key=key).code == 4022
    assert not Face.objects.filter(group__app=app).exists()


def unpacked(data: bytes) -> bytes:
    """Decompress a stored answer."""
    try:
        return zlib.decompress(data)
    except zlib.error:
        return data


def test_an_erased_person_leaves_no_trace(gallery: Gallery, app: App, portrait: bytes) -> None:
    """Neither the ids nor the vector is in any row or any key of Valkey."""
    person_id, reference = "erase.me-4711", "consent-0815"
    (added,) = gallery.result(
        "face_person_add",
        [entry(person_id, portrait, consent={"reference": reference}, note="gone-note")],
    )
    searched = gallery.send(
        "face_search", [inline(portrait)], {"groups": ["staff"]}, Idempotency_Key=uuid4().hex
    )
    assert searched.json["result"][0]["face_list"][0]["person_list"][0]["person_id"] == person_id
    gallery.result("face_compare", [[f"face:staff/{person_id}", inline(portrait)]])
    with connection.cursor() as cursor:
        cursor.execute("SELECT vector::text FROM gallery_face WHERE id = %s", [added["face_id"]])
        vector = ",".join(cursor.fetchone()[0].strip("[]").split(",")[:4])
    words = [person_id, reference, "gone-note", vector]
    needles = [found for word in words for found in encodings(word.encode())]
    needles += [added["face_id"].encode(), str(UUID(added["face_id"])).encode()]

    def places() -> set[str]:
        found = [*rows(), *((place, unpacked(data)) for place, data in values())]
        return {place for place, data in found if any(needle in data for needle in needles)}

    answer = places() - {"gallery_person", "gallery_face"}
    assert len(answer) == 1  # control: the stored answer to the search contains the id
    assert places() - answer == {"gallery_person", "gallery_face"}
    gallery.result("face_person_delete", [{"group_id": "staff", "person_id": person_id}])
    assert places() == set()


def test_no_log_has_a_person_id(
    gallery: Gallery, tight_site: Process, worker: Process, portrait: bytes
) -> None:
    person_id = f"in-no-log-{uuid4().hex}"
    gallery.result("face_person_add", [entry(person_id, portrait)])
    gallery.result("face_search", [inline(portrait)], {"groups": ["staff"]})
    gallery.result("face_person_delete", [{"group_id": "staff", "person_id": person_id}])
    for log in (tight_site.log, worker.log):
        assert person_id not in log.read_text()


def test_an_answer_that_was_not_sent_stores_nothing(gallery: Gallery, app: App, portrait: bytes) -> None:
    """A settled enrolment of a web process that died is withdrawn, and its faces are deleted."""
    call_id = UUID(gallery.enrol("1001", portrait).headers["X-Request-Id"])
    wait_until(lambda: Debit.objects.get(pk=call_id).state == "settled", timeout_s=10, what="the end")
    with connection.cursor() as cursor:  # as if its answer had never been confirmed
        cursor.execute("SET session_replication_role = replica")
        long_ago = timezone.now() - timedelta(minutes=10)
        cursor.execute(
            "UPDATE billing_debit SET state = 'settling', hold_expires_at = %s WHERE call_id = %s",
            [long_ago, call_id],
        )
        cursor.execute("SET session_replication_role = origin")
    assert calls.withdraw_unconfirmed(timezone.now()) == 1
    assert not Face.objects.filter(group__app=app).exists()
    assert not Person.objects.filter(group__app=app).exists()
    assert Call.objects.get(pk=call_id).code == 5003
    assert used(app) == 0


def test_an_update_of_a_group_keeps_omitted_fields(gallery: Gallery) -> None:
    gallery.result("face_group_add", [{"group_id": "staff", "name": "员工", "retention_days": 365}])
    assert gallery.result("face_group_add", [{"group_id": "staff"}])[0]["created"] is False
    (staff,) = gallery.result("face_group_list", [{}])[0]["groups"]
    assert (staff["name"], staff["retention_days"]) == ("员工", 365)
    gallery.result("face_group_add", [{"group_id": "staff", "retention_days": None}])
    (staff,) = gallery.result("face_group_list", [{}])[0]["groups"]
    assert "retention_days" not in staff


def test_the_limits_of_a_list_are_bounded_in_sum(gallery: Gallery) -> None:
    assert gallery.send("face_group_list", [{"limit": 100}] * 10).code == 0
    assert gallery.send("face_group_list", [{"limit": 100}] * 11).code == 4007
    assert gallery.send("face_group_list", [{}] * 11).code == 4007


def test_looking_up_faces_for_a_refused_call_counts_as_unpaid_work(
    gallery: Gallery, app: App, portrait: bytes
) -> None:
    key = f"faceapi:unpaid:{app.customer_id}"
    assert gallery.enrol("1001", portrait).code == 0
    pair = ["face:staff/1001", "face:staff/1001"]
    assert gallery.send("face_compare", [pair]).code == 0
    assert not valkey.client().exists(key)
    Period.objects.filter(app=app, api=Api.FACE_COMPARE).update(used=F("granted"))
    assert gallery.send("face_compare", [pair]).code == 4202
    assert valkey.client().pttl(key) > 0
    valkey.client().delete(key)
