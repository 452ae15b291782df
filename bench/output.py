"""Output of benchmarks: tables in the terminal, JSON, plots."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console
from rich.progress import track
from rich.table import Table

Cell = str | float | int
T = TypeVar("T")


def progress(things: Sequence[T], what: str) -> Iterable[T]:
    """Iterate over `things` with a progress bar on standard error."""
    return track(things, description=what, console=Console(stderr=True), transient=True)


def shown(value: Cell) -> str:
    if isinstance(value, float):
        if math.isnan(value):
            return "-"
        return f"{value:.1f}" if abs(value) >= 100 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value


@dataclass
class Section:
    """Named values, tables and histograms of one part of a benchmark."""

    name: str
    values: dict[str, Cell] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    tables: dict[str, tuple[Sequence[str], list[Sequence[Cell]]]] = field(default_factory=dict)
    histograms: dict[str, tuple[str, Any, Any]] = field(default_factory=dict)

    def value(self, name: str, value: Any, note: str = "") -> None:
        self.values[name] = value.item() if hasattr(value, "item") else value
        if note:
            self.notes[name] = note

    def table(self, name: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        plain = [[cell.item() if hasattr(cell, "item") else cell for cell in row] for row in rows]
        self.tables[name] = (columns, plain)

    def histogram(self, name: str, x_label: str, counted: tuple[Any, Any]) -> None:
        """Add a histogram (heights, edges) as numpy returns it. A section's histograms share one plot."""
        self.histograms[name] = (x_label, *counted)


@dataclass
class Report:
    """The sections of one run; each is printed as soon as it is complete."""

    title: str
    sections: list[Section] = field(default_factory=list)
    quiet: bool = False

    def add(self, section: Section) -> None:
        self.sections.append(section)
        if not self.quiet:
            self._print(section)

    def _print(self, section: Section) -> None:
        console = Console()
        table = Table(title=f"{self.title}: {section.name}", title_justify="left")
        table.add_column("measure")
        table.add_column("value", justify="right")
        table.add_column("")
        for name, value in section.values.items():
            table.add_row(name, shown(value), section.notes.get(name, ""))
        if section.values:
            console.print(table)
        for title, (columns, rows) in section.tables.items():
            table = Table(title=title, title_justify="left")
            for column in columns:
                table.add_column(column, justify="right")
            for row in rows:
                table.add_row(*map(shown, row))
            console.print(table)

    def to_json(self) -> str:
        return json.dumps(
            {
                section.name: section.values
                | {name: [columns, *rows] for name, (columns, rows) in section.tables.items()}
                for section in self.sections
            },
            ensure_ascii=False,
            indent=1,
        )

    def plot(self, folder: Path) -> None:
        """Write one PNG for each section with plots. Needs matplotlib (bin/bench installs it)."""
        try:
            from matplotlib.figure import Figure
        except ImportError:
            sys.exit("--plot needs matplotlib: bin/bench --plot installs it on demand")
        folder.mkdir(parents=True, exist_ok=True)
        for section in self.sections:
            drawn = [
                (title, columns, rows)
                for title, (columns, rows) in section.tables.items()
                if len(rows) > 1 and len(columns) > 1
            ]
            if not (drawn or section.histograms):
                continue
            count = len(drawn) + bool(section.histograms)
            figure = Figure(figsize=(6 * count, 4), layout="constrained")
            axes = figure.subplots(1, count, squeeze=False)[0]
            for axis, (title, columns, rows) in zip(axes, drawn, strict=False):
                _draw_table(axis, f"{section.name}: {title}", columns, rows)
            for name, (x_label, heights, edges) in section.histograms.items():
                axes[-1].stairs(heights, edges, label=name, fill=True, alpha=0.6)
                axes[-1].set(title=section.name, xlabel=x_label, ylabel="density", yscale="log")
                axes[-1].legend()
            figure.savefig(folder / f"{section.name}.png", dpi=120)


def _draw_table(axis: Any, title: str, columns: Sequence[str], rows: list[Sequence[Cell]]) -> None:
    """Draw the second column over the first: a line for numbers, bars for text."""
    axis.set_title(title)
    axis.set_xlabel(columns[0])
    axis.set_ylabel(columns[1])
    if all(isinstance(row[0], float) for row in rows):
        axis.plot([row[0] for row in rows], [row[1] for row in rows], marker="o")
        axis.plot([0, 1], [0, 1], linestyle=":", color="grey")
    else:
        axis.bar([str(row[0]) for row in rows], [row[1] for row in rows])
        axis.tick_params(axis="x", rotation=45)
