"""A pytest plugin that reports how many of the everyday commands that work outside also work inside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

PROPERTY = "workday"  # under this name a test records (way, case, how it ended)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    ended_how: dict[tuple[str, str], str] = {}  # a case that runs twice in one way counts once
    for kind in ("passed", "failed", "skipped"):
        for report in terminalreporter.stats.get(kind, ()):
            if isinstance(report, pytest.TestReport):
                ended_how |= {(str(way), str(case)): str(how) for way, case, how in _recorded(report)}
    ended = Counter((way, how) for (way, _), how in ended_how.items())
    for way in sorted({way for way, _ in ended}):
        inside, lost, meant = (ended[way, how] for how in ("inside", "outside only", "by design"))
        terminalreporter.write_line(
            f"a day's work, {way}: {inside} of {inside + lost + meant} that work outside work inside; "
            f"{meant} fail by design; {ended[way, 'not outside']} fail outside too"
        )


def _recorded(report: pytest.TestReport) -> Iterator[Any]:
    return (value for name, value in report.user_properties if name == PROPERTY)
