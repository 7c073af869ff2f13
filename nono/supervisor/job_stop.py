"""Holds every process of the command still while a person reads a question on the terminal they share.

Whoever can write to the terminal can write over a question, and whoever reads it can take the answer. There
is no relay between the command and the terminal, so the command is stopped (SIGSTOP). It could have arranged
to be continued, by a timer whose signal is SIGCONT for one; so what ran meanwhile is found out by the
scheduler's own counts, and an answer that was given over it does not count.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import anyio

from nono.kernel.process import signal_thread
from nono.named_tuple import NamedTuple

PROCESSES_MAX = 512  # more are not held: each takes a descriptor
PATIENCE_S = 2.0  # for a command that forks as fast as it is stopped
ROUND_S = 0.005
SETTLED = b"TtDZX"  # stopped, traced, in a wait that no signal ends (of a call of ours too), ended
STOPPED = b"Tt"


class _Process(NamedTuple):
    pid: int
    parent: int
    state: int  # a letter of proc(5)


class _Held(NamedTuple):
    pid: int
    pidfd: int
    was_stopped: bool  # by somebody else, who will continue it


Switches = dict[tuple[int, int], tuple[int, int]]  # (pid, tid) -> (state, context switches)


@asynccontextmanager
async def job_stopped(call_waits: bool) -> AsyncIterator[Callable[[], bool] | None]:
    """Stop the command and all it has started until the block is left.

    Gives a question to be asked at the end: whether none of it has run since. None: it cannot be stopped, or
    must not: up to Linux 5.18 the signal would end the very call that waits for the answer, if one does.
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
    """Whether seccomp(2) has SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, which the listener then has."""
    major, minor = os.uname().release.split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)))) >= (5, 19)


def _hold(held: list[_Held]) -> Switches | None:
    """Stop all, into held; the state they stand still in. None: they do not."""
    ours = _filters(os.getpid())
    known: set[int] = set()
    patience_ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < patience_ends:
        found = [process for process in _descendants() if process.pid not in known]
        for process in found:
            if len(held) >= PROCESSES_MAX:
                return None
            # What nono itself runs, such as a credential's helper, has no filter on top of ours.
            if _filters(process.pid) <= ours or _stop(process, held):
                known.add(process.pid)
        if found:
            continue  # they may have forked before they stopped
        switches = _switches(held)
        running = [thread for thread, (state, _) in switches.items() if state not in SETTLED]
        for pid, tid in running:
            # The signal to the process may have gone to a thread that waits for our answer, which takes it
            # when it has one. Any other thread that takes it stops them all.
            with suppress(ProcessLookupError):
                signal_thread(pid, tid, signal.SIGSTOP)
        if not running:
            time.sleep(ROUND_S)  # in SETTLED may be a wait of the disk, which ends
            if not [process for process in _descendants() if process.pid not in known]:
                again = _switches(held)
                if again == switches:
                    return switches
        time.sleep(ROUND_S)
    return None


def _stop(process: _Process, held: list[_Held]) -> bool:
    """Whether it has been told to; not one that has another parent by now, and has to be looked at anew."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    # The number may have been given to somebody else since it was read: only this descriptor is sure.
    now = _read(process.pid)
    if now is None or now.parent != process.parent:
        os.close(pidfd)
        return False
    held.append(_Held(process.pid, pidfd, now.state in STOPPED))
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGSTOP)
    return True


def _descendants() -> list[_Process]:
    """Every process below this one, parents before their children."""
    children: dict[int, list[_Process]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and (process := _read(int(name))) is not None:
            children.setdefault(process.parent, []).append(process)
    found: list[_Process] = []
    waiting = [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += [process.pid for process in below]
    return found


def _read(pid: int) -> _Process | None:
    with suppress(OSError, ValueError, IndexError), open(f"/proc/{pid}/stat", "rb") as stat:
        # Its name, which may hold anything, stands in parentheses.
        state, parent = stat.read().rpartition(b")")[2].split()[:2]
        return _Process(pid, int(parent), state[0])
    return None


def _filters(pid: int) -> int:
    """How many seccomp filters a process has (Linux 5.10); 0 when it is gone."""
    with suppress(OSError), open(f"/proc/{pid}/status", "rb") as status:
        for line in status:
            if line.startswith(b"Seccomp_filters:"):
                return int(line[16:])
    return 0


def _switches(held: list[_Held]) -> Switches:
    """Of every thread of the held processes that are still there."""
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
