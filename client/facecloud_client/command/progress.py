"""The progress bar of the command."""

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from facecloud_client.i18n import say


def progress(notes: Console, useful: bool) -> Progress:
    """Return a progress bar, shown only if it is `useful` and the results do not go to the terminal."""
    columns = (TextColumn(say("识别", "calling")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not useful or not notes.is_terminal or sys.stdout.isatty()
    # By default rich redirects stdout to the bar's console, but stdout must carry only the results.
    return Progress(
        *columns, console=notes, transient=True, disable=hidden, redirect_stdout=False, redirect_stderr=False
    )
