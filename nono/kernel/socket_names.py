"""Call connect(2) and bind(2) with a raw sockaddr of any family."""

from __future__ import annotations

import ctypes
import errno

from nono.kernel.libc import syscall, syscall_number


def connect(descriptor: int, sockaddr: bytes) -> int:
    """Return the errno of connect(2), 0 for success. A call interrupted by a signal is not retried."""
    return _call("connect", descriptor, sockaddr)


def bind(descriptor: int, sockaddr: bytes) -> int:
    """Return the errno of bind(2), 0 for success."""
    return _call("bind", descriptor, sockaddr)


def _call(name: str, descriptor: int, sockaddr: bytes) -> int:
    buffer = ctypes.create_string_buffer(sockaddr, max(len(sockaddr), 1))
    try:
        syscall(syscall_number(name), descriptor, ctypes.addressof(buffer), len(sockaddr), tried=name)
    except OSError as error:
        return error.errno or errno.EACCES
    return 0
