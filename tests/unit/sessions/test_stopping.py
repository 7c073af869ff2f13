"""nono.sessions.stopping: which processes are killed, and what is left of the request."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nono.errors import NonoError
from nono.sessions import stopping
from nono.sessions.processes import ProcessStat, process_stat
from nono.sessions.record import Record
from nono.sessions.registry import STOP, Registry, new_record


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


def record_of(process: subprocess.Popen[bytes]) -> Record:
    """Return the record of a session that a process supervises."""
    seen = process_stat(process.pid)
    assert seen is not None
    made = new_record(
        "0123456789abcdef", name="calm-fern", child_pid=1, command=["true"], profile=None, network="allowed",
        has_audit=True,
    )  # fmt: skip
    return made._replace(supervisor_pid=process.pid, started_epoch=seen.started_ticks)


@pytest.mark.parametrize("is_stranger", [False, True])
def test_only_the_supervisor_of_a_session_is_asked_to_end(
    sleeping: subprocess.Popen[bytes], is_stranger: bool, tmp_path: Path
) -> None:
    record = record_of(sleeping)
    if is_stranger:  # that has its number by now
        record = record._replace(started_epoch=record.started_epoch - 1)
    with Registry({"HOME": str(tmp_path)}, create=True) as registry:
        assert stopping.stop(registry, record, force=False, timeout_s=30) is False
        assert os.listdir(registry.fd) == []
    if is_stranger:
        assert sleeping.poll() is None
    else:
        assert sleeping.wait() == -signal.SIGTERM


@pytest.mark.parametrize("changes", [{"host": "elsewhere"}, {"pid_namespace": 1}], ids=["host", "container"])
def test_a_session_elsewhere_is_not_stopped_by_its_numbers(
    sleeping: subprocess.Popen[bytes], changes: dict[str, Any], tmp_path: Path
) -> None:
    record = record_of(sleeping)._replace(**changes)
    with (
        Registry({"HOME": str(tmp_path)}, create=True) as registry,
        pytest.raises(NonoError, match="on another machine, or in another container"),
    ):
        stopping.stop(registry, record, force=True, timeout_s=30)
    assert sleeping.poll() is None


@pytest.mark.parametrize("force", [True, False])
def test_a_request_that_comes_too_late_for_its_supervisor_is_not_left_behind(
    sleeping: subprocess.Popen[bytes], force: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(sleeping)
    with Registry({"HOME": str(tmp_path)}, create=True) as registry:
        written, put = [], registry.put

        def put_late(name: str, content: bytes) -> None:
            sleeping.kill()
            sleeping.wait()
            put(name, content)
            written.append(name)

        monkeypatch.setattr(registry, "put", put_late)
        assert stopping.stop(registry, record, force=force, timeout_s=5) is force
        assert written == [record.session_id + STOP]
        assert os.listdir(registry.fd) == []
