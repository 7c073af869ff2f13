"""Finds out why a command ended and who ended it, from its exit and the signals that its supervisor saw."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.sessions.record import End

# The words of End.cause.
EXIT = "exit"  # by itself
SIGNAL = "signal"
OUT_OF_MEMORY = "out_of_memory"  # of the whole machine
LIMIT = "limit"  # of --memory, or of the shell (setrlimit(2))
STOP = "stop"  # `nono stop`
TERMINAL_CLOSED = "terminal_closed"
NOT_STARTED = "not_started"
FAILED = "failed"  # the supervisor gave up
CRASHED = "supervisor_killed"
RESTARTED = "restarted"

ITSELF, KERNEL, TERMINAL = "the command itself", "the kernel", "the terminal"
FOREIGN = -1
# Sent by the kernel at a soft limit, which says what it limits.
_LIMITED = {"SIGXCPU": "CPU time", "SIGXFSZ": "the size of a file"}
# Raised by what a process does, unless somebody sends them by hand.
_FAULTS = frozenset({"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"})


class Sender(NamedTuple):
    """Who sent the supervisor a signal, as the kernel tells it."""

    pid: int  # 0: the terminal; FOREIGN: it has no number here
    uid: int = 0
    name: str = ""  # of its own choice
    leads_session: bool = False  # of the supervisor: the shell of the terminal

    def __str__(self) -> str:
        if self.pid == FOREIGN:
            return "a process of another PID namespace"
        return f"{self.name or 'a process'} (pid {self.pid}, uid {self.uid})" if self.pid else TERMINAL


class Seen(NamedTuple):
    """What the supervisor has seen of the end of its command."""

    exit_code: int  # 128+N if signal N ended it
    signal: int | None  # the one that ended it
    received: Mapping[int, Sender]  # the last sender of each signal that the supervisor passed on
    stopped_by: str | None = None  # who asked for the end, with `nono stop`
    is_out_of_limit: bool = False  # the kernel ended it at its memory limit
    is_short_of_processes: bool = False  # the kernel started no more of them, and the command failed
    is_out_of_memory: bool = False  # the kernel has ended processes for memory since the start


def end_of(seen: Seen) -> End:
    """Return the reason of the end, and its author."""
    name = None if seen.signal is None else _name(seen.signal)
    if seen.stopped_by is not None:
        return End(STOP, name, seen.stopped_by)
    if seen.is_out_of_limit:
        return End(LIMIT, name, KERNEL, "memory")
    hangup = seen.received.get(signal.SIGHUP)
    if hangup is not None and (not hangup.pid or hangup.leads_session):
        return End(TERMINAL_CLOSED, name, str(hangup))
    number = seen.signal or _received(seen)
    if number is None:
        return End(EXIT, None, ITSELF, "processes" if seen.is_short_of_processes else None)
    if number in seen.received:
        return End(SIGNAL, _name(number), str(seen.received[number]))
    if number == signal.SIGKILL and seen.is_out_of_memory:
        return End(OUT_OF_MEMORY, name, KERNEL)
    if name in _LIMITED:
        return End(LIMIT, name, KERNEL, _LIMITED[name])
    if number == signal.SIGPIPE:
        return End(SIGNAL, name, KERNEL, "nobody reads its output any more")
    return End(SIGNAL, name, ITSELF if name in _FAULTS else None)


def _received(seen: Seen) -> int | None:
    """Return the signal that the command took, said so by its exit code, and ended by itself."""
    number = seen.exit_code - 128
    return number if number in seen.received else None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
