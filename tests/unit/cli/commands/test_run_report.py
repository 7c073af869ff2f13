"""nono.cli.commands.run.report: what is said at the end of a run."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from nono.cli.commands.run import report


def test_how_long_a_run_took_does_not_count_how_long_the_person_thinks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock, told = [100.0], list[float]()

    def ask(*_: object) -> None:
        clock[0] += 60

    monkeypatch.setattr(report, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(report, "_review", ask)
    monkeypatch.setattr(report, "_sum_up", lambda *given: told.append(given[-1]))
    call: Any = SimpleNamespace(console=SimpleNamespace(silent=False), is_shell=True)
    outcome: Any = SimpleNamespace(changed=())
    prepared: Any = SimpleNamespace(resolved=None)
    report.report_on(call, prepared, outcome, None, None, began=97.0)
    assert (told, clock) == ([3.0], [160.0])
