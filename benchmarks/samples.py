"""What was measured: values with their median and spread, or the reason why there are none."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Samples:
    """One value per round, at least one, in the unit of the row they belong to."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.values:
            raise ValueError("samples without a value")

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)

    def map(self, change: Callable[[float], float]) -> Samples:
        return Samples(tuple(change(value) for value in self.values))


@dataclass(frozen=True, slots=True)
class Absent:
    """Nothing was measured; reason is for the reader of the table."""

    reason: str


Measured = Samples | Absent


class CannotRunError(Exception):
    """A command that the benchmark starts does not work here; the text is the reason in the table."""


def percentile(values: Sequence[float], share: float) -> float:
    """Return the least value that a `share` (0 to 1) of the values do not exceed. ValueError if empty."""
    if not values:
        raise ValueError("no values")
    ordered = sorted(values)
    rank = -int(-share * len(ordered) // 1)  # rounded up
    return ordered[max(rank, 1) - 1]
