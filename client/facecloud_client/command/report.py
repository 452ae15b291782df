"""The output of the command: rows or JSON for each batch, drawings, and a final summary.

Results go to standard output, messages to standard error. Only counts are kept in memory.
"""

import sys
import time
from collections.abc import Sequence

from rich.console import Console

from facecloud_client.command.draw import Targets, draw
from facecloud_client.command.tables import Rows, json_line
from facecloud_client.errors import ApiError, FaceCloudError, InputError
from facecloud_client.i18n import say
from facecloud_client.outcomes import Done, Outcome
from facecloud_client.request.body import Item, names
from facecloud_client.request.sources import Source
from facecloud_client.results import FaceResult


class Report:
    """Prints results as they arrive.

    `refusal` is the error of the last batch that was rejected as a whole; `failed` counts the items without a
    result or a drawing.
    """

    def __init__(
        self, notes: Console, api: str, items: Sequence[Item], as_json: bool, targets: Targets | None
    ) -> None:
        self.refusal: FaceCloudError | None = None
        self.failed = 0
        self._notes, self._as_json, self._targets = notes, as_json, targets
        self._out = Console(highlight=False, soft_wrap=True)
        self._rows = Rows(api, items)
        self._has_head = False
        self._expected, self._done, self._units = len(items), 0, 0
        self._remaining: int | None = None
        self._remedies: dict[int, str] = {}
        self._since_s = time.monotonic()

    def add(self, done: Done) -> None:
        """Print a batch and draw its pictures."""
        self._done += len(done.outcomes)
        self._units += done.units or 0
        self._remaining = self._remaining if done.remaining is None else done.remaining
        if self._as_json:
            for outcome in done.outcomes:
                sys.stdout.write(json_line(outcome) + "\n")
            sys.stdout.flush()
        elif not done.refusal:
            self._print_rows(done.outcomes)
        if done.refusal:
            self.refusal = done.refusal
            print_error(self._notes, f"{span(done.outcomes)}: {done.refusal}")
        for outcome in done.outcomes:
            drawn = self._draw(outcome)
            self.failed += outcome.error is not None or not drawn
            if isinstance(outcome.error, ApiError) and not done.refusal and outcome.error.remedy:
                self._remedies[outcome.error.code] = outcome.error.remedy

    def end(self) -> None:
        """Print the number of unprocessed items, advice for each error code, and the totals."""
        if self._done < self._expected:
            left = self._expected - self._done
            print_error(self._notes, say(f"已停止，{left} 项没有识别", f"stopped, {left} were not processed"))
        if self._as_json:
            return
        for code, remedy in self._remedies.items():
            self._notes.print(f"{code}: {remedy}", markup=False, style="yellow")
        spent_s = time.monotonic() - self._since_s
        text = summary(self._done, self.failed, self._units, self._remaining, spent_s)
        self._notes.print(text, style="dim")

    def _print_rows(self, outcomes: Sequence[Outcome]) -> None:
        if outcomes and not self._has_head:
            self._out.print(self._rows.head(), markup=False, style="bold")
            self._has_head = True
        for outcome in outcomes:
            for line in self._rows.of(outcome):
                self._out.print(line, markup=False, style="red" if outcome.error else None)

    def _draw(self, outcome: Outcome) -> bool:
        """Draw the result of a picture if requested; print the error and return False if that fails."""
        if not self._targets or not isinstance(outcome.item, Source):
            return True
        if not isinstance(outcome.result, FaceResult):
            return True
        try:
            draw(outcome.item, outcome.result, self._targets.of(outcome.item))
        except InputError as error:
            print_error(self._notes, str(error))
            return False
        return True


def print_error(notes: Console, text: str) -> None:
    """Print an error message."""
    notes.print(f"[red]{say('错误', 'error')}[/red]", end=" ")
    notes.print(text, markup=False)


def span(outcomes: Sequence[Outcome]) -> str:
    """Describe the pictures of a batch: `a.jpg … p.jpg（16 项）`."""
    first, last = (" + ".join(names(outcome.item)) for outcome in (outcomes[0], outcomes[-1]))
    if len(outcomes) == 1:
        return first
    count = say(f"（{len(outcomes)} 项）", f" ({len(outcomes)})")
    return f"{first} … {last}{count}"


def summary(done: int, failed: int, units: int, remaining: int | None, spent_s: float) -> str:
    """Return the totals: `共 12 项，1 项失败，用时 1.2 秒，计量 11，剩余 99,989`."""
    parts = [say(f"共 {done} 项", f"{done} in all")]
    if failed:
        parts.append(say(f"{failed} 项失败", f"{failed} failed"))
    parts.append(say(f"用时 {spent_s:.1f} 秒", f"{spent_s:.1f} s"))
    parts.append(say(f"计量 {units}", f"{units} unit{'' if units == 1 else 's'}"))
    if remaining is not None:
        parts.append(say(f"剩余 {remaining:,}", f"{remaining:,} left"))
    return say("，", ", ").join(parts)
