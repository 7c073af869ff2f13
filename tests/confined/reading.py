"""What became of the tests of one run, from pytest's JUnit XML."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

HEADINGS = ("host", "user", "passed", "skipped", "failed", "seconds")


@dataclass(slots=True)
class Run:
    """One run on one host. complaints: why it is a failure, beside failed tests."""

    host: str
    user: str
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    skips: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        return not self.failures and not self.complaints

    @property
    def row(self) -> tuple[str, ...]:
        counts = (str(self.counts[outcome]) for outcome in ("passed", "skipped", "failed"))
        return (self.host, self.user, *counts, f"{self.seconds:.0f}")


def read(run: Run, file: Path) -> None:
    """Add what the file says. It may be missing: then pytest did not get to its end."""
    if not file.exists():
        run.complaints.append("the tests did not come to their end")
        return
    for case in ElementTree.parse(file).iter("testcase"):
        outcome = "passed"
        for child in case:
            if child.tag == "skipped":
                outcome = "skipped"
                run.skips[child.get("message") or ""] += 1
            elif child.tag in ("failure", "error"):
                outcome = "failed"
        run.counts[outcome] += 1
        if outcome == "failed":
            run.failures.append(f"{case.get('classname')}::{case.get('name')}")
    if not run.counts["passed"]:
        run.complaints.append("no test has passed")


def table(runs: Sequence[Run]) -> str:
    """Return one aligned line for each run."""
    rows = [HEADINGS, *(run.row for run in runs)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
