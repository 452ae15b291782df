"""Pictures to send: files, bytes in memory, or URLs that the service fetches itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike, fstat
from pathlib import Path
from typing import BinaryIO

from facecloud_client.errors import InputError
from facecloud_client.i18n import say

MAX_IMAGE_BYTES = 10 * 1024 * 1024  # manual 4.2.2
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")

Picture = str | PathLike[str] | bytes | BinaryIO


@dataclass(frozen=True)
class Source:
    """One picture: exactly one of `path`, `data` and `url` is set. `size_bytes` is 0 for a URL."""

    name: str
    path: Path | None = None
    data: bytes | None = None
    url: str | None = None
    size_bytes: int = 0


def is_url(text: str) -> bool:
    """Return whether the text is an http(s) URL."""
    return text.lower().startswith(("http://", "https://"))


def source(picture: "Picture | Source") -> Source:
    """Return a Source for a path, an http(s) URL, bytes or an open binary file.

    Raises InputError if it cannot be read, is empty or is larger than 10 MiB.
    """
    if isinstance(picture, Source):
        return picture
    if isinstance(picture, str) and is_url(picture):
        return Source(picture, url=picture)
    if isinstance(picture, str | PathLike):
        path = Path(picture)
        try:
            with path.open("rb") as file:
                size_bytes = fstat(file.fileno()).st_size
        except OSError as error:
            raise InputError(str(picture), error.strerror or str(error)) from error
        found = Source(str(picture), path=path, size_bytes=size_bytes)
    else:
        name = "bytes" if isinstance(picture, bytes) else str(getattr(picture, "name", "stream"))
        data = picture if isinstance(picture, bytes) else picture.read()
        found = Source(name, data=data, size_bytes=len(data))
    return checked(found)


def checked(found: Source) -> Source:
    """Return the Source if its size is acceptable.

    Raises InputError if it is empty or larger than 10 MiB, which the service would reject only after the
    upload.
    """
    if found.size_bytes == 0:
        raise InputError(found.name, say("文件为空", "the file is empty"))
    if found.size_bytes > MAX_IMAGE_BYTES:
        mib = found.size_bytes / 1024 / 1024
        raise InputError(
            found.name,
            say(f"{mib:.1f} MiB，超过 10 MiB 上限", f"{mib:.1f} MiB, larger than the limit of 10 MiB"),
        )
    return found


def expand(names: Iterable[str]) -> list[str]:
    """Replace folders by the pictures in them (.png .jpg .jpeg, recursively), sorted by name."""
    out: list[str] = []
    for name in names:
        if name != "-" and not is_url(name) and Path(name).is_dir():
            found = pictures_in(Path(name))
            if not found:
                raise InputError(
                    name, say("文件夹里没有 png、jpg、jpeg 图片", "no png, jpg or jpeg files in this folder")
                )
            out.extend(str(path) for path in found)
        else:
            out.append(name)
    return out


def pictures_in(folder: Path) -> Sequence[Path]:
    """Return all pictures below a folder, sorted, without hidden files."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
