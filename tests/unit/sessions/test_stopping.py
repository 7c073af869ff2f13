"""nono.sessions.stopping: which processes are killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from nono.sessions import stopping
from nono.sessions.processes import ProcessStat, process_stat


@pytest.fixture
def sleeping() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def end(pid: int, monkeypatch: pytest.MonkeyPatch, seen: ProcessStat) -> None:
    """End the tree of a supervisor below which a process was seen once."""
    rounds = iter([{pid: seen}])
    monkeypatch.setattr(stopping, "_descendants", lambda _: next(rounds, {}))
    monkeypatch.setattr(stopping, "KILLING_S", 0.1)
    with subprocess.Popen(["sleep", "60"]) as supervisor:
        pidfd = os.pidfd_open(supervisor.pid)
        stopping._end_tree(supervisor.pid, pidfd)
        os.close(pidfd)
        assert supervisor.wait() == -signal.SIGKILL


def test_a_process_below_a_supervisor_that_does_not_answer_is_killed(
    sleeping: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = process_stat(sleeping.pid)
    assert seen is not None
    end(sleeping.pid, monkeypatch, seen)
    assert sleeping.wait() == -signal.SIGKILL


def test_a_stranger_that_has_its_number_by_then_is_not(
    sleeping: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = process_stat(sleeping.pid)
    assert now is not None
    end(sleeping.pid, monkeypatch, now._replace(started_ticks=now.started_ticks - 1))
    assert sleeping.poll() is None
