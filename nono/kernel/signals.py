"""Read signals from signalfd(2), and tell whether the kernel sent them."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable

from nono.kernel.libc import syscall, syscall_number
from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as signal
else:
    import _signal as signal  # signal itself makes enums of its constants, and enum takes 1 ms to import

SIGSET_BYTES = 8  # the kernel's sigset_t, not the C library's
# struct signalfd_siginfo (include/uapi/linux/signalfd.h, 128 bytes) begins with signo, errno, code, pid, uid.
SIGINFO = struct.Struct("=IiiII108x")
# Sent by a person, their terminal or the system to end a process in order.
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT)
TYPED = (signal.SIGINT, signal.SIGQUIT)  # those that a terminal makes of keys, and that end a process
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


def shell_exit_code(code: int) -> int:
    """Return the exit code a shell reports; `code` is os.waitstatus_to_exitcode()'s, -N for signal N."""
    return 128 - code if code < 0 else code


def reset_to_default(number: int) -> None:
    """Have the kernel act on a signal, for the whole process: unlike signal.signal(), from any thread.

    A fatal one then ends waits in the kernel that are killable (complete_signal in kernel/signal.c).
    """
    ctypes.CDLL(None).signal(ctypes.c_int(number), ctypes.c_void_p(0))  # SIG_DFL


def read_signal(descriptor: int) -> ReceivedSignal | None:
    """Return the next pending signal, or None."""
    try:
        number, _errno, code, pid, uid = SIGINFO.unpack(os.read(descriptor, SIGINFO.size))
    except BlockingIOError:
        return None
    return ReceivedSignal(number, code == SI_KERNEL, pid, uid)
