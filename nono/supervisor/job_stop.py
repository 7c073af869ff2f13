"""Stop every process of the command while a person answers a question on the terminal they share.

A process that can write to the terminal can overwrite a question, and one that can read it can take the
answer. No relay separates the command from the terminal here, so the command is stopped (SIGSTOP). It may
have arranged to be continued, for example by a timer whose signal is SIGCONT; so the scheduler's counters
show whether anything ran in the meantime, and if so the answer does not count.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import anyio

from nono.kernel.threads import signal_thread
from nono.named_tuple import NamedTuple
from nono.sessions.processes import ProcessStat, all_processes, below, process_stat, seccomp_filters

PROCESSES_MAX = 512  # beyond that we give up: each takes a descriptor
PATIENCE_S = 2.0  # for a command that forks as fast as it is stopped
ROUND_S = 0.005
SETTLED = b"TtDZX"  # stopped, traced, in uninterruptible sleep (also in a trapped call), ended


class _Held(NamedTuple):
    pid: int
    pidfd: int
    was_stopped: bool  # already stopped by another process, which will continue it


Switches = dict[tuple[int, int], tuple[int, int]]  # (pid, tid) -> (state, context switches)


@asynccontextmanager
async def job_stopped(call_waits: bool) -> AsyncIterator[Callable[[], bool] | None]:
    """Stop the command and all its descendants until the block is left.

    Yields a function to call at the end: True if none of them ran since. Yields None if they cannot be
    stopped, or must not be: up to Linux 5.18 the signal would end the very call that waits for the answer.
    call_waits: a trapped call waits for the answer.
    """
    held: list[_Held] = []
    try:
        if not call_waits or _waits_killable():
            before = await anyio.to_thread.run_sync(_hold, held)
            yield None if before is None else lambda: _switches(held) == before
        else:
            yield None
    finally:
        # The youngest first: a shell that sees its job stopped takes the terminal back.
        for each in reversed(held):
            with suppress(ProcessLookupError):
                if not each.was_stopped:
                    signal.pidfd_send_signal(each.pidfd, signal.SIGCONT)
            os.close(each.pidfd)


def _waits_killable() -> bool:
    """Check that the kernel has SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, which the listener then uses."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)))) >= (5, 19)


def _hold(held: list[_Held]) -> Switches | None:
    """Stop every descendant and add it to `held`.

    Return their settled state, or None if they do not settle.
    """
    ours = _filters(os.getpid())
    known: set[int] = set()
    patience_ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience_ends:
        found = {pid: process for pid, process in _descendants().items() if pid not in known}
        for pid, process in found.items():
            if len(held) >= PROCESSES_MAX:
                return None
            # nono's own processes, such as a credential helper, have no filters beyond ours.
            if _filters(pid) <= ours or _stop(pid, process, held):
                known.add(pid)
        if found:
            continue  # they may have forked before they stopped
        switches = _switches(held)
        running = [thread for thread, (state, _) in switches.items() if state not in SETTLED]
        for pid, tid in running:
            # The process-wide signal may be pending for a thread that waits for our answer, which handles it
            # only afterwards. Any other thread that handles it stops the whole process.
            with suppress(ProcessLookupError):
                signal_thread(pid, tid, signal.SIGSTOP)
        if not running:
            time.sleep(ROUND_S)  # state D in SETTLED may be a short disk wait
            if not _descendants().keys() - known:
                again = _switches(held)
                if again == switches:
                    return switches
        time.sleep(ROUND_S)
    return None


def _stop(pid: int, process: ProcessStat, held: list[_Held]) -> bool:
    """Send SIGSTOP.

    Returns False if the process is gone or its parent changed, so that it must be re-examined.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    # The pid may have been reused since it was read: only this descriptor is reliable.
    now = process_stat(pid)
    if now is None or now.parent != process.parent:
        os.close(pidfd)
        return False
    held.append(_Held(pid, pidfd, now.is_stopped))
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
    return True


def _descendants() -> dict[int, ProcessStat]:
    """Return every process below this one, parents before their children."""
    processes = all_processes()
    return {pid: processes[pid] for pid in below(os.getpid(), processes)}


def _filters(pid: int) -> int:
    try:
        return seccomp_filters(pid)
    except OSError:
        return 0  # gone


def _switches(held: list[_Held]) -> Switches:
    """Read the state and context switches of every remaining thread of the held processes."""
    return {
        (each.pid, tid): switches
        for each in held
        for tid in _threads(each.pid)
        if (switches := _switches_of(each.pid, tid)) is not None
    }


def _threads(pid: int) -> Iterator[int]:
    with suppress(OSError):
        yield from map(int, os.listdir(f"/proc/{pid}/task"))


def _switches_of(pid: int, tid: int) -> tuple[int, int] | None:
    state, count = 0, 0
    with suppress(OSError), open(f"/proc/{pid}/task/{tid}/status", "rb") as status:
        for line in status:
            if line.startswith(b"State:"):
                state = line.split()[1][0]
            elif line.startswith((b"voluntary_ctxt_switches:", b"nonvoluntary_ctxt_switches:")):
                count += int(line.rpartition(b":")[2])
        return state, count
    return None
