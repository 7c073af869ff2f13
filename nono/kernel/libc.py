"""Make system calls by number, and raise OSErrors that name the failed call.

Numbers rather than libc wrappers: most of the calls nono needs are newer than the C libraries it runs on.
"""

from __future__ import annotations

import ctypes
import errno
import os

from nono.kernel.uapi.seccomp import SYSCALL_NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIBC = ctypes.CDLL(None, use_errno=True)
_SYSCALL = _LIBC.syscall
_SYSCALL.restype = ctypes.c_long
# Seven longs: ctypes would pass a bare int in 32 bits, and the callee reads 64.
_SYSCALL.argtypes = [ctypes.c_long] * 7
_NUMBERS = SYSCALL_NUMBERS.get(os.uname().machine, {})


def syscall(number: int, *args: int, tried: str) -> int:
    """Return the result of syscall(2). Up to six arguments, integers or addresses.

    tried: how errors name the call, such as "landlock_add_rule(net_port)".
    The caller keeps buffers behind addresses alive. Raises OSError with the kernel's errno, worded "<tried>:
    <reason> [<NAME>]".
    """
    result = int(_SYSCALL(number, *(*args, 0, 0, 0, 0, 0, 0)[:6]))
    if result < 0:  # the result shows the failure; errno may be left over from an earlier call
        raise os_error(ctypes.get_errno(), tried)
    return result


class RepeatedCall:
    """A system call that is repeated with mostly the same arguments.

    Each argument is a c_long, or the c_char_p given; the caller sets its value when it changes. Converting
    seven integers on every call takes longer than many system calls do. The caller keeps buffers behind
    addresses alive.
    """

    __slots__ = ("_all", "_function", "arguments")

    def __init__(self, number: int, *arguments: int | ctypes.c_char_p) -> None:
        self._function = _LIBC["syscall"]  # by index: a new function object, without argtypes
        self._function.restype = ctypes.c_long
        self.arguments: tuple[Any, ...] = tuple(
            ctypes.c_long(each) if isinstance(each, int) else each for each in arguments
        )
        self._all = (ctypes.c_long(number), *self.arguments)

    def __call__(self) -> int:
        """Return the result, or the negated errno on failure."""
        result: int = self._function(*self._all)
        return result if result >= 0 else -ctypes.get_errno()


def prctl(option: int, *args: int, tried: str) -> int:
    """Return the result of prctl(2). Omitted arguments are zero, as several options require.

    Raises OSError as `syscall` does.
    """
    padded = (*args, 0, 0, 0, 0)[:4]
    result = int(_LIBC.prctl(option, *map(ctypes.c_ulong, padded)))
    if result < 0:
        raise os_error(ctypes.get_errno(), tried)
    return result


def give_back_free_memory() -> None:
    """Return unused heap memory to the kernel with malloc_trim(3); glibc only.

    On its own glibc returns only the end of its heap, which is rarely free after a burst of TLS.
    """
    if hasattr(_LIBC, "malloc_trim"):
        _LIBC.malloc_trim(0)


def syscall_number(name: str) -> int:
    """Return the number of a system call on this machine.

    Raises OSError ENOSYS if nono has no table for the machine.
    """
    try:
        return _NUMBERS[name]
    except KeyError:
        machine = os.uname().machine
        raise os_error(errno.ENOSYS, f"{name}(2): number not known on {machine}") from None


def os_error(errno_value: int, tried: str) -> OSError:
    """Build the OSError subclass for `errno_value`, worded "<tried>: <reason> [<NAME>]"."""
    name = errno.errorcode.get(errno_value, str(errno_value))
    return OSError(errno_value, f"{tried}: {os.strerror(errno_value)} [{name}]")
