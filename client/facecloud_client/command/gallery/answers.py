"""The answers of `enrol` and `search`, one for each picture, and their output."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from facecloud_client.command.arguments import Arguments
from facecloud_client.command.progress import progress
from facecloud_client.command.report import print_error
from facecloud_client.command.tables import error_fields, error_text
from facecloud_client.errors import ApiError, FaceCloudError, InputError
from facecloud_client.i18n import say
from facecloud_client.in_order import in_order, is_final
from facecloud_client.outcomes import faulty
from facecloud_client.request.sources import Source


@dataclass(frozen=True)
class Answer:
    """The answer for one picture: the entry of `result`, or an error; neither if it was skipped.

    `unrecorded` is set if it was enrolled but that could not be recorded. `rows` are the lines to print.
    """

    name: str
    result: Mapping[str, Any] | None = None
    error: FaceCloudError | None = None
    unrecorded: InputError | None = None
    rows: Sequence[str] = ()

    @property
    def refusal(self) -> FaceCloudError | None:
        """Return the error if it is not one of this picture alone."""
        error = self.error
        if isinstance(error, InputError):
            return None
        if isinstance(error, ApiError) and not is_final(error) and faulty(error, [Source(self.name)]):
            return None
        return error or self.unrecorded


class Answers:
    """Prints answers as they arrive.

    `refusal` is the last error that was not one of a picture alone. `failed` counts the pictures without a
    result, `unreadable` those of them that were not sent. `stopped` is set if pictures were not processed.
    """

    def __init__(self, arguments: Arguments, notes: Console) -> None:
        self.refusal: FaceCloudError | None = None
        self.done = self.failed = self.unreadable = 0
        self.stopped = False
        self._arguments, self._notes = arguments, notes
        self._out = Console(highlight=False, soft_wrap=True)

    def run(self, send: Callable[[str], Answer], names: Sequence[str]) -> None:
        """Call `send` for each name and print its answer; report how many were not processed."""
        before = self.done
        with progress(self._notes, len(names) > 1) as bar:
            task = bar.add_task("", total=len(names))
            for answer in in_order(send, names, lambda one: one.refusal, jobs=self._arguments.jobs):
                self._add(answer)
                bar.advance(task)
        if left := len(names) - (self.done - before):
            self.stopped = True
            words = say(f"已停止，{left} 项没有处理", f"stopped, {left} were not processed")
            print_error(self._notes, words)

    def _add(self, answer: Answer) -> None:
        self.done += 1
        self.failed += answer.error is not None
        self.unreadable += isinstance(answer.error, InputError)
        self.refusal = answer.refusal or self.refusal
        if answer.refusal:
            print_error(self._notes, f"{answer.name}: {answer.refusal}")
        if self._arguments.json:
            sys.stdout.write(json_line(answer) + "\n")
            sys.stdout.flush()
            return
        for row in answer.rows:
            self._out.print(row, markup=False)
        if answer.error and not answer.refusal:
            print_error(self._notes, f"{answer.name}: {error_text(answer.error)}")


def json_line(answer: Answer) -> str:
    """Return one line: `source`, with the `result` of the API, with `error`, or with `skipped`."""
    line: dict[str, Any] = {"source": answer.name}
    if answer.error is not None:
        line["error"] = error_fields(answer.error)
    elif answer.result is not None:
        line["result"] = answer.result
    else:
        line["skipped"] = True
    return json.dumps(line, ensure_ascii=False)
