"""Reads what identifies a process for good: its number together with its start (proc_pid_stat(5))."""

from __future__ import annotations

import os
from collections.abc import Mapping

from nono.named_tuple import NamedTuple

# Fields are numbered from 1; behind the name comes the third.
_TIMES = slice(14 - 3, 18 - 3)  # utime, stime, and those of the children that were waited for
_STARTED = 22 - 3
_RESIDENT = 24 - 3


class ProcessStat(NamedTuple):
    """One process at one moment."""

    state: str  # a letter of proc_pid_stat(5)
    parent: int
    started_ticks: int  # clock ticks since boot: no later process with this number has the same
    cpu_ticks: int = 0  # used so far, with its children that ended and were waited for
    resident_pages: int = 0

    @property
    def is_alive(self) -> bool:
        return self.state not in "ZXx"

    @property
    def is_stopped(self) -> bool:
        return self.state in "Tt"


def process_stat(pid: int) -> ProcessStat | None:
    """Return the stat of a process; None if there is none, or it cannot be read."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as file:
            content = file.read()
        # Its name, which may hold anything, stands in parentheses.
        fields = content.rpartition(b")")[2].split()
        return ProcessStat(
            fields[0].decode("ascii"),
            int(fields[1]),
            int(fields[_STARTED]),
            sum(map(int, fields[_TIMES])),
            int(fields[_RESIDENT]),
        )
    except (OSError, ValueError, IndexError):
        return None


def all_processes() -> dict[int, ProcessStat]:
    """Return every process that can be seen, by its number."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdecimal() and (seen := process_stat(int(name))) is not None:
            found[int(name)] = seen
    return found


def below(pid: int, processes: Mapping[int, ProcessStat]) -> list[int]:
    """List every process below `pid`, dead ones too."""
    children: dict[int, list[int]] = {}
    for number, each in processes.items():
        children.setdefault(each.parent, []).append(number)
    found, waiting = [], [pid]
    while waiting:
        # Taken out: numbers that were given anew while /proc was read can form a circle.
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


def boot_id() -> str:
    """Return the kernel's name for this boot; "" where it has none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb", buffering=0) as file:
            return file.read().decode("ascii").strip()
    except OSError:
        return ""


def pid_namespace() -> int:
    """Return the inode of the namespace in which this process counts pids; 0 if /proc does not say."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def killed_for_memory() -> int:
    """Return how many processes the kernel has ended for want of memory since boot; -1 if it does not say."""
    try:
        with open("/proc/vmstat", "rb", buffering=0) as file:
            content = file.read(65536)
    except OSError:
        return -1
    _, found, rest = content.partition(b"\noom_kill ")
    return int(rest.split(b"\n", 1)[0]) if found else -1
