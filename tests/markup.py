"""Pages as tests compare them: the line breaks and indents of a template mean nothing to a browser."""

import re

from django.http import HttpResponse


def markup(reply: HttpResponse) -> str:
    """Return the page of a reply with single spaces, and none beside a tag."""
    page = re.sub(r"[ \t\n]+", " ", reply.content.decode())
    return re.sub(r"(?<=>) | (?=<)", "", page)
