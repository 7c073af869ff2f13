"""A plugin of pytest: tells what became of each test on the serial port of the guest."""

from __future__ import annotations

import json

import pytest

from guest.init import REPORTS

WHY_MAX = 4000  # characters of a failure


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.when != "call" and report.outcome == "passed":
        return
    why = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else report.longreprtext
    told = {
        "test": report.nodeid,
        "outcome": report.outcome,
        "took_s": round(report.duration, 2),
        "why": why[-WHY_MAX:],
    }
    with open(REPORTS, "w", encoding="utf-8") as reports:
        reports.write(json.dumps(told) + "\n")
