"""Calls the kernel by number and turns its refusals into OSErrors that say what was tried.

Raw numbers rather than libc wrappers: most of what nono needs is younger than the C libraries it runs on.
"""

from __future__ import annotations

import ctypes
import errno
import os

from nono.kernel.uapi.seccomp import SYSCALL_NUMBERS

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
# Seven longs: ctypes would pass a bare int in 32 bits, and the callee reads 64.
_SYSCALL.argtypes = [ctypes.c_long] * 7
_NUMBERS = SYSCALL_NUMBERS.get(os.uname().machine, {})


def syscall(number: int, *args: int, tried: str) -> int:
    """The result of syscall(2); ``tried`` is how the call reads in an error: "landlock_add_rule(net_port)".

    Arguments are integers or addresses, up to six; the caller keeps buffers behind addresses alive.
    Raises OSError with the kernel's errno, "<tried>: <reason> [<NAME>]".
    """
    result = int(_SYSCALL(number, *(*args, 0, 0, 0, 0, 0, 0)[:6]))
    if result < 0:  # the result is what failed; errno may be left over from any earlier call
        raise os_error(ctypes.get_errno(), tried)
    return result


class RepeatedCall:
    """A system call that is made again and again with much the same arguments.

    Each argument is a c_long whose value is set when it changes: converting seven integers anew takes
    longer than many a system call. The caller keeps buffers behind addresses alive.
    """

    __slots__ = ("_all", "_function", "arguments")

    def __init__(self, name: str, *arguments: int) -> None:
        self._function = _LIBC["syscall"]  # by index: an object of its own, which has no argtypes
        self._function.restype = ctypes.c_long
        self.arguments = tuple(map(ctypes.c_long, arguments))
        self._all = (ctypes.c_long(syscall_number(name)), *self.arguments)

    def __call__(self) -> int:
        """The result; the errno, negative, when it fails."""
        result: int = self._function(*self._all)
        return result if result >= 0 else -ctypes.get_errno()


def prctl(option: int, *args: int, tried: str) -> int:
    """The result of prctl(2); arguments left out are zero, as several options insist. OSError as above."""
    padded = (*args, 0, 0, 0, 0)[:4]
    result = int(_LIBC.prctl(option, *map(ctypes.c_ulong, padded)))
    if result < 0:
        raise os_error(ctypes.get_errno(), tried)
    return result


def give_back_free_memory() -> None:
    """Returns to the kernel what malloc holds without using it (malloc_trim(3)); glibc only.

    By itself glibc returns only the end of its heap, which after a burst of TLS is hardly ever free.
    """
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)


def syscall_number(name: str) -> int:
    """The number of a system call on the running machine. OSError ENOSYS: nono has no table for it."""
    try:
        return _NUMBERS[name]
    except KeyError:
        machine = os.uname().machine
        raise os_error(errno.ENOSYS, f"{name}(2): number not known on {machine}") from None


def os_error(errno_value: int, tried: str) -> OSError:
    """The OSError subclass of errno_value, worded "<tried>: <reason> [<NAME>]"."""
    name = errno.errorcode.get(errno_value, str(errno_value))
    return OSError(errno_value, f"{tried}: {os.strerror(errno_value)} [{name}]")
