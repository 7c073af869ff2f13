"""Writes the page of results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.budget import Budget, Figure, Row, figure_of, judge
from benchmarks.samples import Absent, Measured

TIMES = "\N{MULTIPLICATION SIGN}"
HEADS = ("path", "nono", "beside", "nono / beside", "budget", "verdict")


def page(title: str, facts: Mapping[str, str], rows: Sequence[Row], how: Iterable[str]) -> str:
    """Return the page as Markdown. facts: what a reader must know to repeat it; how: one sentence each."""
    parts = [f"# {title}", "\n".join(f"- {name}: {value}" for name, value in facts.items())]
    parts.extend([table(rows), *_notes(rows), *how])
    return "\n\n".join(parts) + "\n"


def table(rows: Iterable[Row]) -> str:
    """Return the rows as a table, with cells of `median [least to most]`."""
    lines = [_line(HEADS), _line(["---"] * len(HEADS))]
    lines.extend(_line(_cells(row)) for row in rows)
    return "\n".join(lines)


def _cells(row: Row) -> Sequence[str]:
    ratio = figure_of(row, Figure.RATIO)
    return (
        row.path,
        value_text(row.ours, row.unit),
        "" if row.theirs is None else f"{row.other}: {value_text(row.theirs, row.unit)}",
        "" if ratio is None else f"{number(ratio)} {TIMES}",
        "" if row.budget is None else budget_text(row.budget, row.unit),
        judge(row).value,
    )


def value_text(measured: Measured, unit: str) -> str:
    if isinstance(measured, Absent):
        return measured.reason
    spread = f"[{number(measured.least)} to {number(measured.most)}]"
    return f"{number(measured.median)} {unit} {spread}"


def budget_text(budget: Budget, unit: str) -> str:
    noise = f" (noise {budget.noise:.0%})" if budget.noise else ""
    unit = TIMES if budget.figure is Figure.RATIO else unit
    added = " added" if budget.figure is Figure.ADDED else ""
    return f"{budget.bound.value} {budget.limit:g} {unit}{added}{noise}"


def number(value: float) -> str:
    """Format a number with three significant digits, and without an exponent."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def _notes(rows: Iterable[Row]) -> list[str]:
    notes = [f"- {row.path}: {row.note}" for row in rows if row.note]
    return ["\n".join(notes)] if notes else []


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
