"""The replay guard, also after Valkey lost its data."""

from datetime import datetime, timedelta

from accounts.models import App
from common import valkey
from faceapi import errors
from faceapi.authentication import replay, signing
from faceapi.authentication.caller import Claim
from faceapi.errors import ApiError
from faceapi.models import Call
from tests.faceapi.conftest import Caller, as_options, encode, inline, next_millisecond
from tests.faceapi.usage.test_reconcile import served


def claim(at_ms: int, signature: str) -> Claim:
    return Claim(signing.Authorization("k" * 16, signature), str(at_ms), at_ms)


def code_of(seen: Claim) -> int:
    try:
        replay.refuse(valkey.client(), seen, body_s=1)
    except ApiError as error:
        return error.code
    return 0


def lose_everything() -> None:
    """Delete the guard's keys, as FLUSHALL would."""
    client = valkey.client()
    for name in client.scan_iter("faceapi:seen*"):
        client.delete(name)


def test_a_request_is_not_served_again_after_valkey_was_lost(caller: Caller, app: App) -> None:
    body = caller.body([inline(encode())])
    signed = as_options(caller.headers(body))
    assert caller.send(body, **signed).code == 0
    lose_everything()
    for _again in range(2):
        answer = caller.send(body, **signed)
        assert (answer.code, answer.status) == (errors.OVERLOADED, 503)
        assert "sign the request again" in answer.json["detail"]
        assert 1 <= int(answer.headers["Retry-After"]) <= 4
    assert app.debits.count() == 1
    ahead = int(replay.AHEAD_S * 1000) + 1000
    assert caller.send(body, **as_options(caller.headers(body, at_ms=next_millisecond() + ahead))).code == 0


def test_a_signature_is_accepted_once_after_a_loss_too(app: App, now: datetime) -> None:
    served(app, now)
    lose_everything()
    before, after = next_millisecond(), next_millisecond() + 5000
    assert code_of(claim(before, "a" * 64)) == errors.OVERLOADED
    assert code_of(claim(after, "b" * 64)) == 0
    assert code_of(claim(after, "B" * 64)) == errors.REPLAY


def test_a_first_start_refuses_no_request(app: App, now: datetime) -> None:
    """Nor does a loss after which no earlier signature could still be valid."""
    served(app, now)
    Call.objects.update(at=now - timedelta(hours=1))
    lose_everything()
    assert code_of(claim(next_millisecond(), "c" * 64)) == 0
    assert code_of(claim(next_millisecond() - 200_000, "d" * 64)) == 0
