"""Reject text input that has a NUL character (400), which PostgreSQL cannot store."""

from collections.abc import Callable
from typing import Any

from django.core.exceptions import BadRequest
from django.http import HttpRequest, HttpResponse


class PlainTextMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: Callable[..., Any], *_arguments: Any) -> None:
        """Check the query and the form, which the CSRF check has read; exempt views read their own body."""
        sent = list(request.GET.lists())
        if request.method == "POST" and not getattr(view, "csrf_exempt", False):
            sent += request.POST.lists()
        if any("\0" in text for _name, texts in sent for text in texts):
            raise BadRequest("a text contains a NUL character")
