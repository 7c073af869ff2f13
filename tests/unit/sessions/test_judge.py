"""nono.sessions.judge: what became of a session, by its supervisor."""

from __future__ import annotations

import pytest

from nono.sessions.judge import Here, judged
from nono.sessions.processes import ProcessStat
from nono.sessions.record import End
from unit.sessions.test_record import RECORD

HERE = Here("host", "boot", 7)
RUNS = ProcessStat("S", 1, 99)


@pytest.mark.parametrize(
    ("found", "status"),
    [
        pytest.param(RUNS, "running", id="it runs"),
        pytest.param(RUNS._replace(state="T"), "paused", id="it is stopped"),
        pytest.param(RUNS._replace(state="t"), "paused", id="it is traced"),
        pytest.param(RUNS._replace(state="Z"), "exited", id="it waits to be reaped"),
        pytest.param(RUNS._replace(started_ticks=100), "exited", id="its number was reused"),
        pytest.param(None, "exited", id="it is gone"),
    ],
)
def test_the_state_of_a_session_is_that_of_its_supervisor(found: ProcessStat | None, status: str) -> None:
    assert judged(RECORD, found, HERE).status == status


def test_a_session_without_its_supervisor_has_crashed() -> None:
    now = judged(RECORD, None, HERE)
    assert (now.exit_code, now.attachment) == (-1, "detached")
    assert now.end == End("supervisor_killed", detail="its supervisor was killed")


@pytest.mark.parametrize(("before", "now", "is_told"), [(3, 4, True), (3, 3, False), (-1, 4, False)])
def test_a_supervisor_that_is_gone_may_have_been_short_of_memory(
    before: int, now: int, is_told: bool
) -> None:
    lost = judged(RECORD._replace(oom_kills=before), None, HERE._replace(oom_kills=now))
    assert lost.end is not None
    assert ("out of memory" in str(lost.end.detail)) == is_told


def test_a_session_of_another_boot_ended_with_it() -> None:
    now = judged(RECORD, RUNS, HERE._replace(boot="next"))
    assert now.end is not None
    assert (now.status, now.end.cause) == ("exited", "restarted")


def test_a_session_of_another_container_is_left_as_it_is() -> None:
    assert judged(RECORD, None, HERE._replace(pid_namespace=8)) == RECORD


def test_a_session_of_another_machine_is_left_as_it_is() -> None:
    assert judged(RECORD, None, HERE._replace(host="other", boot="other")) == RECORD


def test_an_end_that_is_recorded_stays() -> None:
    ended = RECORD._replace(status="exited", exit_code=3, end=End("exit"))
    assert judged(ended, None, HERE) == ended
