"""Read signals from signalfd(2), tell whether the kernel sent them, and handle one in C (signal(3))."""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from nono.kernel.libc import syscall, syscall_number
from nono.named_tuple import NamedTuple

SIGSET_BYTES = 8  # the kernel's sigset_t, not the C library's
# struct signalfd_siginfo (include/uapi/linux/signalfd.h, 128 bytes) begins with signo, errno, code, pid, uid.
SIGINFO = struct.Struct("=IiiII108x")
SI_KERNEL = 0x80  # sent by the kernel: for the job-control signals, by the terminal


class ReceivedSignal(NamedTuple):
    """A signal, and whether the kernel sent it: for job-control signals that means the terminal."""

    number: int
    from_kernel: bool
    pid: int = 0  # of the sender; 0: the kernel, or a process of another PID namespace
    uid: int = 0


def open_signalfd(numbers: Iterable[int]) -> int:
    """Block these signals for the calling thread and return a non-blocking descriptor that reads them.

    Threads started later inherit the mask, so that no other thread can take one. The caller closes it.
    """
    numbers = tuple(numbers)
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    mask = ctypes.c_uint64(sum(1 << (number - 1) for number in numbers))
    return syscall(
        syscall_number("signalfd4"),
        -1,
        ctypes.addressof(mask),
        SIGSET_BYTES,
        os.O_NONBLOCK | os.O_CLOEXEC,
        tried="signalfd4",
    )


def read_signal(descriptor: int) -> ReceivedSignal | None:
    """Return the next pending signal, or None."""
    try:
        number, _errno, code, pid, uid = SIGINFO.unpack(os.read(descriptor, SIGINFO.size))
    except BlockingIOError:
        return None
    return ReceivedSignal(number, code == SI_KERNEL, pid, uid)


@contextmanager
def handled(number: int, handler: Callable[[int], None]) -> Iterator[None]:
    """Call `handler` directly from the C signal handler (signal(3)) until the block is left.

    A handler of Python's signal module would run only after the C code that raised the signal has returned.
    """
    callback = ctypes.CFUNCTYPE(None, ctypes.c_int)(handler)
    install = ctypes.CDLL(None)["signal"]  # by index: a function object of its own
    install.argtypes, install.restype = [ctypes.c_int, ctypes.c_void_p], ctypes.c_void_p
    previous = install(number, ctypes.cast(callback, ctypes.c_void_p))
    try:
        yield
    finally:
        install(number, previous)
