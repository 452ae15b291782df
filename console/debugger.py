"""The online debugger: one real signed call to the product's own address, and what to draw of its answer.

The secret is read on the server, signs there and stays there. Pictures live in this request's memory only.
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
from faceapi.authentication import signing
from faceapi.gallery import console_user
from inference.errors import ImageError
from inference.images.headers import read_header

PREFIX = "data:application/octet-stream;base64,"
TIMEOUT_S = 60
SHOWN_BASE64 = 48


@dataclass(frozen=True)
class Picture:
    """One picture of a debug call: a URL, or bytes with the place it came from (file N, or the sample)."""

    label: str
    url: str = ""
    data: bytes = b""
    local: int | None = None  # the index of the chosen file, so that the browser can show its own copy
    sample: bool = False

    @property
    def entry(self) -> str:
        """As it stands in `data`: the URL, or URL-safe base64 behind the manual's prefix."""
        return self.url or PREFIX + base64.urlsafe_b64encode(self.data).decode()

    @property
    def inline(self) -> str:
        """The picture for a page without JavaScript."""
        kind = "png" if self.data.startswith(b"\x89PNG") else "jpeg"
        return f"data:image/{kind};base64,{base64.b64encode(self.data).decode()}"

    @property
    def size_px(self) -> tuple[int, int] | None:
        """Width and height as a person sees it; None for a URL or what is no picture."""
        try:
            return read_header(self.data).upright_size_px if self.data else None
        except ImageError:
            return None


@dataclass(frozen=True)
class Exchange:
    """The request as it went out and the reply as it came back."""

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
        """The request as text, long base64 cut."""
        head = [f"{self.method} {self.path} HTTP/1.1"]
        head += [f"{name}: {value}" for name, value in self.headers.items()]
        return "\n".join([*head, "", self.shown_body])

    @property
    def code(self) -> int | None:
        return self.reply.get("code") if isinstance(self.reply, dict) else None


def body_of(api: str, pictures: list[Picture], groups: list[str]) -> dict[str, Any]:
    """Return the body: pictures, or pairs for a comparison, in the order given; a search names its groups."""
    entries = [one.entry for one in pictures]
    return {
        "data": pairs(entries) if api == Api.FACE_COMPARE else entries,
        "options": options_of(api, groups),
    }


def options_of(api: str, groups: list[str]) -> dict[str, Any]:
    """Return the options beside `data`."""
    options: dict[str, Any] = {"quality": True}
    return options | {"groups": groups, "faces": "all"} if api == Api.FACE_SEARCH else options


def pairs(items: list[Any]) -> list[list[Any]]:
    return [items[i : i + 2] for i in range(0, len(items), 2)]


def shorten(value: Any) -> Any:
    """Return the body for display, with base64 shortened to its length."""
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
    """Sign and send one call to `address`, named `host` in its Host header, on behalf of a user.

    Raises httpx.HTTPError.
    """
    path = f"/api/v1/{api}.json"
    sent = json.dumps(body).encode()
    signed = signing.sign(key.key, key_rules.secret_of(key), "POST", path, "", int(time.time() * 1000), sent)
    headers = {"Content-Type": "application/json", "Accept-Language": language, **signed}
    by = console_user.header(key.app, user)  # for the audit trail of the gallery; not shown
    started = time.monotonic()
    with httpx.Client(timeout=TIMEOUT_S, trust_env=False) as client:
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
        shown_body=json.dumps(shorten(body), ensure_ascii=False, indent=2),
        status=reply.status_code,
        reply_headers={name.title(): reply.headers[name] for name in kept if name in reply.headers},
        reply=answer,
        elapsed_ms=elapsed_ms,
    )


def curl(*, base_url: str, api: str, key: AppKey, pictures: list[Picture], groups: list[str]) -> str:
    """Return the call as a shell command that signs with $SECRET_KEY, with files by their names."""
    path = f"/api/v1/{api}.json"
    lines = ["SECRET_KEY='...'", ""]
    names = []
    for number, one in enumerate(pictures, 1):
        if one.url:
            names.append(json.dumps(one.url).replace("'", "'\\''"))
        else:
            lines.append(f"IMG{number}=$(base64 < {shell_quote(one.label)} | tr '+/' '-_' | tr -d '\\n')")
            names.append(f'"{PREFIX}\'"$IMG{number}"\'"')
    inner = (
        ", ".join(f"[{', '.join(pair)}]" for pair in pairs(names))
        if api == Api.FACE_COMPARE
        else ", ".join(names)
    )
    options = json.dumps(options_of(api, groups))
    lines += [
        f"printf '%s' '{{\"data\": [{inner}], \"options\": {options}}}' > body.json",
        "DT=$(($(date +%s) * 1000))",
        "SHA1=$(openssl dgst -sha1 -r body.json | cut -d' ' -f1)",
        f'SIGN=$(printf \'POST\\n{path}\\n\\n%s\\n%s\' "$DT" "$SHA1" \\',
        "  | openssl dgst -sha256 -hmac \"$SECRET_KEY\" -r | cut -d' ' -f1)",
        f"curl '{base_url}{path}' \\",
        "  -H 'Content-Type: application/json' \\",
        f'  -H "Authorization: CTYUN {key.key}:$SIGN" \\',
        '  -H "X-CTYUN-DT: $DT" \\',
        "  --data-binary @body.json",
    ]
    return "\n".join(lines)


def shell_quote(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


# --- What is drawn on the picture -------------------------------------------------------


@dataclass(frozen=True)
class Mark:
    """One face in the picture's pixels: its box, key points and the words on its plate."""

    left: int
    top: int
    width: int
    height: int
    points: list[tuple[int, int]]
    text: str


@dataclass
class Drawing:
    """A picture with its marks. `unit` is the size of the letters in the picture's own pixels."""

    picture: Picture
    marks: list[Mark] = field(default_factory=list)
    quality: dict[str, Any] | None = None

    @property
    def size_px(self) -> tuple[int, int] | None:
        return self.picture.size_px

    @property
    def unit(self) -> float:
        return max(self.size_px or (800, 800)) * 0.03

    @property
    def radius(self) -> float:
        return self.unit * 0.22

    @property
    def is_numbered(self) -> bool:
        """Whether the marks carry numbers, and their texts stand below, since a text would hide a face."""
        boxes = [(mark.left, mark.top, mark.width, mark.height) for mark in self.marks]
        labels = [label.box for label in self._texts()]
        return any(
            overlaps(label, other)
            for at, label in enumerate(labels)
            for others in (boxes, labels)
            for other in others[:at] + others[at + 1 :]
        )

    def labels(self) -> list["Label"]:
        """Return the label of each mark: its text, or a number from 1 inside its own box."""
        if not self.is_numbered:
            return self._texts()
        return [
            Label(mark, str(number), mark.top, min(self.unit, 0.3 * mark.height))
            for number, mark in enumerate(self.marks, 1)
        ]

    def _texts(self) -> list["Label"]:
        """Return the texts above their boxes, or inside if there is no space above."""
        unit = self.unit
        return [
            Label(mark, mark.text, mark.top - 1.5 * unit if mark.top > 1.5 * unit else mark.top, unit)
            for mark in self.marks
        ]


Box = tuple[float, float, float, float]  # left, top, width, height


def overlaps(one: Box, other: Box) -> bool:
    """Whether two boxes share some area."""
    return (
        one[0] < other[0] + other[2]
        and other[0] < one[0] + one[2]
        and one[1] < other[1] + other[3]
        and other[1] < one[1] + one[3]
    )


@dataclass(frozen=True)
class Label:
    """The text of a mark on its plate, in the picture's pixels; `unit` is the size of its letters."""

    mark: Mark
    text: str
    top: float
    unit: float

    @property
    def width(self) -> float:
        return self.unit * (0.7 + text_width(self.text))

    @property
    def height(self) -> float:
        return self.unit * 1.5

    @property
    def box(self) -> Box:
        return self.mark.left, self.top, self.width, self.height


def text_width(text: str) -> float:
    """In letters' heights: a Chinese character is one wide, others a little over half."""
    return sum(1.0 if ord(letter) > 0x2E7F else 0.6 for letter in text)


def drawings(api: str, pictures: list[Picture], reply: Any, words: dict[str, str]) -> list[Drawing]:
    """One drawing for each picture of a call that succeeded, but for a comparison; else the bare pictures."""
    drawn = [Drawing(one) for one in pictures]
    results = reply.get("result") if isinstance(reply, dict) else None
    if api == Api.FACE_COMPARE or not results:
        return drawn
    for drawing, result in zip(drawn, results, strict=False):
        drawing.quality = result["quality"]
        drawing.marks = [mark_of(face, words) for face in result["face_list"]]
    return drawn


def mark_of(face: dict[str, Any], words: dict[str, str]) -> Mark:
    box = face["location"]
    if "person_list" in face:
        best = face["person_list"][:1]
        text = f"{best[0]['person_id']} {best[0]['confidence']:.1f}" if best else words["nobody"]
    elif "age" in face:
        text = words["face"] % {"gender": words[face["gender"]], "age": face["age"]}
    else:
        text = f"{face['face_probability'] * 100:.1f}%"
    points = [(point["x"], point["y"]) for point in face.get("landmark", {}).values()]
    return Mark(box["left"], box["top"], box["width"], box["height"], points, text)
