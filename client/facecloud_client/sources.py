"""Where a picture comes from: a file, bytes in memory, or an address that the service fetches itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from facecloud_client.errors import InputError
from facecloud_client.words import say

MAX_IMAGE_BYTES = 10 * 1024 * 1024  # manual 4.2.2
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")

Picture = str | PathLike[str] | bytes | BinaryIO


@dataclass(frozen=True)
class Source:
    """One picture: exactly one of `path`, `data` and `url` is set."""

    name: str
    path: Path | None = None
    data: bytes | None = None
    url: str | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of the picture that travel in the request; 0 for an address."""
        if self.path is not None:
            return self.path.stat().st_size
        return len(self.data or b"")


def is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))


def source(picture: "Picture | Source") -> Source:
    """A Source from a path, an http(s) address, bytes or an open binary file.

    Raises InputError for what cannot be read, is empty or is over 10 MiB: the service would refuse it with
    4009 after the whole upload.
    """
    if isinstance(picture, Source):
        return picture
    if isinstance(picture, str) and is_url(picture):
        return Source(picture, url=picture)
    if isinstance(picture, str | PathLike):
        found = Source(str(picture), path=Path(picture))
    else:
        data = picture if isinstance(picture, bytes) else picture.read()
        found = Source(
            "bytes" if isinstance(picture, bytes) else str(getattr(picture, "name", "stream")), data=data
        )
    try:
        size_bytes = found.size_bytes
        if found.path is not None:
            with found.path.open("rb"):
                pass
    except OSError as error:
        raise InputError(found.name, error.strerror or str(error)) from error
    if size_bytes == 0:
        raise InputError(found.name, say("文件为空", "the file is empty"))
    if size_bytes > MAX_IMAGE_BYTES:
        mib = size_bytes / 1024 / 1024
        raise InputError(
            found.name, say(f"{mib:.1f} MiB，超过 10 MiB 上限", f"{mib:.1f} MiB, over the limit of 10 MiB")
        )
    return found


def expand(names: Iterable[str]) -> list[str]:
    """Folders replaced by the pictures below them (.png .jpg .jpeg) in order of name; the rest as it is."""
    out: list[str] = []
    for name in names:
        if name != "-" and not is_url(name) and Path(name).is_dir():
            found = pictures_in(Path(name))
            if not found:
                raise InputError(
                    name, say("文件夹里没有 png、jpg、jpeg 图片", "no png, jpg or jpeg in this folder")
                )
            out.extend(str(path) for path in found)
        else:
            out.append(name)
    return out


def pictures_in(folder: Path) -> Sequence[Path]:
    """Every picture below a folder, by suffix, sorted; hidden files are left out."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".") and path.is_file()
    )
