"""`facecloud enrol` and `facecloud search`: folders into a group, and pictures against groups.

Enrolment is resumable: a picture that was enrolled is noted in a file in the folder, by a hash alone, and is
skipped when the command runs again.
"""

import hashlib
import json
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from facecloud_client.arguments import Arguments
from facecloud_client.errors import ApiError, FaceCloudError, InputError
from facecloud_client.gallery import Enrolment, FoundFace, Gallery, one_in
from facecloud_client.i18n import say
from facecloud_client.outcomes import is_final
from facecloud_client.progress import progress
from facecloud_client.report import print_error
from facecloud_client.sources import expand, source

DONE_FILE = ".facecloud-enrolled"


def person_id_of(path: Path) -> str:
    """Return the id that a file name suggests, "" if it suggests none: zhang-san for `zhang san_1.jpg`.

    Only the number of a copy (`_2`, ` (2)`) is dropped: other parts may tell people apart.
    """
    stem = path.stem
    stem = re.sub(r"(?:_\d{1,2}| ?\(\d{1,2}\))$", "", stem) or stem
    found = re.sub(r"\s+", "-", stem)
    return found[:64] if re.fullmatch(r"[A-Za-z0-9_.-]+", found) else ""


@dataclass
class Enrolled:
    """The notes of one folder and group: which pictures are enrolled."""

    path: Path
    done: set[str]

    @classmethod
    def of(cls, folder: Path) -> "Enrolled":
        path = folder / DONE_FILE
        try:
            return cls(path, set(path.read_text().split()))
        except OSError:
            return cls(path, set())

    def add(self, mark: str) -> None:
        self.done.add(mark)
        with self.path.open("a") as file:
            file.write(mark + "\n")


def mark_of(service: str, group: str, person: str, content: bytes) -> str:
    """Return the hash that stands for a picture in the notes."""
    told = f"{service}\n{group}\n{person}\n".encode() + content
    return hashlib.sha256(told).hexdigest()


def enrol(gallery: Gallery, asked: Arguments, notes: Console) -> int:
    """Enrol every picture of the folders by a request of its own; return 1 if one was refused."""
    if all(group["group_id"] != asked.group for group in gallery.groups()):
        gallery.add_group(asked.group)  # an existing one keeps its name and retention
    failed = 0
    for folder in map(Path, asked.inputs):
        if not folder.is_dir():
            raise InputError(str(folder), say("不是文件夹", "is not a folder"))
        paths = [Path(name) for name in expand([str(folder)])]
        refused = _enrol_folder(gallery, asked, notes, paths, Enrolled.of(folder))
        failed += refused
        total = say(f"{folder}：共 {len(paths)} 张", f"{folder}: {len(paths)} pictures")
        notes.print(f"{total}, {say(f'{refused} 张未入库', f'{refused} not enrolled')}", style="dim")
    return 1 if failed else 0


def _enrol_folder(
    gallery: Gallery, asked: Arguments, notes: Console, paths: Sequence[Path], kept: Enrolled
) -> int:
    """Return how many pictures were refused. Raises the refusal that every later picture would get too."""
    failed = 0
    with progress(notes, len(paths) > 1) as bar, ThreadPoolExecutor(asked.jobs) as pool:
        task = bar.add_task("", total=len(paths))
        futures = [pool.submit(_enrol_one, gallery, asked, path, kept) for path in paths]
        for path, future in zip(paths, futures, strict=True):
            error = future.result()
            bar.advance(task)
            if error is None:
                continue
            if is_final(error):
                pool.shutdown(wait=True, cancel_futures=True)
                raise error
            failed += 1
            _tell(asked, str(path), error)
    return failed


def _enrol_one(gallery: Gallery, asked: Arguments, path: Path, kept: Enrolled) -> FaceCloudError | None:
    person = asked.person or person_id_of(path)
    try:
        if not person:
            raise InputError(str(path), say("请用 --person 指定人员 ID", "name the person with --person"))
        picture = source(str(path))
        mark = mark_of(gallery.base_url, asked.group, person, path.read_bytes())
        if mark in kept.done:
            return None
        wanted = Enrolment(asked.group, person, picture, asked.consent or "")
        gallery.enrol_all([wanted], unique=asked.unique)
        kept.add(mark)
    except FaceCloudError as error:
        return error
    except OSError as error:
        return InputError(str(path), error.strerror or str(error))
    return None


def _tell(asked: Arguments, name: str, error: FaceCloudError) -> None:
    if asked.json:
        told = {"source": name, "error": {"message": str(error)}}
        if isinstance(error, ApiError):
            told["error"] = {"code": error.code, "message": error.message, "detail": error.detail}
        sys.stdout.write(json.dumps(told, ensure_ascii=False) + "\n")
        sys.stdout.flush()
        return
    words = f"{error.headline}: {error.detail}" if isinstance(error, ApiError) else str(error)
    print_error(Console(stderr=True, highlight=False, soft_wrap=True), f"{name}: {words}")


def search(gallery: Gallery, asked: Arguments, notes: Console) -> int:
    """Search the groups for each picture; return 1 if one was refused."""
    groups = asked.groups or [str(group["group_id"]) for group in gallery.groups()]
    if not groups:
        raise InputError(
            "", say("还没有人脸组，请先用 facecloud enrol 入库", "no group yet: facecloud enrol")
        )
    names = expand(asked.inputs)
    failed = 0
    out = Console(highlight=False, soft_wrap=True)

    def one(name: str) -> list[FoundFace] | FaceCloudError:
        try:
            return gallery.search(name, groups, top=asked.top, all_faces=True)
        except FaceCloudError as error:
            return error

    with progress(notes, len(names) > 1) as bar, ThreadPoolExecutor(asked.jobs) as pool:
        task = bar.add_task("", total=len(names))
        for name, found in zip(names, pool.map(one, names), strict=True):
            bar.advance(task)
            if isinstance(found, FaceCloudError):
                if is_final(found):
                    raise found
                failed += 1
                _tell(asked, name, found)
            elif asked.json:
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
    """Return a line for each face: whom it matches, with the chance of a mistake."""
    if not found:
        return [f"{name}  {say('没有人脸', 'no face')}"]
    lines = []
    for face in found:
        place = f"{face.location.left}, {face.location.top}"
        who = [
            f"{one.group_id}/{one.person_id} {one.confidence:.3f} "
            f"({say('认错', 'wrong')} {one_in(one.false_match_rate)})"
            for one in face.persons
        ]
        lines.append(f"{name}  ({place})  {'  '.join(who) or say('无匹配', 'no match')}")
    return lines
