"""Every code over HTTP: the mistake that causes it, and a reply that explains how to correct it."""

import hashlib
import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import uuid4

import pytest
from django.conf import settings
from django.utils import timezone

from accounts import keys
from accounts.models import App
from billing import quota
from billing.models import Api, Debit, DebitState, Package, Period
from common import valkey
from embedded.services.managed_process import Process
from faceapi import calls, errors
from faceapi.calls import CallContext
from faceapi.errors import ApiError
from faceapi.limits import idempotency
from faceapi.models import Call
from faceapi.usage import unattributed
from tests.conftest import wait_until
from tests.faceapi.conftest import (
    DETECT,
    LIMITS,
    PREFIX,
    Answer,
    Caller,
    as_options,
    encode,
    inline,
    read_answer,
)
from tests.faceapi.dispatch.workers import frozen, in_its_place, silent
from tests.faceapi.servers import Servers

COMPARE = "/api/v1/face_compare.json"
Reach = Callable[[Caller, Servers], Answer]

# A request that causes each code. Codes that need more than a request have separate tests below.
REQUESTS: dict[str, tuple[int, Reach]] = {
    "no data": (4001, lambda c, s: c.send(b"{}")),
    "a body that is a list": (4001, lambda c, s: c.send(b"[]")),
    "empty data": (4001, lambda c, s: c.call([])),
    "data is no list": (4001, lambda c, s: c.call("x")),
    "an entry is no string": (4001, lambda c, s: c.call([inline(encode()), 7])),
    "compare: an entry is no pair": (4001, lambda c, s: c.call([inline(encode())], COMPARE)),
    "compare: a pair of three": (4001, lambda c, s: c.call([[inline(encode())] * 3], COMPARE)),
    "gif": (4002, lambda c, s: c.call([inline(encode(kind="GIF"))])),
    "webp": (4002, lambda c, s: c.call([inline(encode(kind="WEBP"))])),
    "bmp": (4002, lambda c, s: c.call([inline(encode(kind="BMP"))])),
    "tiff": (4002, lambda c, s: c.call([inline(encode(kind="TIFF"))])),
    "png with alpha": (4002, lambda c, s: c.call([inline(encode(mode="RGBA", kind="PNG"))])),
    "a jpeg cut off": (4003, lambda c, s: c.call([inline(encode((400, 400))[:4000])])),
    "a png cut off": (4003, lambda c, s: c.call([inline(encode((90, 90), kind="PNG")[:2000])])),
    "connection refused": (4004, lambda c, s: c.call([s.closed_url])),
    "a private address": (4004, lambda c, s: c.call(["http://127.0.0.2/x.jpg"])),
    "the server answers 503": (4004, lambda c, s: c.call([s.url("status/503")])),
    "the server is slow": (4005, lambda c, s: c.call([s.url("slow-headers")])),
    "a URL with a space": (4011, lambda c, s: c.call(["http://example.org/a b.jpg"])),
    "base64 without its prefix": (4011, lambda c, s: c.call([inline(encode()).removeprefix(PREFIX)])),
    "much base64 without its prefix": (
        4011,
        lambda c, s: c.call([inline(encode((900, 900), kind="PNG")).removeprefix(PREFIX)]),
    ),
    "not base64": (4006, lambda c, s: c.call([PREFIX + "a!b"])),
    "base64 of a wrong length": (4006, lambda c, s: c.call([PREFIX + "A" * 5])),
    "an unknown prefix": (4006, lambda c, s: c.call(["data:text/plain;base64,AAAA"])),
    "a prefix without a comma": (4006, lambda c, s: c.call(["data:image/png;base64"])),
    "not JSON": (4007, lambda c, s: c.send(b'{"data": [')),
    "no body": (4007, lambda c, s: c.send(b"")),
    "not UTF-8": (4007, lambda c, s: c.send(b'{"data": ["\xff"]}')),
    "31 px wide": (4008, lambda c, s: c.call([inline(encode((31, 64)))])),
    "5001 px wide": (4008, lambda c, s: c.call([inline(encode((5001, 32)))])),
    "an image over 10 MiB": (4009, lambda c, s: c.call([inline(encode() + bytes(10 * 1024 * 1024))])),
    "an image over 10 MiB at a URL": (4009, lambda c, s: c.call([s.url("large")])),
    "a body over the limit": (4010, lambda c, s: c.promise(f"Content-Length: {64 * 1024 * 1024 + 1}")),
    "a URL that is none": (4011, lambda c, s: c.call(["picture.jpg"])),
    "a URL of another scheme": (4011, lambda c, s: c.call(["ftp://example.org/x.jpg"])),
    "the server answers 404": (4011, lambda c, s: c.call([s.url("status/404")])),
    "no image": (4012, lambda c, s: c.call([inline(b"<html>hello</html>")])),
    "an empty image": (4012, lambda c, s: c.call([PREFIX])),
    "a page at the URL": (4012, lambda c, s: c.call([s.url("page")])),
    "101 images": (4015, lambda c, s: c.call([PREFIX] * 101)),
    "51 pairs": (4015, lambda c, s: c.call([[PREFIX, PREFIX]] * 51, COMPARE)),
    "GET": (4016, lambda c, s: c.send(b"", method="GET")),
    "PUT": (4016, lambda c, s: c.send(b"{}", method="PUT")),
    "gzip": (4017, lambda c, s: c.send(b"\x1f\x8b", Content_Encoding="gzip")),
    "gzip in chunks": (4017, lambda c, s: c.promise("Transfer-Encoding: gzip, chunked")),
    "an Idempotency-Key with a space": (
        4018,
        lambda c, s: c.call([inline(encode())], Idempotency_Key="two words"),
    ),
    "no Authorization": (4101, lambda c, s: c.send(b"{}", Authorization="")),
    "another scheme": (4101, lambda c, s: c.send(b"{}", Authorization="Bearer x")),
    "an unknown AppKey": (4102, lambda c, s: c.send(b"{}", Authorization=f"CTYUN {'0' * 16}:{'0' * 64}")),
    "no date": (4103, lambda c, s: c.send(b"{}", X_CTYUN_DT="")),
    "seconds instead of milliseconds": (4103, lambda c, s: c.send(b"{}", X_CTYUN_DT=str(int(time.time())))),
    "ten minutes late": (4103, lambda c, s: c.send(b"{}", X_CTYUN_DT=str(int(time.time() * 1000) - 600_000))),
    "a wrong signature": (
        4104,
        lambda c, s: c.send(b"{}", Authorization=f"CTYUN {c.key.key}:{'0' * 64}"),
    ),
}


@dataclass
class Stage:
    """The services and Apps that a case needs besides a request."""

    caller: Caller
    other: Caller  # of an App with face_detect alone
    app: App
    worker: Process


def replayed(stage: Stage) -> Answer:
    body = stage.caller.body([inline(encode())])
    signed = as_options(stage.caller.headers(body))
    assert stage.caller.send(body, **signed).code == 0
    return stage.caller.send(body, **signed)


def cut_off(stage: Stage) -> Answer:
    with stage.caller.raw() as sock:
        sock.sendall(stage.caller.head(b"{}", "Content-Length: 100") + b"{}")
        sock.shutdown(socket.SHUT_WR)
        return read_answer(sock)


def no_http(stage: Stage) -> Answer:
    with stage.caller.raw() as sock:
        sock.sendall(stage.caller.head(b"", "Content-Length: 2", "Content-Length: 2") + b"{}")
        return read_answer(sock)


def from_elsewhere(stage: Stage) -> Answer:
    App.objects.filter(pk=stage.app.pk).update(allowed_addresses=["203.0.113.0/24"])
    return stage.caller.call([inline(encode())])


def used_up(stage: Stage) -> Answer:
    image = inline(encode())
    Period.objects.filter(app=stage.app, api=Api.FACE_DETECT).update(granted=2)
    assert stage.caller.call([image] * 3).code == 4202  # all or nothing
    assert stage.caller.call([image] * 2).headers["X-Quota-Remaining"] == "0"
    return stage.caller.call([image])


def expired(stage: Stage) -> Answer:
    past = timezone.now() - timedelta(days=1)
    for table in (Package, Period):
        rows = table.objects.filter(app=stage.app, api=Api.FACE_DETECT)
        rows.update(starts_at=past - timedelta(days=30), ends_at=past)
    return stage.caller.call([inline(encode())])


def too_often(stage: Stage) -> Answer:
    App.objects.filter(pk=stage.app.pk).update(rate_per_s=1)
    answers = [stage.caller.call([inline(encode())]) for _ in range(5)]
    assert answers[0].code == 0
    return next(answer for answer in answers if answer.code != 0)


def another_body(stage: Stage) -> Answer:
    assert stage.caller.call([inline(encode())], Idempotency_Key="k").code == 0
    return stage.caller.call([inline(encode())] * 2, Idempotency_Key="k")


def still_running(stage: Stage) -> Answer:
    """Take the key for a running call of another process with the same body."""
    data, at = [inline(encode())], timezone.now()
    hold = idempotency.take(
        valkey.client(),
        "k",
        app_pk=stage.app.pk,
        api=Api.FACE_DETECT,
        body_sha1=hashlib.sha1(stage.caller.body(data)).hexdigest(),
        call_id=uuid4(),
        at=at,
    )
    try:
        return stage.caller.call(data, Idempotency_Key="k")
    finally:
        idempotency.end_lease(valkey.client(), hold)


def spent(stage: Stage) -> Answer:
    data = [inline(encode())]
    assert stage.caller.call(data, Idempotency_Key="k").code == 0
    for name in valkey.client().scan_iter("faceapi:answer:*"):
        valkey.client().delete(name)
    return stage.caller.call(data, Idempotency_Key="k")


def no_worker(stage: Stage) -> Answer:
    with silent(stage.worker):
        return stage.caller.call([inline(encode())])


def no_answer(stage: Stage) -> Answer:
    with frozen(stage.worker):
        return stage.caller.call([inline(encode())])


SITUATIONS: dict[str, tuple[int, Callable[[Stage], Answer]]] = {
    "the same Idempotency-Key for another body": (4018, another_body),
    "a body that ends in the middle": (4019, cut_off),
    "an address that is almost one": (
        4020,
        lambda stage: stage.caller.call([inline(encode())], "/api/v1/face_detect"),
    ),
    "a header twice": (4021, no_http),
    "an Idempotency-Key whose answer is gone": (4022, spent),
    "the same signature twice": (4105, replayed),
    "an address that is not on the list": (4106, from_elsewhere),
    "an API that was never ordered": (
        4201,
        lambda stage: stage.other.call([inline(encode())], "/api/v1/face_analyse.json"),
    ),
    "fewer units than images": (4202, used_up),
    "a package that has ended": (4203, expired),
    "two calls in a second where one is allowed": (4291, too_often),
    "an Idempotency-Key whose call still runs": (4292, still_running),
    "inference that fails": (5001, lambda stage: in_its_place(stage.worker, stage.caller, 5001)),
    "a result that lacks something": (5002, lambda stage: in_its_place(stage.worker, stage.caller, 5002)),
    "no worker": (5003, no_worker),
    "a worker that does not answer": (5004, no_answer),
}
OF_ONE_ENTRY = {
    "an entry is no string",
    "compare: an entry is no pair",
    "compare: a pair of three",
}
OF_ONE_IMAGE = {4002, 4003, 4004, 4005, 4006, 4008, 4009, 4011, 4012, 5001, 5002}
# Refused by the headers or within the body, before the signature is checked, so no quota may be revealed.
BEFORE_THE_SIGNATURE = {4010, 4016, 4017, 4019, 4020, 4021, 4101, 4102, 4103, 4104, 4105, 4106}
WITH_RETRY_AFTER = {4291, 4292, 5003}


@pytest.fixture
def stage(caller: Caller, other_caller: Caller, app: App, worker: Process) -> Stage:
    return Stage(caller, other_caller, app, worker)


WAYS: list[tuple[int, str]] = sorted(
    [(code, what) for what, (code, _) in REQUESTS.items()]
    + [(code, what) for what, (code, _) in SITUATIONS.items()]
)
IN_THE_GALLERY = range(4301, 4309)  # tested in tests/faceapi/gallery
NAMES = {number: name for name, number in vars(errors).items() if isinstance(number, int) and name.isupper()}


@pytest.mark.parametrize(
    "code",
    [row.number for row in errors.TABLE.values() if not row.reserved and row.number not in IN_THE_GALLERY],
    ids=lambda code: f"{code} {NAMES.get(code)}",
)
def test_every_code_has_a_case(code: int) -> None:
    assert code in {reached for reached, _ in WAYS}
    assert code in NAMES


@pytest.mark.parametrize(("code", "what"), WAYS, ids=[f"{code} {what}" for code, what in WAYS])
def test_each_mistake_gets_its_code(code: int, what: str, stage: Stage, servers: Servers) -> None:
    if what in SITUATIONS:
        _, in_situation = SITUATIONS[what]
        answer = in_situation(stage)
    else:
        _, reach = REQUESTS[what]
        answer = reach(stage.caller, servers)
    row = errors.TABLE[code]
    assert (answer.code, answer.status) == (code, row.http), answer.json
    assert answer.json["message"] == row.zh
    if code in range(4100, 4300) and "detail" in answer.json:
        assert re.search(r"[\u4e00-\u9fff]", answer.json["detail_zh"])
    assert (answer.json["remedy"], answer.json["remedy_en"]) == (row.remedy_zh, row.remedy_en)
    assert "result" not in answer.json
    request_id = answer.json["request_id"]
    assert request_id == answer.headers["X-Request-Id"]
    assert ("index" in answer.json) == (code in OF_ONE_IMAGE or what in OF_ONE_ENTRY), answer.json
    assert ("Retry-After" in answer.headers) == (code in WITH_RETRY_AFTER)
    assert not Debit.objects.filter(call_id=request_id).exclude(state=DebitState.RETURNED).exists()
    is_authentic = code not in BEFORE_THE_SIGNATURE
    records = Call.objects.filter(pk=request_id)
    if is_authentic and code in unattributed.CHEAP:
        wait_until(records.exists, timeout_s=20, what="the next flush of refusals")
    recorded = list(records.values_list("code", "http_status", "units"))
    assert recorded == ([(code, row.http, 0)] if is_authentic else [])
    assert answer.headers.get("X-Billed-Units") == ("0" if is_authentic else None)
    assert ("X-Quota-Remaining" in answer.headers) == (is_authentic and code not in unattributed.CHEAP)


def test_the_index_is_that_of_the_faulty_image(caller: Caller, servers: Servers) -> None:
    good, bad = inline(encode()), inline(b"GIF89a")
    assert caller.call([good, good, bad, bad]).json["index"] == 2
    assert caller.call([good, inline(encode((400, 400))[:4000]), good]).json["index"] == 1
    assert caller.call([good, servers.url("image"), servers.url("status/404")]).json["index"] == 2
    assert caller.call([[good, good], [good, bad]], COMPARE).json["index"] == 1
    assert caller.call([[good, good], [servers.url("page"), good]], COMPARE).json["index"] == 1
    assert caller.call([[good, good], [good, inline(encode((400, 400))[:4000])]], COMPARE).json["index"] == 1


def test_4104_contains_the_request_as_received(caller: Caller) -> None:
    body = b'{"data": ["\xe4\xb8\xad"]}'
    answer = caller.send(body, DETECT + "?b=%20&a=1", Authorization=f"CTYUN {caller.key.key}:{'0' * 64}")
    signed = answer.json["signed"]
    assert signed["method"] == "POST"
    assert (signed["path"], signed["query"]) == (DETECT, "b=%20&a=1")
    assert signed["body_bytes"] == len(body)
    assert abs(signed["clock_difference_ms"]) < 10_000
    right = caller.headers(body, DETECT + "?b=%20&a=1", at_ms=int(signed["x_ctyun_dt"]))["Authorization"]
    text = json.dumps(answer.json)
    assert caller.secret not in text
    assert "detail" not in answer.json  # no common mistake explains random digits
    other = caller.headers(body, "/v1/face_detect.json")
    mistaken = caller.send(body, DETECT, **as_options(other))
    assert mistaken.json["detail"] == "it would be right for the path /v1/face_detect.json"
    assert right.rpartition(":")[2] not in text


def test_4105_for_the_same_signature_twice(caller: Caller) -> None:
    body = json.dumps({"data": [inline(encode())]}).encode()
    signed = caller.headers(body)
    assert caller.send(body, **as_options(signed)).code == 0
    assert caller.send(body, **as_options(signed)).code == 4105
    upper = signed | {"Authorization": signed["Authorization"][:23] + signed["Authorization"][23:].upper()}
    assert caller.send(body, **as_options(upper)).code == 4105


def test_4105_for_a_replay_with_a_slow_body(caller: Caller) -> None:
    """The clock is checked with the headers, the signature once the body is complete."""
    body = caller.body([inline(encode((600, 600)))])
    signed = caller.headers(body)
    assert caller.send(body, **as_options(signed)).code == 0
    seen = f"faceapi:seen:{signed['Authorization'].removeprefix('CTYUN ')}"
    slowest_s = float(LIMITS["BODY_GRACE_S"]) + len(body) / float(LIMITS["BODY_MIN_BYTES_PER_S"])
    assert valkey.client().ttl(seen) >= 2 * settings.CLOCK_SKEW_S + slowest_s


def test_a_forged_signature_does_not_block_the_real_one(caller: Caller) -> None:
    body = json.dumps({"data": [inline(encode())]}).encode()
    signed = as_options(caller.headers(body))
    assert caller.send(body + b" ", **signed).code == 4104
    assert caller.send(body, **signed).code == 0


def test_4106_for_an_address_that_is_not_on_the_list(caller: Caller, app: App) -> None:
    App.objects.filter(pk=app.pk).update(allowed_addresses=["203.0.113.0/24", "2001:db8::/32"])
    assert caller.call([inline(encode())]).code == 4106
    # 127.0.0.1 is a trusted proxy of this site: the address that it adds counts, not those before it.
    assert caller.call([inline(encode())], X_Forwarded_For="203.0.113.7").code == 0
    assert caller.call([inline(encode())], X_Forwarded_For="203.0.113.7, 198.51.100.1").code == 4106
    assert caller.call([inline(encode())], X_Forwarded_For="198.51.100.1, 2001:db8::9").code == 0
    assert app.calls.get(code=0, address="203.0.113.7")


def test_5004_for_a_call_that_took_longer_than_its_hold(caller: Caller, app: App) -> None:
    """The sweep has returned the units, so the answer must not be served."""
    at = timezone.now()
    call = CallContext(calls.new_id(at), Api.FACE_DETECT.value, at, "127.0.0.1", key=app.keys.get())
    call.debit = quota.reserve(call_id=call.id, app=app, api=call.api, images=1, at=at)
    quota.give_back(call.id, at)
    with pytest.raises(ApiError) as caught:
        calls.succeed(call, at)
    assert caught.value.code == errors.NO_ANSWER
    assert not Call.objects.filter(pk=call.id).exists()


def test_both_keys_are_valid_during_a_rotation(caller: Caller, app: App) -> None:
    image = [inline(encode())]
    new = keys.rotate(app, timezone.now(), timedelta(minutes=5))
    second = Caller(caller.address, new, keys.secret_of(new))
    assert (caller.call(image).code, second.call(image).code) == (0, 0)
    app.keys.filter(pk=caller.key.pk).update(expires_at=timezone.now())
    assert (caller.call(image).code, second.call(image).code) == (4102, 0)
    keys.disable(new, timezone.now())
    assert second.call(image).code == 4102
    second.close()
