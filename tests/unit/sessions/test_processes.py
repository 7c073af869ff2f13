"""nono.sessions.processes: what lies below a process, and what it has used."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from nono.sessions.processes import ProcessStat, below, process_stat
from support.running.leaderless import leaderless


def of(parent: int) -> ProcessStat:
    return ProcessStat("S", parent, 1)


def test_what_lies_below_is_found_at_any_depth() -> None:
    assert sorted(below(10, {10: of(1), 11: of(10), 12: of(11), 20: of(1), 21: of(20)})) == [11, 12]


def test_numbers_given_anew_while_proc_was_read_end_the_search() -> None:
    assert sorted(below(10, {10: of(12), 11: of(10), 12: of(11)})) == [10, 11, 12]


def test_a_process_tells_the_time_and_memory_it_has_used() -> None:
    before = process_stat(os.getpid())
    spent = os.times()
    assert before is not None
    ticks = os.sysconf("SC_CLK_TCK") * (
        spent.user + spent.system + spent.children_user + spent.children_system
    )
    assert abs(before.cpu_ticks - ticks) < os.sysconf("SC_CLK_TCK")
    assert before.resident_pages * os.sysconf("SC_PAGE_SIZE") > 1 << 20


def test_a_process_lives_until_its_last_thread_has_ended(tmp_path: Path) -> None:
    with subprocess.Popen(leaderless(str(tmp_path / "lock")), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        found = process_stat(process.pid)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        afterwards = process_stat(process.pid)
    assert found is not None
    assert afterwards is not None
    assert (found.state, found.is_alive) == ("Z", True)
    assert (afterwards.state, afterwards.is_alive) == ("Z", False)
