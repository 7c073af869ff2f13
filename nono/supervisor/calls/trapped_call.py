"""Fetches what the arguments of a trapped call mean: bytes of the caller's memory, sockets of its table.

Each is fetched once and is ours from then on; what the caller does to its own copy meanwhile changes nothing.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from contextlib import suppress

from nono.kernel import notify, process
from nono.supervisor.verdict.syscall_args import SOCKADDR_STORAGE_BYTES

# The socket without the enums of socket.socket, which turn each look at its family into a dictionary lookup:
# this is on the way of every connection.
Socket = socket.SocketType


_LINGER = struct.Struct("@ii")  # l_onoff, l_linger in seconds (socket(7))
_TIMEVAL = struct.Struct("@ll")  # tv_sec, tv_usec
_OFF = _LINGER.pack(0, 0)


def send_timeout_s(duplicate: Socket) -> float | None:
    """How long a connect of the socket waits (SO_SNDTIMEO, socket(7)); None for as long as it takes."""
    seconds, microseconds = _TIMEVAL.unpack(
        duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.size)
    )
    return seconds + microseconds / 1e6 or None


def release(duplicate: Socket) -> None:
    """Close a duplicate without waiting for the peer.

    When its caller was killed ours is the last descriptor, and with SO_LINGER closing it would wait, as long
    as the caller liked, for the proxy to read what is unsent: for the very loop that waits. A caller that
    lives on finds its close no longer waits; the setting that resets the connection (0 seconds) stays.
    """
    with suppress(OSError):
        found = duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.size)
        if found != _OFF and all(_LINGER.unpack(found)):
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _OFF)
    duplicate.close()


class HiddenCallerError(Exception):
    """The caller made itself undumpable, as ssh-agent does: what it asks for cannot be seen."""


class TrappedCalls:
    """The look-ups of one listener, which stays its owner's; close() ends them."""

    def __init__(self, listener: int) -> None:
        self._listener = listener
        self._memory = process.MemoryReader(SOCKADDR_STORAGE_BYTES)
        self._descriptors = process.DescriptorCopier()

    def close(self) -> None:
        self._descriptors.close()

    def sockaddr(self, call: notify.Notification, pointer: int, length: int) -> bytes:
        """One copy of a socket address of the caller's.

        HiddenCallerError; OSError EFAULT or EINVAL as the kernel itself would answer.
        """
        length &= 0xFFFFFFFF
        if length > SOCKADDR_STORAGE_BYTES:
            raise OSError(errno.EINVAL, "socket address too long")
        try:
            raw = self._memory.read(call.tid, pointer, length)
        except PermissionError as error:
            raise HiddenCallerError from error
        if len(raw) != length:
            raise OSError(errno.EFAULT, "socket address partly unmapped")
        return raw

    def socket(self, call: notify.Notification) -> Socket | None:
        """A duplicate of the socket in the first argument, for the caller of this to close.

        None when the trapped thread is gone, and its number may have meant somebody else. HiddenCallerError;
        OSError EBADF or ENOTSOCK as the kernel itself would answer.
        """
        try:
            descriptor = self._descriptors.copy(call.tid, call.args[0] & 0xFFFFFFFF)
        except PermissionError as error:
            raise HiddenCallerError from error
        try:
            # After the last look-up by tid: from here on only what was fetched is used.
            is_valid = notify.is_valid(self._listener, call.id)
            duplicate = Socket(fileno=descriptor)
        except OSError:
            os.close(descriptor)
            raise
        if is_valid:
            return duplicate
        release(duplicate)
        return None

    def is_valid(self, call: notify.Notification) -> bool:
        """Whether the caller still waits for its answer."""
        return notify.is_valid(self._listener, call.id)

    def tcp_socket(self, call: notify.Notification) -> Socket | None:
        """As above, for TCP only: a socket of another kind was not made here, and is not acted on."""
        duplicate = self.socket(call)
        if duplicate is None:
            return None
        is_inet = duplicate.family in (socket.AF_INET, socket.AF_INET6)
        if is_inet and duplicate.type == socket.SOCK_STREAM and duplicate.proto == socket.IPPROTO_TCP:
            return duplicate
        release(duplicate)
        return None
