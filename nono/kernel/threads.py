"""Read the numbers, descriptors and memory of another thread, such as one that waits in a trapped call.

A tid refers to a known thread only while that thread waits for our answer. After each look-up by tid, callers
must check ``notify.is_valid`` and discard the result if it returns False.
"""

from __future__ import annotations

import ctypes
import errno
import os

from nono.kernel.libc import RepeatedCall, os_error, syscall, syscall_number
from nono.kernel.uapi import process as uapi

PIDFDS_MAX = 64  # threads whose pidfd is kept open


def thread_group_id(tid: int) -> int:
    """Return the pid of the process a thread belongs to.

    Raises OSError ESRCH if the thread is gone or not visible.
    """
    return _status_number(tid, b"Tgid:")


def tracer_thread(tid: int) -> int:
    """Return the thread that traces a thread (ptrace(2)); 0: none. OSError ESRCH as for thread_group_id."""
    return _status_number(tid, b"TracerPid:")


def _status_number(tid: int, name: bytes) -> int:
    try:  # not contextlib's suppress, which takes 3 ms to import
        with open(f"/proc/{tid}/status", "rb") as status:
            for line in status:
                # The program's name, which it chooses itself, is on a separate line with newlines escaped.
                if line.startswith(name):
                    return int(line[len(name) :])
    except FileNotFoundError:
        pass
    raise ProcessLookupError(errno.ESRCH, f"/proc/{tid}/status: no {name[:-1].decode()}")


def numbers_inside(tid: int) -> tuple[int, int]:
    """Return the process and thread number that a thread has in its own PID namespace (proc_pid_status(5)).

    Raises OSError ESRCH if the thread is gone or not visible.
    """
    numbers: dict[bytes, int] = {}
    with open(f"/proc/{tid}/status", "rb") as status:
        for line in status:
            if line.startswith((b"NStgid:", b"NSpid:")):  # one number for each level, innermost last
                name, *levels = line.split()
                numbers[name] = int(levels[-1])
    if len(numbers) != 2:
        raise ProcessLookupError(errno.ESRCH, f"/proc/{tid}/status: no NStgid and NSpid")
    return numbers[b"NStgid:"], numbers[b"NSpid:"]


def signal_thread(pid: int, tid: int, number: int) -> None:
    """Send a signal to one thread of a process (tgkill(2)). Raises OSError ESRCH if the thread is gone."""
    syscall(syscall_number("tgkill"), pid, tid, number, tried=f"tgkill({pid}, {tid}, {number})")


def duplicate_descriptor(tid: int, fd: int) -> int:
    """Copy a descriptor of another thread, close-on-exec; the caller closes the copy.

    Raises OSError EBADF if the thread has no such descriptor (before Linux 6.9 also if only an unshared
    descriptor table has it), ESRCH if the thread is gone, EPERM if ptrace access is denied, e.g. because it
    made itself undumpable.
    """
    pidfd = _open_thread(tid)
    try:
        return syscall(syscall_number("pidfd_getfd"), pidfd, fd, 0, tried=f"pidfd_getfd({tid}, {fd})")
    finally:
        os.close(pidfd)


class DescriptorCopier:
    """Copies descriptors as duplicate_descriptor does, keeping the pidfds of recent threads open.

    Opening and closing a pidfd takes longer than everything else. A kept pidfd cannot refer to another
    thread: a number is reused only once no thread has it, and from then on the old pidfd answers ESRCH. So it
    refers to the thread that has the number now, or to none.
    """

    def __init__(self) -> None:
        self._pidfds: dict[int, int] = {}  # by tid, the oldest first
        self._getfd = RepeatedCall(syscall_number("pidfd_getfd"), 0, 0, 0)

    def copy(self, tid: int, fd: int) -> int:
        """Return a copy, close-on-exec, which the caller closes.

        Raises OSError as duplicate_descriptor does.
        """
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
        """Close all kept pidfds; the next copy opens a new one."""
        while self._pidfds:
            os.close(self._pidfds.popitem()[1])


class MemoryReader:
    """Reads small pieces of other processes' memory into its own buffer (process_vm_readv(2)).

    Buffer and vectors are built once: building them costs more than the call, which the supervisor makes for
    every connection.
    """

    def __init__(self, length_max: int) -> None:
        self._length_max = length_max
        self._buffer = ctypes.create_string_buffer(length_max)
        self._vectors = ctypes.create_string_buffer(2 * uapi.IOVEC.size)
        local = ctypes.addressof(self._vectors)
        remote = local + uapi.IOVEC.size
        self._call = RepeatedCall(syscall_number("process_vm_readv"), 0, local, 1, remote, 1, 0)
        self._tid = self._call.arguments[0]

    def read(self, tid: int, address: int, length: int) -> bytes:
        """Read up to `length` bytes at `address`; fewer if the rest is not mapped.

        Raises ValueError if `length` exceeds length_max, OSError EFAULT if not one byte is mapped, EPERM and
        ESRCH like duplicate_descriptor().
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
        if error.errno != errno.EINVAL:  # EINVAL: before 6.9, which knows pidfds of processes only
            raise
    return os.pidfd_open(thread_group_id(tid))
