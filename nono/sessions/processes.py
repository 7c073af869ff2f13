"""Read what identifies a process permanently: its number with its start time (proc_pid_stat(5))."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nono.named_tuple import NamedTuple

# Fields are numbered from 1; the third follows the name.
_TIMES = slice(14 - 3, 18 - 3)  # utime, stime, and those of waited-for children
_THREADS = 20 - 3
_STARTED = 22 - 3
_RESIDENT = 24 - 3


class ProcessStat(NamedTuple):
    """One process at one time."""

    state: str  # a letter of proc_pid_stat(5), of the first thread
    parent: int
    started_ticks: int  # clock ticks since boot: no later process with the same number has the same value
    cpu_ticks: int = 0  # used so far, including waited-for children
    resident_pages: int = 0
    threads: int = 1  # that have not been reaped; the first is only once all others have ended

    @property
    def is_alive(self) -> bool:
        return self.state not in "ZXx" or self.threads > 1

    @property
    def is_stopped(self) -> bool:
        return self.state in "Tt"


def process_stat(pid: int) -> ProcessStat | None:
    """Return the stat of a process; None if it does not exist or cannot be read."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            content = file.read()
        # The process name, in parentheses, may contain anything.
        fields = content.rpartition(b")")[2].split()
        return ProcessStat(
            fields[0].decode("ascii"),
            int(fields[1]),
            int(fields[_STARTED]),
            sum(map(int, fields[_TIMES])),
            int(fields[_RESIDENT]),
            int(fields[_THREADS]),
        )
    except (OSError, ValueError, IndexError):
        return None


def all_processes() -> dict[int, ProcessStat]:
    """Return every visible process by its number."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and (seen := process_stat(int(name))) is not None:
            found[int(name)] = seen
    return found


def below(pid: int, processes: Mapping[int, ProcessStat]) -> list[int]:
    """List every descendant of `pid`, including zombies."""
    children: dict[int, list[int]] = {}
    for number, each in processes.items():
        children.setdefault(each.parent, []).append(number)
    found, waiting = [], [pid]
    while waiting:
        # Removed from the map, because numbers reused while /proc was read can form a cycle.
        found_here = children.pop(waiting.pop(), [])
        found += found_here
        waiting += found_here
    return found


def process_name(pid: int) -> str:
    """Return the name of a process, which it may have chosen itself; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/comm", "rb", buffering=0) as file:
            return file.read().decode("utf-8", "replace").rstrip("\n")
    except OSError:
        return ""


def seccomp_filters(pid: int) -> int:
    """Return the number of seccomp filters of a process; 0 before Linux 5.10, which does not report it.

    Raises OSError if the process is gone.
    """
    with open(f"/proc/{pid}/status", "rb", buffering=0) as status:
        _, found, rest = status.read().partition(b"\nSeccomp_filters:")
    return int(rest.split(b"\n", 1)[0]) if found else 0


def boot_id() -> str:
    """Return the kernel's id of this boot; "" if it has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
            return file.read().decode("ascii").strip()
    except OSError:
        return ""


def pid_namespace() -> int:
    """Return the inode of the PID namespace that pids are counted in; 0 if /proc does not show it."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def killed_for_memory() -> int:
    """Return how many processes the kernel has killed for memory since boot; -1 if unknown."""
    try:
        with open("/proc/vmstat", "rb", buffering=0) as file:
            content = file.read(65536)
    except OSError:
        return -1
    _, found, rest = content.partition(b"\noom_kill ")
    return int(rest.split(b"\n", 1)[0]) if found else -1
