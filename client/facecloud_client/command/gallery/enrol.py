"""`facecloud enrol`: enrol folders into a group."""

import re
from functools import partial
from pathlib import Path

from rich.console import Console

from facecloud_client.command.arguments import Arguments
from facecloud_client.command.gallery.answers import Answer, Answers
from facecloud_client.command.gallery.records import Enrolled, group_mark, mark_of
from facecloud_client.errors import FaceCloudError, InputError
from facecloud_client.gallery import Enrolment, Gallery
from facecloud_client.i18n import say
from facecloud_client.request.sources import expand, source


def person_id_of(path: Path) -> str:
    """Return the person id in a file name, or "" if it has none: zhang-san for `zhang san_1.jpg`.

    Only the number of a copy (`_2`, ` (2)`) is removed, because other parts may distinguish people.
    """
    stem = path.stem
    stem = re.sub(r"(?:_\d{1,2}| ?\(\d{1,2}\))$", "", stem) or stem
    found = re.sub(r"\s+", "-", stem)
    return found[:64] if re.fullmatch(r"[A-Za-z0-9_.-]+", found) else ""


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
            raise InputError(name, say("请用 --person 指定人员 ID", "set the person with --person"))
        picture = source(name)
        mark = mark_of(gallery.base_url, arguments.group, person, path.read_bytes())
        if kept.has(mark, person):
            return Answer(name)
        wanted = Enrolment(arguments.group, person, picture, arguments.consent or "")
        (enrolled,) = gallery.enrol_all([wanted], unique=arguments.unique)
        kept.add(mark, str(enrolled["face_id"]))
    except FaceCloudError as error:
        return Answer(name, error=error)
    except OSError as error:
        return Answer(name, error=InputError(name, error.strerror or str(error)))
    return Answer(name, enrolled)
