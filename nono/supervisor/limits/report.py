"""Report which limit a command hit, judging by its exit code and the kernel's counters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from nono.audit import event
from nono.named_tuple import NamedTuple
from nono.policy.limits import shown_size

if TYPE_CHECKING:
    from nono.audit.event import Event
    from nono.policy.capability import Limits
    from nono.supervisor.limits.cgroup import Figures

KILLED = 137  # by SIGKILL
FAILED = range(1, 129)  # exit codes that the command chose itself, not a signal
SCOPE = "the command and all it started, together"


class LimitReport(NamedTuple):
    """The explanation shown when a resource limit ended the run; it replaces other guesses."""

    code: Literal["memory_limit_exceeded", "process_limit_hit"]
    title: str
    rows: tuple[tuple[str, str], ...]

    def lines(self) -> list[str]:
        width = max(len(name) for name, _ in self.rows) + 2
        return [f"  [nono] {self.title}", *(f"    {name:<{width}}{text}" for name, text in self.rows)]


def reached(limits: Limits, figures: Figures) -> list[Event]:
    """Return the audit events of limits that were hit, whatever the consequence."""
    events = []
    if _is_out_of_memory(limits, figures):
        events.append(event.limit_reached("memory", figures.killed))
    if limits.max_processes is not None and figures.not_started:
        events.append(event.limit_reached("processes", figures.not_started))
    return events


def limit_report(limits: Limits, figures: Figures, exit_code: int) -> LimitReport | None:
    """Explain the exit by a limit, or return None.

    A failed fork alone may not have mattered to the command.
    """
    if exit_code == KILLED and _is_out_of_memory(limits, figures):
        return _memory(limits, figures)
    if exit_code in FAILED and limits.max_processes is not None and figures.not_started:
        return _processes(limits.max_processes, figures)
    return None


def _is_out_of_memory(limits: Limits, figures: Figures) -> bool:
    """Check for a kill at the cgroup's own limit.

    A kill alone may mean that the whole machine ran out of memory.
    """
    return limits.memory_bytes is not None and figures.killed > 0 and figures.times_full > 0


def _memory(limits: Limits, figures: Figures) -> LimitReport:
    limit = limits.memory_bytes or 0
    rows = [("limit", shown_size(limit))]
    if figures.peak_bytes is not None:
        rows.append(("peak memory", shown_size(figures.peak_bytes)))
    rows.append(("OOM kills", str(figures.killed)))
    rows.append(("swap", "none for the command" if figures.limits_swap else "not limited by this kernel"))
    rows.append(("scope", SCOPE))
    rows.append(("hint", f"--memory {_spelled(2 * limit)} would give it twice as much"))
    return LimitReport(
        "memory_limit_exceeded", "memory limit exceeded: the kernel ended the command", tuple(rows)
    )


def _processes(limit: int, figures: Figures) -> LimitReport:
    rows = [("limit", f"{limit} processes and threads")]
    if figures.peak_processes is not None:
        rows.append(("peak", str(figures.peak_processes)))
    rows.append(("not started", str(figures.not_started)))
    rows.append(("scope", SCOPE))
    rows.append(("hint", f"this may be why it failed; --max-processes {2 * limit} allows twice as many"))
    title = "process limit hit: processes or threads could not be started"
    return LimitReport("process_limit_hit", title, tuple(rows))


def _spelled(size: int) -> str:
    """Format a size as --memory takes it, in whole MiB or GiB."""
    return f"{size >> 30}G" if size % (1 << 30) == 0 else f"{-(-size >> 20)}M"
