"""Find out why a command ended and who ended it, from its exit and the signals its supervisor received."""

from __future__ import annotations

from collections.abc import Mapping

from nono.kernel.signals import signal
from nono.named_tuple import NamedTuple
from nono.sessions.record import End

# Values of End.cause.
EXIT = "exit"  # by itself
SIGNAL = "signal"
OUT_OF_MEMORY = "out_of_memory"  # the whole machine ran out of memory
LIMIT = "limit"  # of --memory, or of the shell (setrlimit(2))
STOP = "stop"  # `nono stop`
TERMINAL_CLOSED = "terminal_closed"
NOT_STARTED = "not_started"
FAILED = "failed"  # the supervisor gave up
CRASHED = "supervisor_killed"
RESTARTED = "restarted"

ITSELF, KERNEL, TERMINAL = "the command itself", "the kernel", "the terminal"
FOREIGN = -1
# Sent by the kernel at a soft limit, with the name of what is limited.
_LIMITED = {"SIGXCPU": "CPU time", "SIGXFSZ": "the size of a file"}
# Usually raised by an error of the process itself, unless somebody sends them with kill(1).
_FAULTS = frozenset({"SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS", "SIGTRAP"})


class Sender(NamedTuple):
    """The sender of a signal to the supervisor, as the kernel reports it."""

    pid: int  # 0: the terminal; FOREIGN: a process without a number here
    uid: int = 0
    name: str = ""  # chosen by the process itself
    leads_session: bool = False  # True for the supervisor's session leader, the terminal's shell

    def __str__(self) -> str:
        if self.pid == FOREIGN:
            return "a process of another PID namespace"
        return f"{self.name or 'a process'} (pid {self.pid}, uid {self.uid})" if self.pid else TERMINAL


class Seen(NamedTuple):
    """What the supervisor observed about the end of its command."""

    exit_code: int  # 128+N if signal N ended it
    signal: int | None  # the one that ended it
    received: Mapping[int, Sender]  # the last sender of each forwarded signal
    stopped_by: str | None = None  # who requested the end with `nono stop`
    lost: str | None = None  # what the command could not go on without
    is_out_of_limit: bool = False  # the kernel ended it at its memory limit
    is_short_of_processes: bool = False  # the kernel refused to start more processes, and the command failed
    is_out_of_memory: bool = False  # the kernel has killed processes for memory since the start


def end_of(seen: Seen) -> End:
    """Return the cause of the end, and who caused it."""
    name = None if seen.signal is None else _name(seen.signal)
    if seen.lost is not None:
        return End(FAILED, name, "nono", seen.lost)
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
    """Return the signal after which the command exited by itself with the matching exit code, or None."""
    number = seen.exit_code - 128
    return number if number in seen.received else None


def _name(number: int) -> str:
    # Imported here: few commands end by a signal.
    from signal import Signals

    try:
        return Signals(number).name
    except ValueError:
        return f"SIG{number}"
