"""Set attributes of this process: prctl(2), its limits, its descriptors and what others may read of it."""

from __future__ import annotations

import ctypes
import os
import resource

from nono.kernel.libc import prctl, syscall, syscall_number
from nono.kernel.uapi import process as uapi

TYPE_CHECKING = False  # a type checker's own constant, without importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_PRIVATE_DESCRIPTOR = 3  # those below it are stdin, stdout and stderr
_ARG_START = 48 - 3  # proc_pid_stat(5) numbers fields from 1; the third follows the name
OPEN_FILES = 8192  # far more than the connections of a proxy need
_raised: list[int] = []  # the soft RLIMIT_NOFILE this process was started with, once raised


def no_new_privs() -> None:
    """Set PR_SET_NO_NEW_PRIVS permanently: execve(2) of set-uid programs gains nothing.

    Landlock and seccomp require it.
    """
    prctl(uapi.PR_SET_NO_NEW_PRIVS, 1, tried="prctl(PR_SET_NO_NEW_PRIVS)")


def set_dumpable(dumpable: bool) -> None:
    """Set PR_SET_DUMPABLE. If False, other processes of our uid cannot ptrace us or read our memory.

    Kept by fork, reset by execve.
    """
    prctl(uapi.PR_SET_DUMPABLE, int(dumpable), tried="prctl(PR_SET_DUMPABLE)")


def forbid_core_dumps() -> None:
    """Set RLIMIT_CORE to 0, hard and soft, for this process and its children."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def keep_memory_private() -> None:
    """Keep the secrets of this process from other processes of our uid and from core files.

    Both are needed: a program that takes core files from the kernel (core(5)) gets them in spite of a limit
    of 0, and execve makes the programs we start dumpable.
    """
    set_dumpable(False)
    forbid_core_dumps()


def raise_open_files() -> None:
    """Raise the soft RLIMIT_NOFILE of this process, because each connection of a proxy takes two descriptors.

    Processes forked earlier keep their limit; restore_open_files() restores it in helpers.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        _raised.append(soft)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def restore_open_files(pid: int) -> None:
    """Restore in a new child the soft limit that raise_open_files() raised: select(2) fails above 1024."""
    if _raised:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        try:  # not contextlib's suppress: every start needs this module, and contextlib takes 3 ms to import
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (_raised[0], hard))
        except ProcessLookupError:
            return


def forget_arguments() -> None:
    """Overwrite the arguments and the environment that this process was started with (proc_pid_stat(5)).

    /proc/PID/cmdline then shows nothing to anybody. Python has copies of its own (forget_environment);
    getenv(3) finds nothing.
    """
    with open("/proc/self/stat", "rb") as stat:
        fields = stat.read().rpartition(b")")[2].split()  # the program's name may contain any character
    for first in (_ARG_START, _ARG_START + 2):
        start, end = int(fields[first]), int(fields[first + 1])
        if start < end:
            ctypes.memset(start, 0, end - start)


def forget_environment(copy: Mapping[str, str]) -> None:
    """Overwrite the values of the environment in Python's memory: os.environ's and those of a copy.

    For a forked process that uses neither; the parent keeps its values. This relies on CPython's layout: the
    text of a str is at its end, before a NUL. A single character is a shared object and is left alone, as is
    a str that is not ASCII.
    """
    encoded: Mapping[bytes, bytes] = vars(os.environ)["_data"]
    values: tuple[bytes | str, ...] = (*encoded.values(), *copy.values())
    for value in values:
        size = len(value)
        if size > 1 and (isinstance(value, bytes) or value.isascii()):
            ctypes.memset(id(value) + value.__sizeof__() - size - 1, 0, size)


def become_subreaper() -> None:
    """Adopt orphaned descendants in place of init (PR_SET_CHILD_SUBREAPER), and reap them. Not inherited."""
    prctl(uapi.PR_SET_CHILD_SUBREAPER, 1, tried="prctl(PR_SET_CHILD_SUBREAPER)")


def set_parent_death_signal(signal_number: int) -> None:
    """Request this signal when the THREAD that forked us ends.

    A parent that died before the call sends none, so compare getppid(2) with the expected pid afterwards.
    Cleared by execve of a set-uid program.
    """
    prctl(uapi.PR_SET_PDEATHSIG, signal_number, tried="prctl(PR_SET_PDEATHSIG)")


def thread_count() -> int:
    """Count the threads of this process, including those that C libraries started."""
    return len(os.listdir("/proc/self/task"))


def child_pids() -> list[int]:
    """List the children of this process, dead ones included; empty if the kernel does not list them.

    Read from /proc/pid/task/tid/children (proc(5)), which needs CONFIG_PROC_CHILDREN.
    """
    found: list[int] = []
    for tid in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{tid}/children", encoding="ascii") as children:
                found += map(int, children.read().split())
        except FileNotFoundError:  # that thread has ended
            continue
    return found


def close_range_from(first: int, keep: set[int] | tuple[int, ...]) -> None:
    """Close every descriptor from `first` on except those in `keep`.

    Raises OSError ENOSYS before Linux 5.9.
    """
    number = syscall_number("close_range")
    for kept in sorted(fd for fd in set(keep) if fd >= first):
        if first < kept:
            syscall(number, first, kept - 1, 0, tried=f"close_range({first}, {kept - 1})")
        first = kept + 1
    syscall(number, first, 0xFFFFFFFF, 0, tried=f"close_range({first}, ~0)")


def open_missing_standard_streams() -> None:
    """Open /dev/null for each closed descriptor of 0, 1 and 2.

    Otherwise the next socket would get that number, and the command would inherit it.
    """
    while True:
        descriptor = os.open(os.devnull, os.O_RDWR)
        if descriptor >= FIRST_PRIVATE_DESCRIPTOR:
            os.close(descriptor)
            return
        os.set_inheritable(descriptor, True)
