"""The `facecloud` command.

Exit status: 0 all done; 1 some pictures were refused; 2 wrong usage, no keys, or a file that cannot be read;
a whole request was refused: 3 authentication (41xx), 4 quota or rate (42xx), 5 the service or the network;
130 after Ctrl-C.
"""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facecloud_client import config
from facecloud_client.arguments import Arguments, parse
from facecloud_client.body import Item
from facecloud_client.client import FaceClient
from facecloud_client.doctor import examine
from facecloud_client.draw import Targets
from facecloud_client.errors import AuthenticationError, ConfigError, FaceCloudError, InputError, QuotaError
from facecloud_client.outcomes import Done, Outcome, run
from facecloud_client.pairs import from_file
from facecloud_client.report import Report, print_error
from facecloud_client.sources import Source, checked, expand, source
from facecloud_client.words import say

APIS = {"detect": "face_detect", "analyse": "face_analyse", "compare": "face_compare"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a name or a sign that the terminal cannot show ends nothing
            stream.reconfigure(errors="backslashreplace")
    asked = parse(argv)
    notes = Console(stderr=True, highlight=False, soft_wrap=True)
    try:
        found = config.load(asked.url, asked.app_key)
        with FaceClient(found.app_key, found.secret, found.url) as client:
            if asked.command == "doctor":
                return doctor(client, found)
            return call(client, asked, notes)
    except FaceCloudError as error:
        print_error(notes, str(error))
        return exit_status(error)
    except BrokenPipeError:
        # The reader of our output went away, as in `facecloud … --json | head`: what the interpreter still
        # holds goes nowhere, and the status is that of rich, which does the same for rows.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        # Not by returning: the interpreter would wait for the requests that are still under way.
        sys.stdout.flush()
        os._exit(130)


def exit_status(error: FaceCloudError) -> int:
    if isinstance(error, ConfigError | InputError):
        return 2
    if isinstance(error, AuthenticationError):
        return 3
    return 4 if isinstance(error, QuotaError) else 5


def call(client: FaceClient, asked: Arguments, notes: Console) -> int:
    """detect, analyse and compare: read the inputs, call in batches, and print and draw each as it comes."""
    items, unreadable = inputs(asked)
    api = APIS[asked.command]
    pictures = [item for item in items if isinstance(item, Source)]
    targets = Targets(asked.draw, pictures) if asked.draw else None
    report = Report(notes, api, [*items, *(outcome.item for outcome in unreadable)], asked.json, targets)
    report.add(Done(unreadable))
    with progress(notes, len(items) > asked.batch) as bar:
        task = bar.add_task("", total=len(items))
        for done in run(client, api, items, batch=asked.batch, jobs=asked.jobs):
            report.add(done)
            bar.advance(task, len(done.outcomes))
    report.end()
    if report.refusal:
        return exit_status(report.refusal)
    return 1 if report.failed else 0


def inputs(asked: Arguments) -> tuple[list[Item], list[Outcome]]:
    """The pictures or pairs to send, and those that cannot be read here.

    A file that cannot be read stops no others. Raises InputError where nothing is left to send.
    """
    if asked.command == "compare" and not asked.pairs and not asked.anchor:
        return [(picture(asked.inputs[0]), picture(asked.inputs[1]))], []
    anchor = picture(asked.anchor) if asked.anchor else None
    items: list[Item] = []
    unreadable: list[tuple[Item, InputError]] = []
    if asked.pairs:
        for one, other in from_file(asked.pairs):
            try:
                items.append((source(one), source(other)))
            except InputError as error:
                unreadable.append(((Source(one), Source(other)), error))
    for name in expand(asked.inputs):
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


def picture(name: str) -> Source:
    """A Source from the command line, where `-` is standard input."""
    if name == "-":
        data = sys.stdin.buffer.read()
        return checked(Source("-", data=data, size_bytes=len(data)))
    return source(name)


def progress(notes: Console, useful: bool) -> Progress:
    """A bar on the terminal for more than one batch, where the results themselves are not seen there."""
    columns = (TextColumn(say("识别", "calling")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not useful or not notes.is_terminal or sys.stdout.isatty()
    # Standard output is the results' alone: rich would send it to where the bar is.
    return Progress(
        *columns, console=notes, transient=True, disable=hidden, redirect_stdout=False, redirect_stderr=False
    )


def doctor(client: FaceClient, found: config.Config) -> int:
    """Print the checks as they are made; 1 where one of them failed."""
    out = Console(highlight=False, soft_wrap=True)
    status = 0
    for check in examine(client, found):
        out.print("[green]✓[/green]" if check.ok else "[red]✗[/red]", end=" ")
        out.print(f"{check.name}  {check.detail}", markup=False)
        if check.remedy:
            out.print(f"  → {check.remedy}", markup=False, style="yellow")
        if not check.ok:
            status = 1
    return status
