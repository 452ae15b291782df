"""Keep pictures that are sent to the debugger in memory, never in a temporary file."""

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from typing import Any

from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler, StopUpload
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt, csrf_protect

MAX_TOTAL_BYTES = 24 * 1024 * 1024


class BoundedMemoryHandler(FileUploadHandler):
    """Keeps the files of a request in memory, up to MAX_TOTAL_BYTES.

    Above that the upload stops, and `too_large` is set on the request.
    """

    chunk_size = 64 * 2**10

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self.total = 0
        self.buffer = BytesIO()

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self.buffer = BytesIO()

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self.total += len(raw_data)
        if self.total > MAX_TOTAL_BYTES:
            vars(self.request)["too_large"] = True  # read by console.views.debug
            raise StopUpload(connection_reset=False)
        self.buffer.write(raw_data)

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self.buffer.seek(0)
        return InMemoryUploadedFile(
            self.buffer, self.field_name, str(self.file_name), self.content_type, file_size, self.charset
        )


class NoFiles(FileUploadHandler):
    """Refuses files, for the pages that take none (settings.FILE_UPLOAD_HANDLERS).

    Django's own handlers would write them to /tmp before the CSRF token or the login is checked.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        raise StopUpload(connection_reset=True)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        raise StopUpload(connection_reset=True)

    def file_complete(self, file_size: int) -> None:
        return None


View = Callable[..., HttpResponseBase]


def memory_uploads(view: View) -> View:
    """Decorate a view that accepts pictures: keep files in memory, and check the CSRF token afterwards.

    The token is in the body, so reading it earlier would start the upload with Django's handlers.
    """
    protected = csrf_protect(view)

    @wraps(view)
    def received(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        request.upload_handlers = [BoundedMemoryHandler(request)]
        return protected(request, *args, **kwargs)

    return csrf_exempt(received)
