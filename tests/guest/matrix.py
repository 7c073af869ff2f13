"""What guests have reported, as one table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from guest.debian import Release
from guest.selection import Task

HEADINGS = ("kernel", "user", "processors", "Landlock ABI", "rung", "passed", "failed", "skipped", "seconds")


@dataclass(slots=True)
class Report:
    """One guest's; seconds are those from its start to its end as seen from outside."""

    release: Release
    user: str
    processors: int
    seconds: float
    kernel: str = "did not start"
    abi: int = -1
    rung: str = "-"
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)
    ended: bool = False

    @property
    def complaints(self) -> list[str]:
        """Everything that makes this guest a failure; empty when it is none."""
        found = list(self.failures)
        expected = (self.release.abi, self.release.rung)
        if (self.abi, self.rung) != expected:
            found.append(f"expected Landlock ABI {expected[0]} and {expected[1]}")
        if not self.ended:
            found.append("the tests did not come to their end")
        if not self.counts["passed"]:
            found.append("no test has passed")
        return found


def read(release: Release, task: Task, seconds: float, lines: Iterable[str]) -> Report:
    """Read the reports of guest/init.py and guest/reporting.py; skip what is not JSON, such as half lines."""
    report = Report(release, task.user, task.processors, seconds)
    for line in lines:
        try:
            told = json.loads(line)
        except ValueError:
            continue
        match told:
            case {"kernel": str(kernel), "abi": int(abi), "rung": str(rung)}:
                report.kernel, report.abi, report.rung = kernel, abi, rung
            case {"test": str(test), "outcome": str(outcome), "why": str(why)}:
                report.counts[outcome] += 1
                if outcome == "failed":
                    report.failures.append(f"{test}\n{why}")
                elif outcome == "skipped":
                    report.skips[why] += 1
            case {"ended": int(code)}:
                report.ended = code in (0, 1)  # pytest: all have run, and passed or not
    return report


def table(reports: Sequence[Report]) -> str:
    """Return one aligned line for each guest."""
    rows = [
        (
            report.kernel,
            report.user,
            str(report.processors),
            str(report.abi),
            report.rung,
            *(str(report.counts[outcome]) for outcome in ("passed", "failed", "skipped")),
            f"{report.seconds:.0f}",
        )
        for report in reports
    ]
    widths = [max(map(len, column)) for column in zip(HEADINGS, *rows, strict=True)]
    lines = (HEADINGS, *rows)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
