"""Serve the signed API and the probes without the middleware of the pages.

They use no session, cookie or language, and clients and load balancers may send any Host. An unknown address
that looks like one of the API gets a reply with code 4020 instead of a page.
"""

import re
from collections.abc import Callable
from difflib import get_close_matches

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve
from django.utils import timezone

from faceapi import calls, errors
from faceapi.authentication.signing import PREFIXES
from faceapi.errors import ApiError
from faceapi.errors.replies import error_reply
from faceapi.urls import APIS
from faceapi.usage import unattributed

URLCONF = "faceapi.urls"
ADDRESSES = tuple(f"{PREFIXES[0]}{name}.json" for name in APIS)
# The description at /api/schema/ is a page.
_MEANT_FOR_THE_API = re.compile(r"/*(?:(?!api/schema)api|face|v1)(?:/|$)|/*face_|/(?:healthz|readyz)$")


class ApiMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not _MEANT_FOR_THE_API.match(request.path_info):
            return self.get_response(request)
        response = _answer(request)
        response["Content-Length"] = str(len(response.content))
        return response


def _answer(request: HttpRequest) -> HttpResponse:
    try:
        found = resolve(request.path_info, URLCONF)
    except Resolver404:
        return unknown_address(request.path_info)
    response: HttpResponse = found.func(request, *found.args, **found.kwargs)
    return response


def unknown_address(path: str) -> HttpResponse:
    """Return 404 with code 4020; the detail names the address that was probably meant."""
    meant = get_close_matches(path.lower(), ADDRESSES, 1, cutoff=0.5)
    error = ApiError(errors.PATH, f"did you mean {meant[0]}?" if meant else "")
    unattributed.note(error.code)
    return error_reply(error, str(calls.new_id(timezone.now()))).as_response()
