"""Judges a row of the table against its budget."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from benchmarks.samples import Absent, Measured, Samples


class Figure(Enum):
    """Which figure of a row a budget bounds; always made of medians."""

    RATIO = "ratio"  # ours / theirs
    VALUE = "value"  # ours, in the unit of the row
    ADDED = "added"  # ours - theirs, in the unit of the row


class Bound(Enum):
    AT_MOST = "≤"
    AT_LEAST = "≥"


@dataclass(frozen=True, slots=True)
class Budget:
    """noise: the fraction of the limit by which two runs of the same program differ on a shared machine."""

    bound: Bound
    limit: float
    figure: Figure = Figure.RATIO
    noise: float = 0.0

    def allows(self, figure: float) -> bool:
        match self.bound:
            case Bound.AT_MOST:
                return figure <= self.limit * (1 + self.noise)
            case Bound.AT_LEAST:
                return figure >= self.limit * (1 - self.noise)


def at_most(limit: float, figure: Figure = Figure.RATIO, noise: float = 0.0) -> Budget:
    return Budget(Bound.AT_MOST, limit, figure, noise)


def at_least(limit: float, figure: Figure = Figure.RATIO, noise: float = 0.0) -> Budget:
    return Budget(Bound.AT_LEAST, limit, figure, noise)


@dataclass(frozen=True, slots=True)
class Row:
    """One path of nono beside one other way. theirs is None where nothing stands beside it."""

    path: str
    unit: str
    ours: Measured
    other: str = ""
    theirs: Measured | None = None
    budget: Budget | None = None
    note: str = ""


class Verdict(Enum):
    KEPT = "kept"
    MISSED = "MISSED"
    NOT_MEASURED = "not measured"
    NO_BUDGET = "no budget"


def judge(row: Row) -> Verdict:
    """Judge whether the medians keep the budget; a missing value keeps none."""
    if isinstance(row.ours, Absent):
        return Verdict.NOT_MEASURED
    if row.budget is None:
        return Verdict.NO_BUDGET
    figure = figure_of(row, row.budget.figure)
    if figure is None:
        return Verdict.NOT_MEASURED
    return Verdict.KEPT if row.budget.allows(figure) else Verdict.MISSED


def figure_of(row: Row, figure: Figure) -> float | None:
    """Return the figure, or None if one of the values it is made of is missing."""
    if isinstance(row.ours, Absent):
        return None
    if figure is Figure.VALUE:
        return row.ours.median
    if not isinstance(row.theirs, Samples):
        return None
    if figure is Figure.ADDED:
        return row.ours.median - row.theirs.median
    return row.ours.median / row.theirs.median if row.theirs.median else None
