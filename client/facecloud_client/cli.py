"""The `facecloud` command.

Exit status: 0 all done; 1 some pictures were refused; 2 wrong usage, no keys, or a file that cannot be read;
3 authentication (41xx); 4 quota or rate (42xx); 5 the service or the network; 130 after Ctrl-C.
"""

import os
import sys
import time
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facecloud_client import config
from facecloud_client.arguments import Arguments, parse
from facecloud_client.body import Item
from facecloud_client.client import FaceClient
from facecloud_client.doctor import examine
from facecloud_client.draw import draw, targets
from facecloud_client.errors import (
    ApiError,
    AuthenticationError,
    ConfigError,
    FaceCloudError,
    InputError,
    QuotaError,
)
from facecloud_client.outcomes import Outcome, run
from facecloud_client.pairs import anchored, from_file
from facecloud_client.results import FaceResult
from facecloud_client.sources import Source, expand, source
from facecloud_client.tables import compare_table, face_table, json_line
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
        notes.print(f"[red]{say('错误', 'error')}[/red]", end=" ")
        notes.print(str(error), markup=False)
        return exit_status(error)
    except BrokenPipeError:
        return 0  # the reader of our output went away, as in `facecloud … | head`
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
    """detect, analyse and compare: read the inputs, call in batches, print, draw."""
    items, unreadable = inputs(asked)
    started_s = time.monotonic()
    outcomes: list[Outcome] = list(unreadable)
    if asked.json:
        print_json(outcomes)
    units, remaining = 0, None
    try:
        with progress(notes, len(items) > asked.batch) as bar:
            task = bar.add_task("", total=len(items))
            for done in run(client, APIS[asked.command], items, batch=asked.batch, jobs=asked.jobs):
                outcomes.extend(done.outcomes)
                units += done.units or 0
                remaining = done.remaining if done.remaining is not None else remaining
                if asked.json:
                    print_json(done.outcomes)
                bar.advance(task, len(done.outcomes))
    finally:
        # What was paid for is shown, even where a later batch failed.
        if not asked.json and outcomes:
            table = compare_table if asked.command == "compare" else face_table
            Console(highlight=False).print(table(outcomes))
    drawn = draw_all(outcomes, asked.draw, notes) if asked.draw else True
    if not asked.json:
        for advice in remedies(outcomes):
            notes.print(advice, markup=False, style="yellow")
        notes.print(summary(outcomes, units, remaining, time.monotonic() - started_s), style="dim")
    return 0 if drawn and all(outcome.error is None for outcome in outcomes) else 1


def inputs(asked: Arguments) -> tuple[list[Item], list[Outcome]]:
    """The pictures or pairs to send, and those that cannot be read here.

    A file named on the command line must be readable; one bad file in a folder does not stop the others.
    """
    if asked.command == "compare":
        if asked.pairs:
            return [(source(one), source(other)) for one, other in from_file(asked.pairs)], []
        if not asked.anchor:
            return [(picture(asked.inputs[0]), picture(asked.inputs[1]))], []
    items: list[Source] = []
    unreadable: list[tuple[Source, InputError]] = []
    for name in expand(asked.inputs):
        try:
            items.append(picture(name))
        except InputError as error:
            if name in asked.inputs:
                raise
            unreadable.append((Source(name), error))
    if asked.anchor:
        anchor = picture(asked.anchor)
        broken = [Outcome((anchor, item), error=error) for item, error in unreadable]
        return anchored(anchor, items), broken
    return list(items), [Outcome(item, error=error) for item, error in unreadable]


def picture(name: str) -> Source:
    """A Source from the command line, where `-` is standard input."""
    if name == "-":
        return source(Source("-", data=sys.stdin.buffer.read()))
    return source(name)


def remedies(outcomes: Sequence[Outcome]) -> list[str]:
    """What the service advises for each code that a picture was refused with, once a code."""
    errors = [outcome.error for outcome in outcomes if isinstance(outcome.error, ApiError)]
    return [f"{code}: {remedy}" for code, remedy in {e.code: e.remedy for e in errors}.items() if remedy]


def draw_all(outcomes: Sequence[Outcome], out: Path, notes: Console) -> bool:
    """Draw every result; False where one could not be drawn, which is told."""
    drawable = [
        (outcome.item, outcome.result)
        for outcome in outcomes
        if isinstance(outcome.item, Source) and isinstance(outcome.result, FaceResult)
    ]
    complete = True
    for (item, result), path in zip(drawable, targets(out, [item for item, _ in drawable]), strict=True):
        try:
            draw(item, result, path)
        except InputError as error:
            notes.print(str(error), markup=False, style="red")
            complete = False
    return complete


def print_json(outcomes: Sequence[Outcome]) -> None:
    for outcome in outcomes:
        sys.stdout.write(json_line(outcome) + "\n")
    sys.stdout.flush()


def progress(notes: Console, useful: bool) -> Progress:
    """A bar on standard error, where that is a terminal and there is more than one batch."""
    columns = (TextColumn(say("识别", "calling")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=notes, transient=True, disable=not useful or not notes.is_terminal)


def summary(outcomes: Sequence[Outcome], units: int, remaining: int | None, spent_s: float) -> str:
    """`12 个，1 个失败，用时 1.2 秒，计量 11，剩余 99,989`"""
    failed = sum(outcome.error is not None for outcome in outcomes)
    parts = [say(f"共 {len(outcomes)} 项", f"{len(outcomes)} in all")]
    if failed:
        parts.append(say(f"{failed} 项失败", f"{failed} failed"))
    parts.append(say(f"用时 {spent_s:.1f} 秒", f"{spent_s:.1f} s"))
    parts.append(say(f"计量 {units}", f"{units} unit{'' if units == 1 else 's'}"))
    if remaining is not None:
        parts.append(say(f"剩余 {remaining:,}", f"{remaining:,} left"))
    return say("，", ", ").join(parts)


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
