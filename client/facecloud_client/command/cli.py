"""The `facecloud` command.

Exit status: 0 success; 1 some pictures were rejected; 2 invalid usage, missing keys, or an unreadable file.
If a whole request was rejected: 3 authentication (41xx), 4 quota or rate (42xx), 5 the service or the
network. 130 after Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from rich.console import Console

from facecloud_client import config
from facecloud_client.client import FaceClient
from facecloud_client.command.arguments import Arguments, parse
from facecloud_client.command.doctor import examine
from facecloud_client.command.draw import Targets
from facecloud_client.command.gallery.answers import Answers
from facecloud_client.command.gallery.enrol import enrol
from facecloud_client.command.gallery.search import search
from facecloud_client.command.inputs import picture
from facecloud_client.command.pairs import from_file
from facecloud_client.command.progress import progress
from facecloud_client.command.report import Report, print_error
from facecloud_client.errors import AuthenticationError, ConfigError, FaceCloudError, InputError, QuotaError
from facecloud_client.gallery import Gallery
from facecloud_client.i18n import say
from facecloud_client.outcomes import Done, Outcome, run
from facecloud_client.request.body import Item
from facecloud_client.request.sources import Source, expand, source

APIS = {"detect": "face_detect", "analyse": "face_analyse", "compare": "face_compare"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # do not fail on characters that the terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    arguments = parse(argv)
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        found = config.load(arguments.url, arguments.app_key)
        with FaceClient(found.app_key, found.secret, found.url) as client:
            if arguments.command == "doctor":
                return doctor(client, found)
            if arguments.command == "enrol":
                return status_of(enrol(Gallery(client), arguments, notes))
            if arguments.command == "search":
                return status_of(search(Gallery(client), arguments, notes))
            return call(client, arguments, notes)
    except FaceCloudError as error:
        print_error(notes, str(error))
        return exit_status(error)
    except BrokenPipeError:
        # stdout was closed, as in `facecloud … --json | head`: discard the buffered output. The status is the
        # one that rich uses in this case.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        # Exit at once: a normal return would wait for the requests in progress.
        sys.stdout.flush()
        os._exit(130)


def exit_status(error: FaceCloudError) -> int:
    """Return the exit status for an error."""
    if isinstance(error, ConfigError | InputError):
        return 2
    if isinstance(error, AuthenticationError):
        return 3
    return 4 if isinstance(error, QuotaError) else 5


def status_of(answers: Answers) -> int:
    """Return the exit status of enrol and search."""
    if answers.refusal:
        return exit_status(answers.refusal)
    if answers.done and answers.unreadable == answers.done:
        return 2
    return 1 if answers.failed else 0


def call(client: FaceClient, arguments: Arguments, notes: Console) -> int:
    """Run detect, analyse or compare: read the inputs, send them in batches, print and draw the results."""
    items, unreadable = inputs(arguments)
    api = APIS[arguments.command]
    pictures = [item for item in items if isinstance(item, Source)]
    targets = Targets(arguments.draw, pictures) if arguments.draw else None
    report = Report(notes, api, [*items, *(outcome.item for outcome in unreadable)], arguments.json, targets)
    report.add(Done(unreadable))
    with progress(notes, len(items) > arguments.batch) as bar:
        task = bar.add_task("", total=len(items))
        for done in run(client, api, items, batch=arguments.batch, jobs=arguments.jobs):
            report.add(done)
            bar.advance(task, len(done.outcomes))
    report.end()
    if report.refusal:
        return exit_status(report.refusal)
    return 1 if report.failed else 0


def inputs(arguments: Arguments) -> tuple[list[Item], list[Outcome]]:
    """Return the pictures or pairs to send, and an Outcome for each one that cannot be read.

    An unreadable file does not affect the others. Raises InputError if nothing is left to send.
    """
    if arguments.command == "compare" and not arguments.pairs and not arguments.anchor:
        return [(picture(arguments.inputs[0]), picture(arguments.inputs[1]))], []
    anchor = picture(arguments.anchor) if arguments.anchor else None
    items: list[Item] = []
    unreadable: list[tuple[Item, InputError]] = []
    if arguments.pairs:
        for one, other in from_file(arguments.pairs):
            try:
                items.append((source(one), source(other)))
            except InputError as error:
                unreadable.append(((Source(one), Source(other)), error))
    for name in expand(arguments.inputs):
        if anchor and name == anchor.name:
            continue
        try:
            found = picture(name)
            items.append((anchor, found) if anchor else found)
        except InputError as error:
            broken = Source(name)
            unreadable.append(((anchor, broken) if anchor else broken, error))
    if not items:
        if unreadable:
            raise unreadable[0][1]
        raise InputError("", say("没有可比对的图片", "nothing to compare"))
    return items, [Outcome(item, error=error) for item, error in unreadable]


def doctor(client: FaceClient, found: config.Config) -> int:
    """Print each check as it completes, and return 1 if one failed."""
    out = Console(highlight=False, soft_wrap=True)
    status = 0
    for check in examine(client, found):
        note = "[yellow]![/yellow]" if check.remedy else "[green]✓[/green]"
        out.print(note if check.ok else "[red]✗[/red]", end=" ")
        out.print(f"{check.name}  {check.detail}", markup=False)
        if check.remedy:
            out.print(f"  → {check.remedy}", markup=False, style="yellow")
        if not check.ok:
            status = 1
    return status
