"""`facecloud enrol`: enrol folders into a group."""

import hashlib
import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from facecloud_client.command.arguments import Arguments
from facecloud_client.command.gallery.answers import Answer, Answers
from facecloud_client.command.gallery.records import Enrolled, group_mark, mark_of
from facecloud_client.errors import ApiError, FaceCloudError, InputError
from facecloud_client.gallery import Enrolment, Gallery
from facecloud_client.i18n import say
from facecloud_client.request.sources import expand, source

KEY_USED_UP = 4022


def person_id_of(path: Path) -> str:
    """Return the person id in a file name, or "" if it is not an id: zhang-san for `zhang san_1.jpg`.

    Only the number of a copy (`_2`, ` (2)`) is removed, because other parts may distinguish people. A long
    name is not cut, because two people could get the same id.
    """
    stem = path.stem
    stem = re.sub(r"(?:_\d{1,2}| ?\(\d{1,2}\))$", "", stem) or stem
    found = re.sub(r"\s+", "-", stem)
    return found if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", found) else ""


def enrol(gallery: Gallery, arguments: Arguments, notes: Console) -> Answers:
    """Enrol every picture of the folders, one request each."""
    if all(group["group_id"] != arguments.group for group in gallery.groups()):
        gallery.add_group(arguments.group)  # an existing one keeps its name and retention
    stored = {
        str(one["person_id"]): {str(face["face_id"]) for face in one["faces"]}
        for one in gallery.persons(arguments.group)
    }
    group = group_mark(gallery.base_url, arguments.group)
    answers = Answers(arguments, notes)
    for folder in map(Path, arguments.inputs):
        if not folder.is_dir():
            raise InputError(str(folder), say("不是文件夹", "is not a folder"))
        names = expand([str(folder)])
        done, failed = answers.done, answers.failed
        kept = Enrolled.of(folder, group, stored)
        answers.run(partial(_enrol_one, gallery, arguments, kept), names)
        refused = answers.failed - failed + len(names) - (answers.done - done)
        total = say(f"{folder}：共 {len(names)} 张", f"{folder}: {len(names)} pictures")
        notes.print(f"{total}, {say(f'{refused} 张未入库', f'{refused} not enrolled')}", style="dim")
        if answers.stopped:
            break
    return answers


def _enrol_one(gallery: Gallery, arguments: Arguments, kept: Enrolled, name: str) -> Answer:
    path = Path(name)
    person = arguments.person or person_id_of(path)
    try:
        if not person:
            raise InputError(name, _not_an_id())
        picture = source(name)
        mark = mark_of(gallery.base_url, arguments.group, person, path.read_bytes())
        if kept.has(mark, person):
            return Answer(name)
        wanted = Enrolment(arguments.group, person, picture, arguments.consent or "")
        enrolled = _enrolled(gallery, wanted, arguments.unique, mark, kept)
    except FaceCloudError as error:
        return Answer(name, error=error)
    except OSError as error:
        return Answer(name, error=InputError(name, error.strerror or str(error)))
    try:
        kept.add(mark, str(enrolled["face_id"]))
    except InputError as error:
        return Answer(name, enrolled, unrecorded=error)
    return Answer(name, enrolled)


def _not_an_id() -> str:
    return say(
        "文件名不能用作人员 ID：请改为 1-64 个字符，只含 A-Z a-z 0-9 _ - .，例如 1001.jpg；"
        "如果整个文件夹只有一个人，也可以用 --person 指定",
        "the file name is not a person id: rename the file to 1-64 characters of A-Z a-z 0-9 _ - . such as "
        "1001.jpg; if the whole folder shows a single person, you can use --person instead",
    )


def _enrolled(
    gallery: Gallery, wanted: Enrolment, unique: bool, mark: str, kept: Enrolled
) -> Mapping[str, Any]:
    """Enrol a picture and return the entry of `result`.

    The Idempotency-Key depends on the picture alone, so that a call whose answer was lost is not enrolled and
    charged again by the next run. After a few minutes the service no longer returns the answer (4022); then
    the person has a face without a record, or it was erased and the picture is enrolled anew.
    """
    sent = f"{mark}\n{wanted.consent}\n{unique}"
    key = hashlib.sha256(sent.encode()).hexdigest()
    try:
        return gallery.enrol_all([wanted], unique=unique, idempotency_key=key)[0]
    except ApiError as error:
        if error.code != KEY_USED_UP:
            raise
    if face_id := kept.unrecorded(wanted.person_id):
        return {"group_id": wanted.group_id, "person_id": wanted.person_id, "face_id": face_id}
    return gallery.enrol_all([wanted], unique=unique)[0]
