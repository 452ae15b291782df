"""The online debugger: one real signed call to the product's own address.

The secret is used on the server only. Pictures are kept in memory, for this request only.
"""

import base64
import json
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from accounts import keys as key_rules
from accounts.models import AppKey, User
from billing.models import Api
from console.debugging.turns import turns
from console.documentation import programs
from faceapi.authentication import signing
from faceapi.gallery import console_user
from inference.errors import ImageError
from inference.images.headers import read_header

PREFIX = "data:application/octet-stream;base64,"
TIMEOUT_S = 60
SHOWN_BASE64 = 48


@dataclass(frozen=True)
class Picture:
    """One picture of a debug call: a URL, or the bytes of a chosen file or of the sample."""

    label: str
    url: str = ""
    data: bytes = b""
    local: int | None = None  # the index of a chosen file, which the browser shows without a download
    sample: bool = False

    @property
    def entry(self) -> str:
        """Return its entry in `data`: the URL, or URL-safe base64 after the manual's prefix."""
        return self.url or PREFIX + base64.urlsafe_b64encode(self.data).decode()

    @property
    def inline(self) -> str:
        """Return the picture as a data: URL, for a page without JavaScript."""
        kind = "png" if self.data.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(self.data).decode()}"

    @property
    def size_px(self) -> tuple[int, int] | None:
        """Return width and height as displayed; None for a URL or invalid picture."""
        try:
            return read_header(self.data).upright_size_px if self.data else None
        except ImageError:
            return None


@dataclass(frozen=True)
class Exchange:
    """The request as sent and the reply as received."""

    method: str
    path: str
    headers: dict[str, str]
    shown_body: str
    status: int
    reply_headers: dict[str, str]
    reply: Any
    elapsed_ms: int

    @property
    def shown(self) -> str:
        """Return the request as text, with long base64 shortened."""
        head = [f"{self.method} {self.path} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\n".join([*head, "", self.shown_body])

    @property
    def code(self) -> int | None:
        return self.reply.get("code") if isinstance(self.reply, dict) else None


@dataclass(frozen=True)
class Draft:
    """A request before it is signed: `text` is its body with a placeholder for each picture of `files`."""

    path: str
    text: str
    files: dict[str, Picture] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)  # in addition to the signed ones

    @property
    def sent_text(self) -> str:
        """Return the body as it is sent."""
        text = self.text
        for mark, picture in self.files.items():
            text = text.replace(mark, picture.entry)
        return text

    def programs(self, base_url: str, app_key: str) -> list[programs.Program]:
        """Return the request as a program in each language, which reads files by their names."""
        files = {mark: picture.label for mark, picture in self.files.items()}
        return programs.programs(
            programs.Request(base_url, self.path, app_key, self.text, files, self.headers)
        )


def draft_of(api: str, pictures: list[Picture], groups: list[str]) -> Draft:
    """Return the call of `api` for these pictures, paired in order for face_compare.

    `groups` are the groups to search; only face_search uses them.
    """
    entries = []
    files = {}
    for number, picture in enumerate(pictures, 1):
        mark = programs.placeholder(number)
        entries.append(picture.url or mark)
        if not picture.url:
            files[mark] = picture
    body = {
        "data": pairs(entries) if api == Api.FACE_COMPARE else entries,
        "options": options_of(api, groups),
    }
    return Draft(f"/api/v1/{api}.json", json.dumps(body, ensure_ascii=False), files)


def options_of(api: str, groups: list[str]) -> dict[str, Any]:
    """Return the `options` of the body."""
    options: dict[str, Any] = {"quality": True}
    return options | {"groups": groups, "faces": "all"} if api == Api.FACE_SEARCH else options


def pairs(items: list[Any]) -> list[list[Any]]:
    return [items[i : i + 2] for i in range(0, len(items), 2)]


def shorten(value: Any) -> Any:
    """Return the body for display, with each base64 text cut short and its length after it."""
    if isinstance(value, list):
        return [shorten(one) for one in value]
    if isinstance(value, dict):
        return {key: shorten(one) for key, one in value.items()}
    if isinstance(value, str) and value.startswith("data:") and len(value) > SHOWN_BASE64 + len(PREFIX):
        return f"{value[: len(PREFIX) + SHOWN_BASE64]}…({len(value):,})"
    return value


def send_body(
    *, address: str, host: str, key: AppKey, api: str, body: dict[str, Any], language: str, user: User
) -> Exchange:
    """Sign and send one call of `api` with this body, on behalf of a user. Raises as `send`."""
    draft = Draft(f"/api/v1/{api}.json", json.dumps(body))
    return send(draft, address=address, host=host, key=key, language=language, user=user)


def send(draft: Draft, *, address: str, host: str, key: AppKey, language: str, user: User) -> Exchange:
    """Sign and send one call to `address`, with `host` as its Host header, on behalf of a user.

    Raises turns.Busy and httpx.HTTPError.
    """
    path, text = draft.path, draft.sent_text
    sent = text.encode()
    signed = signing.sign(key.key, key_rules.secret_of(key), "POST", path, "", int(time.time() * 1000), sent)
    headers = {"Content-Type": "application/json", "Accept-Language": language, **draft.headers, **signed}
    by = console_user.header(key.app, user)  # for the audit trail of the gallery; not shown
    started = time.monotonic()
    with turns.take(user.pk), httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
        reply = client.post(address + path, content=sent, headers={"Host": host, **headers, **by})
    elapsed_ms = round((time.monotonic() - started) * 1000)
    try:
        answer = reply.json()
    except ValueError:
        answer = reply.text[:2000]
    kept = ("x-request-id", "x-billed-units", "x-quota-remaining", "retry-after", "content-type")
    return Exchange(
        method="POST",
        path=path,
        headers=headers,
        shown_body=json.dumps(shorten(json.loads(text)), ensure_ascii=False, indent=2),
        status=reply.status_code,
        reply_headers={name.title(): reply.headers[name] for name in kept if name in reply.headers},
        reply=answer,
        elapsed_ms=elapsed_ms,
    )
