"""The pictures that the command line names."""

import sys

from facecloud_client.request.sources import Source, checked, source


def picture(name: str) -> Source:
    """Return the Source for a command-line argument; `-` is standard input."""
    if name == "-":
        data = sys.stdin.buffer.read()
        return checked(Source("-", data=data, size_bytes=len(data)))
    return source(name)
