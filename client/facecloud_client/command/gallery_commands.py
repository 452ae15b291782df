"""`facecloud enrol` and `facecloud search`: enrol folders into a group, and search groups for pictures.

Enrolment is resumable: each enrolled picture is recorded in a file in the folder, by a hash and the id of its
face. When the command runs again, it skips the pictures whose faces the service still stores. The records of
erased faces are deleted.
"""

import hashlib
import json
import re
import sys
from collections.abc import Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from facecloud_client.command.arguments import Arguments
from facecloud_client.command.inputs import picture
from facecloud_client.command.progress import progress
from facecloud_client.command.report import print_error
from facecloud_client.errors import ApiError, FaceCloudError, InputError
from facecloud_client.gallery import Enrolment, FoundFace, Gallery, one_in
from facecloud_client.i18n import say
from facecloud_client.outcomes import is_final
from facecloud_client.request.sources import expand, source

DONE_FILE = ".facecloud-enrolled"


def person_id_of(path: Path) -> str:
    """Return the person id in a file name, or "" if it has none: zhang-san for `zhang san_1.jpg`.

    Only the number of a copy (`_2`, ` (2)`) is removed, because other parts may distinguish people.
    """
    stem = path.stem
    stem = re.sub(r"(?:_\d{1,2}| ?\(\d{1,2}\))$", "", stem) or stem
    found = re.sub(r"\s+", "-", stem)
    return found[:64] if re.fullmatch(r"[A-Za-z0-9_.-]+", found) else ""


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

    @classmethod
    def of(cls, folder: Path, group: str, stored: Stored) -> "Enrolled":
        """Read the records, and delete those of this group whose face the service no longer stores."""
        path = folder / DONE_FILE
        try:
            lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
        except OSError:
            return cls(path, group, {}, stored)
        faces = {face for faces in stored.values() for face in faces}
        kept = [line for line in lines if len(line) < 3 or line[1] != group or line[2] in faces]
        if len(kept) < len(lines):
            _replace(path, "".join(" ".join(line) + "\n" for line in kept))
        return cls(path, group, {line[0]: line[2] if len(line) > 2 else "" for line in kept}, stored)

    def has(self, mark: str, person: str) -> bool:
        """Return whether this picture of this person is enrolled."""
        return mark in self.done and (bool(self.done[mark]) or person in self.stored)

    def add(self, mark: str, face_id: str) -> None:
        self.done[mark] = face_id
        with self.path.open("a") as file:
            file.write(f"{mark} {self.group} {face_id}\n")


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


def enrol(gallery: Gallery, arguments: Arguments, notes: Console) -> int:
    """Enrol every picture of the folders, one request each; return 1 if one was refused."""
    if all(group["group_id"] != arguments.group for group in gallery.groups()):
        gallery.add_group(arguments.group)  # an existing one keeps its name and retention
    stored = {
        str(one["person_id"]): {str(face["face_id"]) for face in one["faces"]}
        for one in gallery.persons(arguments.group)
    }
    group = group_mark(gallery.base_url, arguments.group)
    failed = 0
    for folder in map(Path, arguments.inputs):
        if not folder.is_dir():
            raise InputError(str(folder), say("不是文件夹", "is not a folder"))
        paths = [Path(name) for name in expand([str(folder)])]
        refused = _enrol_folder(gallery, arguments, notes, paths, Enrolled.of(folder, group, stored))
        failed += refused
        total = say(f"{folder}：共 {len(paths)} 张", f"{folder}: {len(paths)} pictures")
        notes.print(f"{total}, {say(f'{refused} 张未入库', f'{refused} not enrolled')}", style="dim")
    return 1 if failed else 0


def _enrol_folder(
    gallery: Gallery, arguments: Arguments, notes: Console, paths: Sequence[Path], kept: Enrolled
) -> int:
    """Enrol pictures and return how many were refused. Raises an error that would affect all later ones."""
    failed = 0
    with progress(notes, len(paths) > 1) as bar, ThreadPoolExecutor(arguments.jobs) as pool:
        task = bar.add_task("", total=len(paths))
        futures = [pool.submit(_enrol_one, gallery, arguments, path, kept) for path in paths]
        for path, future in zip(paths, futures, strict=True):
            error = future.result()
            bar.advance(task)
            if error is None:
                continue
            if is_final(error):
                pool.shutdown(wait=True, cancel_futures=True)
                raise error
            failed += 1
            _report_error(arguments, str(path), error)
    return failed


def _enrol_one(gallery: Gallery, arguments: Arguments, path: Path, kept: Enrolled) -> FaceCloudError | None:
    person = arguments.person or person_id_of(path)
    try:
        if not person:
            raise InputError(str(path), say("请用 --person 指定人员 ID", "set the person with --person"))
        picture = source(str(path))
        mark = mark_of(gallery.base_url, arguments.group, person, path.read_bytes())
        if kept.has(mark, person):
            return None
        wanted = Enrolment(arguments.group, person, picture, arguments.consent or "")
        (enrolled,) = gallery.enrol_all([wanted], unique=arguments.unique)
        kept.add(mark, str(enrolled["face_id"]))
    except FaceCloudError as error:
        return error
    except OSError as error:
        return InputError(str(path), error.strerror or str(error))
    return None


def _report_error(arguments: Arguments, name: str, error: FaceCloudError) -> None:
    if arguments.json:
        line = {"source": name, "error": {"message": str(error)}}
        if isinstance(error, ApiError):
            line["error"] = {"code": error.code, "message": error.message, "detail": error.detail}
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    words = f"{error.headline}: {error.detail}" if isinstance(error, ApiError) else str(error)
    print_error(Console(stderr=True, highlight=False, soft_wrap=True), f"{name}: {words}")


def search(gallery: Gallery, arguments: Arguments, notes: Console) -> int:
    """Search the groups for each picture; return 1 if one was refused."""
    groups = arguments.groups or [str(group["group_id"]) for group in gallery.groups()]
    if not groups:
        raise InputError(
            "",
            say(
                "还没有人脸组，请先用 facecloud enrol 入库",
                "there is no group yet; enrol first: facecloud enrol",
            ),
        )
    names = expand(arguments.inputs)
    failed = 0
    out = Console(highlight=False, soft_wrap=True)

    def one(name: str) -> list[FoundFace] | FaceCloudError:
        try:
            return gallery.search(picture(name), groups, top=arguments.top, all_faces=True)
        except FaceCloudError as error:
            return error

    with progress(notes, len(names) > 1) as bar, ThreadPoolExecutor(arguments.jobs) as pool:
        task = bar.add_task("", total=len(names))
        for name, found in zip(names, pool.map(one, names), strict=True):
            bar.advance(task)
            if isinstance(found, FaceCloudError):
                if is_final(found):
                    raise found
                failed += 1
                _report_error(arguments, name, found)
            elif arguments.json:
                sys.stdout.write(json.dumps(_as_json(name, found), ensure_ascii=False) + "\n")
                sys.stdout.flush()
            else:
                for line in _lines(name, found):
                    out.print(line, markup=False)
    return 1 if failed else 0


def _as_json(name: str, found: Sequence[FoundFace]) -> dict[str, object]:
    faces = [
        {"location": vars(face.location), "persons": [vars(one) for one in face.persons]} for face in found
    ]
    return {"source": name, "faces": faces}


def _lines(name: str, found: Sequence[FoundFace]) -> list[str]:
    """Return a line for each face, with the persons that it matches and their false-match rates."""
    if not found:
        return [f"{name}  {say('没有人脸', 'no face')}"]
    lines = []
    for face in found:
        place = f"{face.location.left}, {face.location.top}"
        who = [
            f"{one.group_id}/{one.person_id} {one.confidence:.3f} "
            f"({say('认错至多', 'false match at most')} {one_in(one.false_match_rate)})"
            for one in face.persons
        ]
        lines.append(f"{name}  ({place})  {'  '.join(who) or say('无匹配', 'no match')}")
    return lines
