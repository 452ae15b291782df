"""Every answer code, reached over HTTP by what a caller does wrong, and told as product.md 4 says."""

import json
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import keys
from accounts.models import App, User
from billing import quota
from billing.models import Api, DebitState, Package, Period
from faceapi import errors
from faceapi.models import Call
from tests.faceapi.conftest import DETECT, PREFIX, Answer, Caller, buy, encode, inline
from tests.faceapi.servers import Servers

COMPARE = "/api/v1/face_compare.json"
Reach = Callable[[Caller, Servers], Answer]

# What makes the site answer so. Those that need more than a request have tests of their own below.
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
    "not base64": (4006, lambda c, s: c.call([PREFIX + "a!b"])),
    "base64 of a wrong length": (4006, lambda c, s: c.call([PREFIX + "A" * 5])),
    "an unknown prefix": (4006, lambda c, s: c.call(["data:text/plain;base64,AAAA"])),
    "not JSON": (4007, lambda c, s: c.send(b'{"data": [')),
    "no body": (4007, lambda c, s: c.send(b"")),
    "not UTF-8": (4007, lambda c, s: c.send(b'{"data": ["\xff"]}')),
    "31 px wide": (4008, lambda c, s: c.call([inline(encode((31, 64)))])),
    "5001 px wide": (4008, lambda c, s: c.call([inline(encode((5001, 32)))])),
    "an image over 10 MiB": (4009, lambda c, s: c.call([inline(encode() + bytes(10 * 1024 * 1024))])),
    "an image over 10 MiB at a URL": (4009, lambda c, s: c.call([s.url("large")])),
    "a body over the limit": (4010, lambda c, s: c.promise(64 * 1024 * 1024 + 1)),
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
BY_TESTS = {4019, 4105, 4106, 4201, 4202, 4203, 4291, 4292, 5001, 5002, 5003, 5004}
REFUSED_UNKNOWN = {4101, 4102, 4016}  # and 4103 where the header is malformed: no App is known yet


def test_every_code_of_the_table_is_reached() -> None:
    reached = {code for code, _ in REQUESTS.values()} | BY_TESTS
    assert reached == {row.number for row in errors.TABLE.values() if not row.reserved}


@pytest.mark.parametrize("what", REQUESTS)
def test_request(what: str, app: App, caller: Caller, servers: Servers) -> None:
    code, reach = REQUESTS[what]
    answer = reach(caller, servers)
    row = errors.TABLE[code]
    assert (answer.code, answer.status) == (code, row.http), answer.json
    assert answer.json["message"] == row.zh
    assert "result" not in answer.json
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert ("index" in answer.json) == (
        code in {4002, 4003, 4004, 4005, 4006, 4008, 4009, 4011, 4012} or "entry" in what or "pair of" in what
    ), answer.json
    assert not app.debits.exclude(state=DebitState.RETURNED).exists()
    recorded = list(app.calls.values_list("id", "code", "http_status", "units"))
    if answer.headers.get("X-Billed-Units") is None:
        assert recorded == []
        assert code in REFUSED_UNKNOWN | {4103}
    else:
        assert answer.headers["X-Billed-Units"] == "0"
        assert answer.headers["X-Quota-Remaining"] == "1000"
        assert [(str(pk), *rest) for pk, *rest in recorded] == [
            (answer.headers["X-Request-Id"], code, row.http, 0)
        ]


def test_the_index_is_that_of_the_image_at_fault(caller: Caller, servers: Servers) -> None:
    good, bad = inline(encode()), inline(b"GIF89a")
    assert caller.call([good, good, bad, bad]).json["index"] == 2
    assert caller.call([good, inline(encode((400, 400))[:4000]), good]).json["index"] == 1
    assert caller.call([good, servers.url("image"), servers.url("status/404")]).json["index"] == 2
    assert caller.call([[good, good], [good, bad]], COMPARE).json["index"] == 1
    assert caller.call([[good, good], [servers.url("page"), good]], COMPARE).json["index"] == 1
    assert caller.call([[good, good], [good, inline(encode((400, 400))[:4000])]], COMPARE).json["index"] == 1


def test_4104_says_what_the_server_saw(caller: Caller) -> None:
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
    assert right.rpartition(":")[2] not in text


def test_4105_the_same_signature_twice(caller: Caller) -> None:
    body = json.dumps({"data": [inline(encode())]}).encode()
    signed = caller.headers(body)
    first = caller.send(body, **{name.replace("-", "_"): value for name, value in signed.items()})
    second = caller.send(body, **{name.replace("-", "_"): value for name, value in signed.items()})
    assert (first.code, second.code) == (0, 4105)
    upper = signed | {"Authorization": signed["Authorization"][:23] + signed["Authorization"][23:].upper()}
    assert caller.send(body, **{name.replace("-", "_"): value for name, value in upper.items()}).code == 4105


def test_4105_a_forged_signature_burns_nothing(caller: Caller) -> None:
    body = json.dumps({"data": [inline(encode())]}).encode()
    signed = {name.replace("-", "_"): value for name, value in caller.headers(body).items()}
    assert caller.send(body + b" ", **signed).code == 4104
    assert caller.send(body, **signed).code == 0


def test_4106_an_address_that_is_not_on_the_list(caller: Caller, app: App) -> None:
    App.objects.filter(pk=app.pk).update(allowed_addresses=["203.0.113.0/24", "2001:db8::/32"])
    assert caller.call([inline(encode())]).code == 4106
    # 127.0.0.1 is a trusted proxy of this site: what it says of the caller counts, the caller's own claims
    # don't.
    assert caller.call([inline(encode())], X_Forwarded_For="203.0.113.7").code == 0
    assert caller.call([inline(encode())], X_Forwarded_For="203.0.113.7, 198.51.100.1").code == 4106
    assert caller.call([inline(encode())], X_Forwarded_For="198.51.100.1, 2001:db8::9").code == 0
    assert app.calls.get(code=0, address="203.0.113.7")


def test_4201_4202_4203(caller: Caller, app: App, alice: User) -> None:
    image = inline(encode())
    Period.objects.filter(app=app, api=Api.FACE_DETECT).update(granted=2)
    assert caller.call([image] * 3).code == 4202
    assert caller.call([image] * 2).headers["X-Quota-Remaining"] == "0"
    refused = caller.call([image])
    assert (refused.code, refused.status) == (4202, 402)
    past = timezone.now() - timedelta(days=1)
    for table in (Package, Period):
        table.objects.filter(app=app, api=Api.FACE_ANALYSE).update(
            starts_at=past - timedelta(days=30), ends_at=past
        )
    assert caller.call([image], "/v1/face_analyse.json").code == 4203
    other = buy(alice, Api.FACE_ANALYSE, timezone.now())
    key = other.keys.get()
    stranger = Caller(caller.address, key, keys.secret_of(key))
    assert stranger.call([image]).code == 4201
    stranger.close()


def test_5004_a_call_that_took_longer_than_its_hold(caller: Caller, app: App) -> None:
    """The sweep was first: the units are back, so the answer must not be served."""
    from faceapi import calls
    from faceapi.calls import LiveCall
    from faceapi.errors import ApiError

    at = timezone.now()
    call = LiveCall(calls.new_id(at), Api.FACE_DETECT.value, at, "127.0.0.1", key=app.keys.get())
    call.debit = quota.reserve(call_id=call.id, app=app, api=call.api, images=1, at=at)
    quota.give_back(call.id, at)
    with pytest.raises(ApiError) as caught:
        calls.succeed(call, at)
    assert caught.value.code == errors.NO_ANSWER
    assert not Call.objects.filter(pk=call.id).exists()


def test_two_keys_live_at_once_while_one_is_rotated_out(caller: Caller, app: App) -> None:
    image = [inline(encode())]
    new = keys.rotate(app, timezone.now(), timedelta(minutes=5))
    second = Caller(caller.address, new, keys.secret_of(new))
    assert (caller.call(image).code, second.call(image).code) == (0, 0)
    app.keys.filter(pk=caller.key.pk).update(expires_at=timezone.now())
    assert (caller.call(image).code, second.call(image).code) == (4102, 0)
    keys.disable(new, timezone.now())
    assert second.call(image).code == 4102
    second.close()
