"""What is said of a limit once the command has ended, and when nothing is."""

from __future__ import annotations

import pytest

from nono.policy.capability import Limits
from nono.supervisor.limits.cgroup import Figures
from nono.supervisor.limits.report import limit_report, reached

MIB = 1 << 20
MEMORY, PROCESSES = Limits(memory_bytes=64 * MIB), Limits(max_processes=8)
OUT_OF_MEMORY = Figures(times_full=1, killed=2, peak_bytes=64 * MIB)
FORKS_FAILED = Figures(not_started=3, peak_processes=8)


def test_a_command_that_was_killed_for_memory_is_told_so_in_rows() -> None:
    told = limit_report(MEMORY, OUT_OF_MEMORY, 137)
    assert told is not None
    assert told.lines() == [
        "  [nono] memory limit exceeded: the kernel ended the command",
        "    limit        64 MiB",
        "    peak memory  64 MiB",
        "    OOM kills    2",
        "    swap         none for the command",
        "    scope        the command and all it started, together",
        "    hint         --memory 128M would give it twice as much",
    ]
    assert reached(MEMORY, OUT_OF_MEMORY) == [{"type": "limit_reached", "limit": "memory", "times": 2}]


def test_a_command_that_failed_after_forks_had_is_told_so_in_rows() -> None:
    told = limit_report(PROCESSES, FORKS_FAILED, 1)
    assert told is not None
    assert told.lines() == [
        "  [nono] process limit hit: processes or threads could not be started",
        "    limit        8 processes and threads",
        "    peak         8",
        "    not started  3",
        "    scope        the command and all it started, together",
        "    hint         this may be why it failed; --max-processes 16 allows twice as many",
    ]
    assert reached(PROCESSES, FORKS_FAILED) == [{"type": "limit_reached", "limit": "processes", "times": 3}]


def test_what_the_kernel_does_not_count_is_left_out() -> None:
    told = limit_report(MEMORY, OUT_OF_MEMORY._replace(peak_bytes=None, limits_swap=False), 137)
    assert told is not None
    assert [name for name, _ in told.rows] == ["limit", "OOM kills", "swap", "scope", "hint"]
    assert "not limited by this kernel" in dict(told.rows)["swap"]


@pytest.mark.parametrize(
    ("limits", "figures", "exit_code"),
    [
        pytest.param(MEMORY, OUT_OF_MEMORY, 0, id="it succeeded"),
        pytest.param(MEMORY, OUT_OF_MEMORY, 1, id="something it started was killed, and it went on"),
        pytest.param(MEMORY, Figures(), 137, id="somebody else killed it"),
        pytest.param(MEMORY, Figures(killed=1), 137, id="the machine was out of memory"),
        pytest.param(PROCESSES, OUT_OF_MEMORY, 137, id="no limit of memory"),
        pytest.param(PROCESSES, FORKS_FAILED, 0, id="it did without"),
        pytest.param(PROCESSES, FORKS_FAILED, 143, id="a signal ended it"),
        pytest.param(PROCESSES, Figures(), 1, id="it failed by itself"),
        pytest.param(MEMORY, FORKS_FAILED, 1, id="a limit of somebody else's"),
    ],
)
def test_no_story_is_told_of_a_limit_that_does_not_explain_the_end(
    limits: Limits, figures: Figures, exit_code: int
) -> None:
    assert limit_report(limits, figures, exit_code) is None


def test_memory_comes_first_where_both_were_reached() -> None:
    both = Limits(64 * MIB, 8)
    told = limit_report(both, OUT_OF_MEMORY._replace(not_started=1), 137)
    assert told is not None
    assert told.title.startswith("memory")
    assert len(reached(both, OUT_OF_MEMORY._replace(not_started=1))) == 2


@pytest.mark.parametrize(
    ("size", "doubled"), [(MIB, "2M"), (512 * MIB, "1G"), (1536 * MIB, "3G"), (1_000_000_000, "1908M")]
)
def test_the_hint_is_a_size_that_the_option_takes(size: int, doubled: str) -> None:
    told = limit_report(Limits(size), OUT_OF_MEMORY, 137)
    assert told is not None
    assert f"--memory {doubled} " in dict(told.rows)["hint"]
