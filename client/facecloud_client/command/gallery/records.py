"""The record file of an enrolled folder, which makes `facecloud enrol` resumable.

Each enrolled picture has a line with a hash and the id of its face. When the command runs again, it skips the
pictures whose faces the service still stores, and deletes the records of erased faces.
"""

import hashlib
import threading
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

from facecloud_client.errors import InputError
from facecloud_client.i18n import say

DONE_FILE = ".facecloud-enrolled"
Stored = Mapping[str, Set[str]]  # person id → face ids, as stored by the service


@dataclass
class Enrolled:
    """The records of one folder: a line for each picture, `<hash> <group's hash> <face id>`.

    Lines of earlier versions have only the hash; they are valid while the person exists.
    """

    path: Path
    group: str
    done: dict[str, str]
    stored: Stored
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def of(cls, folder: Path, group: str, stored: Stored) -> "Enrolled":
        """Read the records, and delete those of this group whose face the service no longer stores.

        Raises InputError if no record can be written: without one, each run would enrol and charge again.
        """
        path = folder / DONE_FILE
        try:
            with path.open("a+") as file:
                file.seek(0)
                lines = [line.split() for line in file if line.strip()]
            faces = {face for faces in stored.values() for face in faces}
            kept = [line for line in lines if len(line) < 3 or line[1] != group or line[2] in faces]
            if len(kept) < len(lines):
                _replace(path, "".join(" ".join(line) + "\n" for line in kept))
        except (OSError, UnicodeDecodeError) as error:
            raise unwritable(path, error) from error
        return cls(path, group, {line[0]: line[2] if len(line) > 2 else "" for line in kept}, stored)

    def has(self, mark: str, person: str) -> bool:
        """Return whether this picture of this person is enrolled."""
        return mark in self.done and (bool(self.done[mark]) or person in self.stored)

    def add(self, mark: str, face_id: str) -> None:
        """Record a picture. Raises InputError if the file cannot be written."""
        with self._lock:
            self.done[mark] = face_id
            try:
                with self.path.open("a") as file:
                    file.write(f"{mark} {self.group} {face_id}\n")
            except OSError as error:
                raise unwritable(self.path, error) from error

    def unrecorded(self, person: str) -> str:
        """Return a stored face of the person that no record names, or "" if there is none.

        An earlier run enrolled it and ended before the answer arrived.
        """
        with self._lock:
            return min(self.stored.get(person, frozenset()) - set(self.done.values()), default="")


def unwritable(path: Path, error: Exception) -> InputError:
    """Return the error for a record file that cannot be read or written."""
    reason = getattr(error, "strerror", None) or str(error)
    words = say(f"无法记录已入库的图片：{reason}", f"enrolled pictures cannot be recorded: {reason}")
    return InputError(str(path), words)


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically."""
    new = path.with_name(f"{path.name}.new")
    new.write_text(text)
    new.replace(path)


def group_mark(service: str, group: str) -> str:
    """Return the hash of a group of a service in the records."""
    return hashlib.sha256(f"{service}\n{group}".encode()).hexdigest()[:16]


def mark_of(service: str, group: str, person: str, content: bytes) -> str:
    """Return the hash of a picture in the records."""
    marked = f"{service}\n{group}\n{person}\n".encode() + content
    return hashlib.sha256(marked).hexdigest()
