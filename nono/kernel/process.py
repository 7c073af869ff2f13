"""Process attributes of our own (prctl(2)) and look-ups in a trapped thread: its descriptors and memory.

A tid names a thread only while that thread waits for our answer. Whoever looks one up here asks
``notify.is_valid`` afterwards and drops the result when it says no.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource

from nono.kernel.libc import RepeatedCall, os_error, prctl, syscall, syscall_number
from nono.kernel.uapi import process as uapi

FIRST_PRIVATE_DESCRIPTOR = 3  # those below it are stdin, stdout and stderr
PIDFDS_MAX = 64  # threads whose descriptor is kept at hand


def no_new_privs() -> None:
    """Makes execve(2) of set-uid programs gain nothing, for ever; Landlock and seccomp ask for it."""
    prctl(uapi.PR_SET_NO_NEW_PRIVS, 1, tried="prctl(PR_SET_NO_NEW_PRIVS)")


def set_dumpable(dumpable: bool) -> None:
    """False: others of our uid cannot ptrace us nor read our memory. Kept by fork, reset by execve."""
    prctl(uapi.PR_SET_DUMPABLE, int(dumpable), tried="prctl(PR_SET_DUMPABLE)")


def forbid_core_dumps() -> None:
    """Sets RLIMIT_CORE to 0, hard and soft, for us and what we fork."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def become_subreaper() -> None:
    """Orphans below us become our children, to be reaped by us, instead of init's. Not inherited."""
    prctl(uapi.PR_SET_CHILD_SUBREAPER, 1, tried="prctl(PR_SET_CHILD_SUBREAPER)")


def set_parent_death_signal(signal_number: int) -> None:
    """We get this signal when the THREAD that forked us ends.

    A parent that died before the call sends none, so compare getppid(2) with the expected pid afterwards.
    Cleared by execve of a set-uid program.
    """
    prctl(uapi.PR_SET_PDEATHSIG, signal_number, tried="prctl(PR_SET_PDEATHSIG)")


def thread_count() -> int:
    """Threads of this process, those that C libraries started included."""
    return len(os.listdir("/proc/self/task"))


def child_pids() -> list[int]:
    """The children of this process, dead ones included; empty where the kernel does not list them.

    /proc/pid/task/tid/children (proc(5)), which needs CONFIG_PROC_CHILDREN.
    """
    found: list[int] = []
    for tid in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{tid}/children", encoding="ascii") as children:
                found += map(int, children.read().split())
        except FileNotFoundError:  # that thread has ended
            continue
    return found


def close_range_from(first: int, keep: set[int] | tuple[int, ...] = ()) -> None:
    """Closes every descriptor from first on except those in keep. OSError ENOSYS: before Linux 5.9."""
    number = syscall_number("close_range")
    for kept in sorted(fd for fd in set(keep) if fd >= first):
        if first < kept:
            syscall(number, first, kept - 1, 0, tried=f"close_range({first}, {kept - 1})")
        first = kept + 1
    syscall(number, first, 0xFFFFFFFF, 0, tried=f"close_range({first}, ~0)")


def thread_group_id(tid: int) -> int:
    """The pid of the process that a thread belongs to. OSError ESRCH: the thread is gone or not visible."""
    try:  # not contextlib's suppress: this module is on the hot path, and contextlib takes 3 ms to import
        with open(f"/proc/{tid}/status", "rb") as status:
            for line in status:
                # The name of the program, chosen by it, stands on a line of its own with newlines escaped.
                if line.startswith(b"Tgid:"):
                    return int(line[5:])
    except FileNotFoundError:
        pass
    raise ProcessLookupError(errno.ESRCH, f"/proc/{tid}/status: no Tgid")


def signal_thread(pid: int, tid: int, number: int) -> None:
    """Send a signal to one thread of a process (tgkill(2)). OSError ESRCH: the thread is gone."""
    syscall(syscall_number("tgkill"), pid, tid, number, tried=f"tgkill({pid}, {tid}, {number})")


def duplicate_descriptor(tid: int, fd: int) -> int:
    """A copy of a descriptor of another thread, close-on-exec; the caller closes it.

    OSError EBADF: the thread has no such descriptor (or, before Linux 6.9, only a descriptor table of its
    own has it). ESRCH: it is gone. EPERM: ptrace access is denied, e.g. it made itself undumpable.
    """
    pidfd = _open_thread(tid)
    try:
        return syscall(syscall_number("pidfd_getfd"), pidfd, fd, 0, tried=f"pidfd_getfd({tid}, {fd})")
    finally:
        os.close(pidfd)


class DescriptorCopier:
    """Copies descriptors as duplicate_descriptor does, with the pidfds of the last threads kept open.

    Opening and closing a pidfd takes longer than all else. One that was kept cannot mean another thread: a
    number is given away again only when nobody has it any more, and the old pidfd answers ESRCH from then
    on. So it means whoever has the number now, or nobody.
    """

    def __init__(self) -> None:
        self._pidfds: dict[int, int] = {}  # by tid, the oldest first
        self._getfd = RepeatedCall("pidfd_getfd", 0, 0, 0)

    def copy(self, tid: int, fd: int) -> int:
        """A copy, close-on-exec, that the caller closes; OSError as from duplicate_descriptor."""
        pidfd = self._pidfds.get(tid)
        if pidfd is not None:
            of_thread, descriptor, _ = self._getfd.arguments
            of_thread.value, descriptor.value = pidfd, fd
            copy = self._getfd()
            if copy >= 0:
                return copy
            if copy != -errno.ESRCH:
                raise os_error(-copy, f"pidfd_getfd({tid}, {fd})")
            os.close(self._pidfds.pop(tid))
        try:
            pidfd = os.pidfd_open(tid, uapi.PIDFD_THREAD)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Before 6.9. A process's pidfd is not kept: its threads come and go, and so do their numbers.
            return duplicate_descriptor(tid, fd)
        self._keep(tid, pidfd)
        return syscall(syscall_number("pidfd_getfd"), pidfd, fd, 0, tried=f"pidfd_getfd({tid}, {fd})")

    def _keep(self, tid: int, pidfd: int) -> None:
        if len(self._pidfds) >= PIDFDS_MAX:
            os.close(self._pidfds.pop(next(iter(self._pidfds))))
        self._pidfds[tid] = pidfd

    def close(self) -> None:
        """Forget all threads; the next copy looks its thread up anew."""
        while self._pidfds:
            os.close(self._pidfds.popitem()[1])


class MemoryReader:
    """Reads small pieces of other processes' memory into a buffer of its own (process_vm_readv(2)).

    The buffer and the vectors are made once: building them costs more than the call, and the supervisor
    makes the call for every connection.
    """

    def __init__(self, length_max: int) -> None:
        self._length_max = length_max
        self._buffer = ctypes.create_string_buffer(length_max)
        self._vectors = ctypes.create_string_buffer(2 * uapi.IOVEC.size)
        local = ctypes.addressof(self._vectors)
        remote = local + uapi.IOVEC.size
        self._call = RepeatedCall("process_vm_readv", 0, local, 1, remote, 1, 0)
        self._tid = self._call.arguments[0]

    def read(self, tid: int, address: int, length: int) -> bytes:
        """Up to length bytes at address; fewer when the rest is not mapped there.

        ValueError: length is more than length_max. OSError EFAULT: not one byte is mapped. EPERM, ESRCH as
        in duplicate_descriptor.
        """
        if length > self._length_max:
            raise ValueError(f"{length} bytes of another process's memory")
        if length <= 0:
            return b""
        uapi.IOVEC.pack_into(self._vectors, 0, ctypes.addressof(self._buffer), length)
        uapi.IOVEC.pack_into(self._vectors, uapi.IOVEC.size, address, length)
        self._tid.value = tid
        count = self._call()
        if count < 0:
            raise os_error(-count, "process_vm_readv")
        return self._buffer.raw[:count]


def _open_thread(tid: int) -> int:
    try:
        return os.pidfd_open(tid, uapi.PIDFD_THREAD)
    except OSError as error:
        if error.errno != errno.EINVAL:  # EINVAL: before 6.9, which has descriptors of processes only
            raise
    return os.pidfd_open(thread_group_id(tid))
