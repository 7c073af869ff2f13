"""Fetch what the arguments of a trapped call refer to: the caller's memory and its sockets.

Each is fetched once; later changes by the caller have no effect.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from nono.disk.resolv_conf import name_servers
from nono.kernel import notify, threads
from nono.kernel.uapi.inet_diag import SO_COOKIE
from nono.supervisor.verdict.adjudicator import Refuse
from nono.supervisor.verdict.syscall_args import SOCKADDR_STORAGE_BYTES, InetAddress, unsigned

if TYPE_CHECKING:
    from nono.supervisor.calls.watchdog import BlockingCallWatchdog

# The base class of socket.socket: socket.socket turns each look at the family into an enum look-up, and every
# connection passes through here.
Socket = socket.SocketType

Answer = int | Refuse | None  # to a call: the errno, 0 for success; None if it follows later
# What a connect returns that goes on, as an asynchronous one does.
CONNECT_IN_PROGRESS = frozenset({errno.EINPROGRESS, errno.EALREADY, errno.EINTR})

_LINGER = struct.Struct("@ii")  # l_onoff, l_linger in seconds (socket(7))
_TIMEVAL = struct.Struct("@ll")  # tv_sec, tv_usec
_COOKIE = struct.Struct("=Q")
_OFF = _LINGER.pack(0, 0)


def send_timeout_s(duplicate: Socket) -> float | None:
    """Return how long a connect of the socket may wait (SO_SNDTIMEO, socket(7)); None means no limit."""
    seconds, microseconds = _TIMEVAL.unpack(
        duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL.size)
    )
    return seconds + microseconds / 1e6 or None


def is_blocking(duplicate: Socket) -> bool:
    """Return True unless O_NONBLOCK is set on the open file description, which the command shares."""
    return not fcntl.fcntl(duplicate.fileno(), fcntl.F_GETFL) & os.O_NONBLOCK


def cookie_of(duplicate: Socket, option: int = SO_COOKIE) -> int:
    """Return the socket's cookie, unique in its network namespace; 0 before Linux 4.6.

    option: SO_NETNS_COOKIE asks for the cookie of that namespace, which is 0 before Linux 5.14.
    """
    try:
        raw = duplicate.getsockopt(socket.SOL_SOCKET, option, _COOKIE.size)
    except OSError:
        return 0
    return int(_COOKIE.unpack(raw)[0])


def require_own(address: InetAddress) -> None:
    """Raise OSError, as the kernel would for the caller, if this host does not have the address.

    The network that the command has for UDP has those of the name servers, for which nono stands in there.
    """
    if address.host.is_loopback or address.host.is_unspecified or address.host.packed in name_servers():
        return
    family = socket.AF_INET if address.host.version == 4 else socket.AF_INET6
    with socket.socket(family) as probe:
        probe.bind(address._replace(port=0).for_family(family))


def release(duplicate: Socket) -> None:
    """Close a duplicate without waiting for the peer.

    If the caller was killed, the duplicate is the last descriptor. With SO_LINGER set, close(2) would then
    wait, as long as the caller chose, until the proxy reads the unsent bytes, and the proxy runs on the same
    loop. So SO_LINGER is cleared, which a living caller may notice; a setting that resets the connection (0
    seconds) stays. The command can set it again at once: arm the watchdog in this turn of the loop.
    """
    with suppress(OSError):
        found = duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER.size)
        if found != _OFF and all(_LINGER.unpack(found)):
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _OFF)
    duplicate.close()


class HiddenCallerError(Exception):
    """The caller made itself undumpable, as ssh-agent does, so its arguments cannot be read."""


class TrappedCalls:
    """Look-ups for one listener, which the caller continues to own; close() ends them.

    A duplicate that is handed out may be released in this turn of the loop: the watchdog is armed.
    """

    def __init__(self, listener: int, watchdog: BlockingCallWatchdog) -> None:
        self._listener = listener
        self._watchdog = watchdog
        self._memory = threads.MemoryReader(SOCKADDR_STORAGE_BYTES)
        self._descriptors = threads.DescriptorCopier()

    def close(self) -> None:
        self._descriptors.close()

    def sockaddr(self, call: notify.Notification, pointer: int, length: int) -> bytes:
        """Copy a socket address from the caller's memory.

        Raises HiddenCallerError, or OSError EFAULT or EINVAL as the kernel itself would answer.
        """
        length = unsigned(length)
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
        """Duplicate the socket in the first argument; the caller of this method closes it.

        Returns None if the trapped thread is gone, since its tid may have been reused. Raises
        HiddenCallerError, or OSError EBADF or ENOTSOCK as the kernel itself would answer.
        """
        self._watchdog.arm()
        try:
            descriptor = self._descriptors.copy(call.tid, unsigned(call.args[0]))
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

    def socket_at(self, tid: int, descriptor: int) -> Socket | None:
        """Duplicate what a thread has at a descriptor by now, for the caller of this method to close.

        It may be another socket than it was: the caller checks that. None if it is no socket, or not found.
        """
        self._watchdog.arm()
        try:
            copy = self._descriptors.copy(tid, descriptor)
        except OSError:
            return None
        try:
            return Socket(fileno=copy)
        except OSError:
            os.close(copy)
            return None

    def is_valid(self, call: notify.Notification) -> bool:
        """Check that the caller still waits for its answer."""
        return notify.is_valid(self._listener, call.id)

    def tcp_socket(self, call: notify.Notification) -> Socket | None:
        """Duplicate the socket as socket() does if it is TCP, else return None.

        Other kinds were not created here and are not acted on.
        """
        duplicate = self.socket(call)
        if duplicate is None:
            return None
        is_inet = duplicate.family in (socket.AF_INET, socket.AF_INET6)
        if is_inet and duplicate.type == socket.SOCK_STREAM and duplicate.proto == socket.IPPROTO_TCP:
            return duplicate
        release(duplicate)
        return None
