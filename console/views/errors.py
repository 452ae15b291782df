"""The page for unexpected errors. It uses neither database nor session, which may be the cause."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from console.context import chosen_theme


def server_error(request: HttpRequest) -> HttpResponse:
    """Return the page in the user's language and theme."""
    return HttpResponse(render_to_string("500.html", {"theme": chosen_theme(request)}), status=500)
