"""The page for what nobody foresaw. It asks no database and no session: they may be what is broken."""

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string

from console.context import chosen_theme


def server_error(request: HttpRequest) -> HttpResponse:
    """In the reader's language, and in the theme that was chosen, else in the system's."""
    return HttpResponse(render_to_string("500.html", {"theme": chosen_theme(request)}), status=500)
