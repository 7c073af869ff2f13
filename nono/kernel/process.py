"""Set attributes of this process (prctl(2)), and read descriptors and memory of a trapped thread.

A tid refers to a known thread only while that thread waits for our answer. After each look-up by tid, callers
must check ``notify.is_valid`` and discard the result if it returns False.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource

from nono.kernel.libc import RepeatedCall, os_error, prctl, syscall, syscall_number
from nono.kernel.uapi import process as uapi

TYPE_CHECKING = False  # a type checker's own constant, without importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_PRIVATE_DESCRIPTOR = 3  # those below it are stdin, stdout and stderr
_ARG_START = 48 - 3  # proc_pid_stat(5) numbers fields from 1; the third follows the name
PIDFDS_MAX = 64  # threads whose pidfd is kept open
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
        try:  # not contextlib's suppress, as below
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
    """Close every descriptor from `first` on except those in `keep`. OSError ENOSYS: before Linux 5.9."""
    number = syscall_number("close_range")
    for kept in sorted(fd for fd in set(keep) if fd >= first):
        if first < kept:
            syscall(number, first, kept - 1, 0, tried=f"close_range({first}, {kept - 1})")
        first = kept + 1
    syscall(number, first, 0xFFFFFFFF, 0, tried=f"close_range({first}, ~0)")


def thread_group_id(tid: int) -> int:
    """Return the pid of the process a thread belongs to. OSError ESRCH: the thread is gone or not visible."""
    return _status_number(tid, b"Tgid:")


def tracer_thread(tid: int) -> int:
    """Return the thread that traces a thread (ptrace(2)); 0: none. OSError ESRCH as for thread_group_id."""
    return _status_number(tid, b"TracerPid:")


def _status_number(tid: int, name: bytes) -> int:
    try:  # not contextlib's suppress: this module is on the hot path, and contextlib takes 3 ms to import
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

    OSError ESRCH: the thread is gone or not visible.
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
    """Send a signal to one thread of a process (tgkill(2)). OSError ESRCH: the thread is gone."""
    syscall(syscall_number("tgkill"), pid, tid, number, tried=f"tgkill({pid}, {tid}, {number})")


def duplicate_descriptor(tid: int, fd: int) -> int:
    """Copy a descriptor of another thread, close-on-exec; the caller closes the copy.

    OSError EBADF: the thread has no such descriptor (before Linux 6.9 also if only an unshared descriptor
    table has it). ESRCH: the thread is gone. EPERM: ptrace access is denied, e.g. because it made itself
    undumpable.
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

        ValueError: `length` exceeds length_max. OSError EFAULT: not one byte is mapped. EPERM, ESRCH as for
        duplicate_descriptor.
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
