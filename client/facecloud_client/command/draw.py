"""Drawing for --draw: boxes, landmarks, and age and gender if known."""

import contextlib
import io
import struct
from collections.abc import Sequence
from pathlib import Path

import httpx
from PIL import Image, ImageDraw, ImageFont, ImageOps

from facecloud_client.errors import InputError
from facecloud_client.i18n import say
from facecloud_client.request.sources import MAX_IMAGE_BYTES, PICTURE_SUFFIXES, Source
from facecloud_client.results import Face, FaceResult

BOX_COLOUR = (255, 92, 0)
POINT_COLOUR = (0, 220, 130)
FETCH_TIMEOUT_S = 20.0
# What Pillow raises for pictures that the service may accept, because it does not read their metadata.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"


def draw(source: Source, result: FaceResult, out: Path) -> None:
    """Write an annotated copy of the picture to `out`, in the format of its suffix.

    Raises InputError if the picture cannot be read or `out` cannot be written.
    """
    try:
        with Image.open(io.BytesIO(_complete(_content(source)))) as opened:
            # The API's coordinates are those of the upright picture.
            picture = _in_8_bits(_upright(opened)).convert("RGB")
    except UNREADABLE as error:
        raise InputError(source.name, say(f"无法绘制：{error}", f"cannot be drawn on: {error}")) from error
    pen = ImageDraw.Draw(picture)
    width_px = max(2, max(picture.size) // 300)
    font = ImageFont.load_default(size=max(12, max(picture.size) // 45))
    for face in result.faces:
        box = face.location
        right, bottom = box.left + box.width - 1, box.top + box.height - 1
        pen.rectangle((box.left, box.top, right, bottom), outline=BOX_COLOUR, width=width_px)
        for x, y in face.landmark.values():
            pen.ellipse((x - width_px, y - width_px, x + width_px, y + width_px), fill=POINT_COLOUR)
        if text := label(face):
            _, top, text_right, text_bottom = pen.textbbox((0, 0), text, font=font)
            left, top = box.left, max(0, box.top - int(text_bottom) - 2 * width_px)
            plate = (left, top, left + text_right + 2 * width_px, top + text_bottom + 2 * width_px)
            pen.rectangle(plate, fill=BOX_COLOUR)
            pen.text((left + width_px, top + width_px), text, fill=(255, 255, 255), font=font)
    try:
        picture.save(out, quality=92)
    except (OSError, ValueError) as error:
        raise InputError(str(out), say(f"无法写入：{error}", f"cannot be written: {error}")) from error


def _complete(content: bytes) -> bytes:
    """Add an end marker to a JPEG. The service accepts one without it, and both ignore a second one."""
    return content + JPEG_END if content.startswith(JPEG_START) else content


def _upright(opened: Image.Image) -> Image.Image:
    """Return the picture as rotated by EXIF. The service reads neither XMP nor malformed EXIF."""
    picture = opened.copy()  # without the orientation that Pillow may have read already, from XMP
    for name in ("xmp", "XML:com.adobe.xmp"):
        picture.info.pop(name, None)
    with contextlib.suppress(*UNREADABLE):
        picture.getexif()  # is kept in `picture`
    picture.info.clear()  # otherwise Pillow writes the EXIF anew, which fails for unusual values
    return ImageOps.exif_transpose(picture)


def _in_8_bits(picture: Image.Image) -> Image.Image:
    """Return a picture with 16 bits a pixel in 8 bits. Pillow would clip it to white."""
    if not picture.mode.startswith("I"):
        return picture
    return picture.convert("I").point(lambda value: value * (1 / 256)).convert("L")


def label(face: Face) -> str:
    """Return the text for a face: `F 32` from analyse, `0.998` from detect."""
    if face.age is not None or face.gender is not None:
        return " ".join(str(part) for part in (face.gender, face.age) if part is not None)
    return f"{face.probability:.3f}" if face.probability is not None else ""


class Targets:
    """Output paths: the file `out` for a single picture, otherwise unique file names in the folder `out`.

    A name without a suffix is a folder, even for one picture: `analyse photos/ --draw marked/`. Raises
    InputError before anything is sent if the suffix is not an image format, if the folder cannot be created,
    or if the output would overwrite the inputs.
    """

    def __init__(self, out: Path, sources: Sequence[Source]) -> None:
        self._out = out
        self._is_file = len(sources) == 1 and bool(out.suffix) and not out.is_dir()
        if self._is_file and out.suffix.lower() not in Image.registered_extensions():
            raise InputError(str(out), say("后缀不是图片格式", "the suffix is not an image format"))
        self._taken: set[Path] = set()
        paths = [source.path.resolve() for source in sources if source.path]
        if out.resolve() in {*paths, *(path.parent for path in paths)}:
            text = say(
                "会覆盖要识别的图片，请换一个位置", "would overwrite the input pictures; choose another place"
            )
            raise InputError(str(out), text)
        try:
            (out.parent if self._is_file else out).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(str(out), error.strerror or str(error)) from error

    def of(self, source: Source) -> Path:
        """Return the output path of the next picture."""
        if self._is_file:
            return self._out
        name = Path(httpx.URL(source.url).path if source.url else source.name)
        suffix = name.suffix if name.suffix.lower() in PICTURE_SUFFIXES else ".png"
        stem = name.stem.strip("-") or "picture"
        target, number = self._out / f"{stem}{suffix}", 2
        while target in self._taken:
            target, number = self._out / f"{stem}-{number}{suffix}", number + 1
        self._taken.add(target)
        return target


def _content(source: Source) -> bytes:
    if source.path is not None:
        return source.path.read_bytes()
    if source.url is None:
        return source.data or b""
    try:
        with httpx.stream("GET", source.url, follow_redirects=True, timeout=FETCH_TIMEOUT_S) as reply:
            reply.raise_for_status()
            content = b""
            for piece in reply.iter_bytes():
                content += piece
                if len(content) > MAX_IMAGE_BYTES:
                    raise InputError(source.url, say("超过 10 MiB 上限", "larger than the limit of 10 MiB"))
            return content
    except httpx.HTTPError as error:
        reason = say(f"本机无法下载以绘制：{error}", f"cannot be downloaded for drawing: {error}")
        raise InputError(source.url, reason) from error
