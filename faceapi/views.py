"""The APIs (manual 4.2): each view reads like the steps of a call (ARCHITECTURE.md, the life of one call)."""

import contextlib
import logging
import socket
import ssl
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import redis
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import close_old_connections
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request
from rest_framework.views import APIView

from accounts import keys
from billing import quota
from billing.errors import Expired, NotOrdered, UsedUp
from billing.models import Api
from common import valkey
from common.client_address import client_address
from common.logs import request_id_in_logs
from common.postgresql.base import release
from common.postgresql.clock import now
from faceapi import answers, calls, dispatch, errors, responses, schema
from faceapi.answers import AnswerResponse
from faceapi.authentication import caller, replay
from faceapi.calls import CallContext
from faceapi.errors import ApiError, details
from faceapi.errors.replies import error_reply
from faceapi.gallery import codes, scans, stored_faces
from faceapi.limits import admission, idempotency, shedding, unpaid, unverified
from faceapi.request import body, images, uploads
from faceapi.request.images import Picture
from faceapi.request.spool import Spool, SpoolSlice
from faceapi.usage import unattributed
from gallery.errors import GalleryError
from gallery.retention import remembered
from inference.errors import InferenceError
from inference.images.formats.common import Header

logger = logging.getLogger(__name__)

HOLD_MARGIN_S = 10.0
SEND_TIMEOUT_S = 30.0  # a client that does not read its answer


class FaceApiView(APIView):
    """One signed API. Subclasses define which one, and how results become a reply."""

    authentication_classes = []
    permission_classes = []
    http_method_names = ["post"]
    api: Api
    operation: str
    make_reply: Callable[..., list[dict[str, Any]]]
    infers = True  # needs the workers
    key_scope = ""  # the requests that an Idempotency-Key may be used for; those of `api` if empty
    names_persons = False  # in its answers: a deletion of faces also deletes the stored ones
    pairs = 0

    call: CallContext
    claim: caller.Claim
    replay: ApiError | None = None  # the refusal of a replay, which may only get an answer already stored
    with_quality: bool
    deadline: float
    epoch = 0  # of the App's gallery, when the call began
    scan_ms = 0.0  # of stored faces, in this process and in PostgreSQL

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        at = now()
        address = client_address(request.META)
        self.call = CallContext(calls.new_id(at), self.api.value, at, address)
        with request_id_in_logs(str(self.call.id)):
            try:
                return super().dispatch(request, *args, **kwargs)
            finally:
                if self.call.hold is not None:
                    idempotency.end_lease(valkey.client(), self.call.hold)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse early: method, headers, AppKey, clock, address, length. Nothing of the body is read yet."""
        if request.method != "POST":
            raise ApiError(errors.METHOD)
        call = self.call
        self.claim = caller.read_claim(request.META)
        call.key = caller.find_key(self.claim, call.at)
        caller.check_clock(self.claim, call.at)
        caller.check_address(call.key.app.allowed_addresses, call.address)
        body.check_headers(request.META)

    def post(self, request: Request) -> HttpResponse:
        client = valkey.client()
        with contextlib.ExitStack() as stack:
            spool = stack.enter_context(Spool())
            received = self._receive(request, spool, client)
            self._verify(request, received, client)
            if self.replay is not None:
                return self._repeat(self.replay, request, received, spool, client)
            app, call_id = self.call.caller.app, str(self.call.id)
            stack.enter_context(admission.admit(client, app, call_id, infers=self.infers))
            if received.fault is not None:
                raise received.fault
            pictures = self.parse(received.data, spool)
            self.call.images = len(pictures)
            if answer := self._answered_before(request, received.sha1, client):
                return self._reply(answer, units=calls.succeed(self.call, now()), is_replay=True)
            if self.call.hold is not None and self.names_persons:
                self.epoch = remembered.epoch(self.call.caller.app_id)
            self.check()
            answer = self.perform(pictures, spool, client)
        return self.finish(answer, request, client)

    # --- the steps -----------------------------------------------------------------

    def perform(self, pictures: Sequence[Picture], spool: Spool, client: redis.Redis) -> bytes:
        """Fetch the pictures, reserve their units and infer; return the answer."""
        self._fetch(pictures, spool)
        self.deadline = time.monotonic() + self._time_limit_s()
        self._reserve(pictures)
        release()  # a call needs no database connection while it waits for inference
        return self._infer(pictures, spool)

    def finish(self, answer: bytes, request: Request, client: redis.Redis) -> AnswerResponse:
        """Store the answer for repeats, settle the call, and return the reply."""
        self._remember(answer, client)
        self.check_client_waits()
        units = calls.succeed(self.call, now())
        self.check_client_waits()  # again: the settle may have waited
        response = self._reply(answer, units=units)
        response.call = self.call  # the units are charged once this is sent
        response.sock = request.META.get("gunicorn.socket")
        return response

    def _receive(self, request: Request, spool: Spool, client: redis.Redis) -> body.Body:
        """Read the body; a large one only if its call would be admitted."""
        size = body.content_length(request.META)
        is_large = size is None or size > shedding.LARGE_BODY_BYTES
        unverified.check(client, self.call.address, is_large=is_large)
        if is_large:
            admission.check_room(client, self.call.caller.app, infers=self.infers)
        release()  # the sender is not verified: slow bodies must not hold the connections of the process
        uploading = uploads.of_this_process(settings.UPLOADS_AT_ONCE)
        with uploading.receive(request.META.get("gunicorn.socket"), self.call.address):
            return body.read(request.META, spool, partial(setattr, self.call, "body_bytes"))

    def _verify(self, request: Request, received: body.Body, client: redis.Redis) -> None:
        """Verify the signature over what was received, then the replay guard, then the JSON."""
        call = self.call
        call.body_bytes = received.size
        caller.verify(
            self.claim,
            call.caller,
            method=str(request.method),
            target=caller.target_as_received(request.META),
            body_sha1=received.sha1,
            body_size=received.size,
            at=call.at,
        )
        call.is_signed = True
        try:
            replay.refuse(client, self.claim, body_s=body.longest_s(received.size))
        except ApiError as refused:
            # Some HTTP clients automatically repeat a request with an Idempotency-Key, byte for byte.
            if idempotency.HEADER not in request.META:
                raise
            self.replay = refused
            return
        call.is_authentic = True
        shedding.remember(call.caller)
        keys.touch(call.caller, call.at)

    def _repeat(
        self, replay: ApiError, request: Request, received: body.Body, spool: Spool, client: redis.Redis
    ) -> HttpResponse:
        """Answer a replay with what its Idempotency-Key was charged for, or refuse it.

        It does not become a new call and takes no slot. Anyone who captured a request can send it, with any
        key, so it counts as authentic only if there is an answer for it.
        """
        call = self.call
        hold = idempotency.find(
            client,
            request.META[idempotency.HEADER],
            app_pk=call.caller.app_id,
            api=self.key_scope or call.api,
            body_sha1=received.sha1,
            call_id=call.id,
            at=now(),
        )
        answer = self._answer_of(hold, client) if hold is not None else None
        if answer is None:
            raise replay
        call.images = len(self.parse(received.data, spool))
        call.is_authentic = True
        return self._reply(answer, units=calls.succeed(call, now()), is_replay=True)

    def _fetch(self, pictures: Sequence[Picture], spool: Spool) -> None:
        """Fetch the pictures given by URL into the spool and check them, before units are reserved."""
        if any(picture.span is None for picture in pictures):
            release()  # the servers of the pictures may be slow
            images.fetch(pictures, spool, customer=self.call.caller.app.customer_id)

    def _answered_before(self, request: Request, body_sha1: str, client: redis.Redis) -> bytes | None:
        """Take the Idempotency-Key, if there is one; return the remembered answer, if there is one."""
        header = request.META.get(idempotency.HEADER)
        if header is None:
            return None
        call = self.call
        call.hold = idempotency.take(
            client,
            header,
            app_pk=call.caller.app_id,
            api=self.key_scope or call.api,
            body_sha1=body_sha1,
            call_id=call.id,
            at=now(),
        )
        return self._answer_of(call.hold, client)

    def _answer_of(self, hold: idempotency.Hold, client: redis.Redis) -> bytes | None:
        """Return the remembered answer of the call that was charged, or None; confirm that call's charge.

        If it names persons, a deletion of faces since then removes it.
        """
        app_pk = self.call.caller.app_id
        listed_in = remembered.list_of(app_pk, remembered.epoch(app_pk)) if self.names_persons else ""
        answer = idempotency.answer_of(client, hold, listed_in=listed_in)
        if answer is not None and hold.charged_call and not calls.charge_repeated(hold.charged_call):
            raise ApiError(errors.IDEMPOTENCY_BUSY, retry_after_s=1)  # the call is being withdrawn
        return answer

    def _remember(self, answer: bytes, client: redis.Redis) -> None:
        """Store the answer for repeats, unless faces were deleted during the call that it may name."""
        hold, app_pk = self.call.hold, self.call.caller.app_id
        if hold is None:
            return
        listed_in = remembered.list_of(app_pk, self.epoch) if self.names_persons else ""
        idempotency.remember_answer(client, hold, answer, listed_in=listed_in)
        # Checked after the answer was listed: any later deletion finds it there.
        if self.names_persons and remembered.epoch(app_pk) != self.epoch:
            idempotency.forget_answer(client, hold)

    def _reserve(self, pictures: Sequence[Picture]) -> None:
        call = self.call
        try:
            call.debit = quota.reserve(
                call_id=call.id,
                app=call.caller.app,
                api=call.api,
                images=max(1, len(pictures)),  # a call that compares stored faces has none
                pairs=self.pairs,
                at=now(),
                hold_s=min(quota.MAX_HOLD_S, self._left_s() + HOLD_MARGIN_S),
            )
        except NotOrdered:
            raise ApiError(errors.NOT_ORDERED) from None
        except Expired as error:
            raise ApiError(errors.EXPIRED, *details.ended(error.details.get("ended_at"))) from None
        except UsedUp as error:
            raise ApiError(errors.USED_UP, *details.used_up(error, len(pictures), self.pairs)) from None

    def _infer(self, pictures: Sequence[Picture], spool: Spool) -> bytes:
        sent = [(one.span, one.header) for one in pictures if one.span and one.header]
        # A picture that is repeated in several pairs is processed once.
        spans = [span for span, _header in sent]
        first = images.first_alike(spans, spool) if self.api is Api.FACE_COMPARE else range(len(sent))
        distinct = sorted(set(first))
        try:
            results = self._dispatch([sent[position] for position in distinct], spool)
        except ApiError as error:
            if error.index is not None:
                error.index = pictures[distinct[error.index]].index
            raise
        found = dict(zip(distinct, results, strict=True))
        try:
            result = self.answer([found[position] for position in first])
        except InferenceError as error:
            raise ApiError(error.code) from error
        return responses.as_json({"code": errors.OK, "message": errors.SUCCESS[0], "result": result})

    def _dispatch(self, sent: Sequence[tuple[SpoolSlice, Header]], spool: Spool) -> list[dict[str, Any]]:
        if not sent:  # a comparison of stored faces
            return []
        outcome = dispatch.infer(
            request_id=str(self.call.id),
            operation=self.operation,
            spans=[span for span, _header in sent],
            spool=spool,
            deadline=self.deadline,
            customer_pk=self.call.caller.app.customer_id,
            queue=self.call.caller.app.region.queue,
            headers=[header for _span, header in sent],
            check_client=self.check_client_waits,
        )
        self.call.queue_ms, self.call.infer_ms = outcome.queue_ms, outcome.infer_ms
        admission.process_limiter().learn(queue_ms=outcome.queue_ms, infer_ms=outcome.infer_ms)
        return outcome.results

    @contextlib.contextmanager
    def scanning(self, timeout_s: float) -> Iterator[None]:
        """Hold a slot for a scan of stored faces during the block, and add its time to `scan_ms`."""
        with scans.scanning(self.call.caller.app, timeout_s):
            started = time.perf_counter()
            try:
                yield
            finally:
                self.scan_ms += (time.perf_counter() - started) * 1000

    def check_client_waits(self) -> None:
        """Raise ApiError 4019 if the client has hung up, so that it is not charged."""
        _check_client_waits(self.request.META.get("gunicorn.socket"))

    # --- what differs between the APIs ---------------------------------------------

    def parse(self, data: Any, spool: Spool) -> list[Picture]:
        """Return the pictures of the request; keep its other options for `check` and `answer`."""
        pictures = images.parse(data, spool)
        self.with_quality = images.wants_quality(data)
        return pictures

    def check(self) -> None:
        """Refuse the request, if possible, before anything is fetched or units are reserved."""

    def answer(self, results: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the `result` of the reply. `results` are the worker's, one for each picture."""
        return self.make_reply(results, with_quality=self.with_quality)

    def _time_limit_s(self) -> float:
        """Return the time limit of inference."""
        return float(settings.DEADLINE_S + settings.DEADLINE_PER_IMAGE_S * self.call.images)

    def _left_s(self) -> float:
        return max(1.0, self.deadline - time.monotonic())

    # --- replies -------------------------------------------------------------------

    def _reply(self, answer: bytes, *, units: int, is_replay: bool = False) -> AnswerResponse:
        response = AnswerResponse(answer, content_type="application/json")
        response["X-Request-Id"] = str(self.call.id)
        if is_replay:
            response["Idempotent-Replayed"] = "true"
        self._add_quota(response, units=units)
        return response

    def _add_quota(self, response: HttpResponse, *, units: int, is_cheap: bool = False) -> None:
        if self.call.is_authentic:  # an AppKey alone must not reveal its quota
            response["X-Billed-Units"] = str(units)
            if not is_cheap and (remaining := self._remaining()) is not None:
                response["X-Quota-Remaining"] = str(remaining)

    def _remaining(self) -> int | None:
        """Return the App's remaining units: from the debit, or the current ones if nothing is held."""
        call = self.call
        if call.debit is not None:
            return call.debit.remaining_after
        try:
            return quota.remaining(call.caller.app, call.api, now())
        except DatabaseError:
            return None

    def handle_exception(self, exc: Exception) -> HttpResponse:  # type: ignore[override]  # never a DRF Response
        """Give back the units of the call, record it, and reply with the error envelope."""
        error = _as_api_error(exc)
        is_unpaid = error.code == errors.BODY_INCOMPLETE or codes.NO_GROUP <= error.code < errors.INTERNAL
        work_ms = self.call.infer_ms if is_unpaid else 0.0  # the client hung up, or the gallery refused
        if error.code < errors.INTERNAL:
            work_ms += self.scan_ms
        if work_ms:
            with contextlib.suppress(redis.RedisError):
                unpaid.add(valkey.client(), self.call.caller.app.customer_id, work_ms)
        if self.call.body_bytes and not self.call.is_signed:
            with contextlib.suppress(redis.RedisError):
                unverified.add(valkey.client(), self.call.address, self.call.body_bytes)
        try:
            calls.fail(self.call, error, now())
        except DatabaseError as failure:
            # Its units are returned when the database is available again: by this process or by the sweep.
            # The connection may be broken: close it, so that the next call gets a new one.
            logger.error("a call could not be recorded: %s", type(failure).__name__)
            close_old_connections()
            if self.call.debit is not None or self.call.hold is not None:
                answers.journal.withdraw(self.call, error)
        self.call.debit = None
        response = error_reply(error, str(self.call.id)).as_response()
        self._add_quota(response, units=0, is_cheap=error.code in unattributed.CHEAP)
        return response


@schema.describes(Api.FACE_DETECT, "faces, landmarks and probability", "FaceDetectResult")
class FaceDetectView(FaceApiView):
    """人脸检测定位 (manual 4.2.2, model 1)."""

    api = Api.FACE_DETECT
    operation = "detect"
    make_reply = staticmethod(responses.detect)


@schema.describes(Api.FACE_ANALYSE, "age and gender of each face", "FaceAnalyseResult")
class FaceAnalyseView(FaceApiView):
    """人脸属性识别 (manual 4.2.2, model 2)."""

    api = Api.FACE_ANALYSE
    operation = "analyse"
    make_reply = staticmethod(responses.analyse)


def _check_client_waits(sock: Any) -> None:
    """Raise ApiError 4019 if the client has hung up, so that it is not charged."""
    if sock is None:
        return
    try:
        sock.settimeout(0)
        gone = not sock.recv(1, socket.MSG_PEEK)
    except (BlockingIOError, ssl.SSLWantReadError, ValueError):
        gone = False
    except OSError:
        gone = True
    if gone:
        raise ApiError(errors.BODY_INCOMPLETE, "the client closed the connection before the answer")
    sock.settimeout(SEND_TIMEOUT_S)


def _as_api_error(exc: Exception) -> ApiError:
    """Return the error for an exception.

    An unexpected one is logged without its message, which could quote an image.
    """
    if isinstance(exc, ApiError):
        return exc
    if isinstance(exc, GalleryError):
        return stored_faces.as_api_error(exc)
    stack = [
        f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(exc.__traceback__)
    ]
    logger.error("a call failed", extra={"error": type(exc).__name__, "stack": stack[-8:]})
    if isinstance(exc, redis.RedisError | DatabaseError):
        return ApiError(errors.OVERLOADED, "a backend service is not available", retry_after_s=5)
    return ApiError(errors.INTERNAL)
