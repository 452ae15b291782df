"""`facecloud search`: search groups for the persons in pictures."""

from collections.abc import Sequence

from rich.console import Console

from facecloud_client.command.arguments import Arguments
from facecloud_client.command.gallery.answers import Answer, Answers
from facecloud_client.command.inputs import picture
from facecloud_client.command.tables import poor_quality
from facecloud_client.errors import FaceCloudError, InputError
from facecloud_client.gallery import FoundFace, Gallery, found_faces, one_in
from facecloud_client.i18n import say
from facecloud_client.request.sources import expand
from facecloud_client.results import reasons

MAX_GROUPS = 10  # of the API, per search


def search(gallery: Gallery, arguments: Arguments, notes: Console) -> Answers:
    """Search the groups for each picture, and print who is found."""
    groups = _groups(gallery, arguments)

    def one(name: str) -> Answer:
        try:
            entry = gallery.search_entry(
                picture(name), groups, top=arguments.top, all_faces=True, quality=True
            )
            return Answer(name, entry, rows=rows(name, found_faces(entry), reasons(entry)))
        except FaceCloudError as error:
            return Answer(name, error=error)

    answers = Answers(arguments, notes)
    answers.run(one, expand(arguments.inputs))
    return answers


def _groups(gallery: Gallery, arguments: Arguments) -> list[str]:
    """Return the groups to search. Raises InputError if there are none or too many."""
    groups = arguments.groups or [str(group["group_id"]) for group in gallery.groups()]
    if not groups:
        reason = say(
            "还没有人脸组，请先用 facecloud enrol 入库", "there is no group yet; enrol first: facecloud enrol"
        )
        raise InputError("", reason)
    if len(groups) > MAX_GROUPS:
        reason = say(
            f"一次最多搜索 {MAX_GROUPS} 个组，现有 {len(groups)} 个：请用 --group 选择",
            f"{len(groups)} groups, of which a search takes at most {MAX_GROUPS}: choose with --group",
        )
        raise InputError("", reason)
    return groups


def rows(name: str, found: Sequence[FoundFace], poor: Sequence[str] = ()) -> list[str]:
    """Return a line for each face, with the persons that it matches and their false-match rates.

    `poor` are the reasons for poor quality, which are added to each line.
    """
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
        line = f"{name}  ({place})  {'  '.join(who) or say('无匹配', 'no match')}"
        lines.append(f"{line}  {poor_quality(poor)}" if poor else line)
    return lines
