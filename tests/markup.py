"""Normalise pages for comparison: line breaks and indents of a template do not matter to a browser."""

import re

from django.http import HttpResponse


def markup(reply: HttpResponse) -> str:
    """Return the page of a reply with single spaces, and none next to a tag."""
    page = re.sub(r"[ \t\n]+", " ", reply.content.decode())
    return re.sub(r"(?<=>) | (?=<)", "", page)
