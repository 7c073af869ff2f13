"""Make sockets for the supervisor in a network that it is not in, the command's own or an empty one."""

from __future__ import annotations

import _socket  # socket makes enums of its constants: the init of a command's namespaces imports this
import struct

from nono.kernel import capabilities, process

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

# The requests, each one message on a SOCK_SEQPACKET channel.
TCP_IPV4, TCP_IPV6, UDP_IPV4, UDP_IPV6 = b"4", b"6", b"u", b"U"
REQUEST_BYTES = 1
KINDS = {
    TCP_IPV4: (_socket.AF_INET, _socket.SOCK_STREAM),
    TCP_IPV6: (_socket.AF_INET6, _socket.SOCK_STREAM),
    UDP_IPV4: (_socket.AF_INET, _socket.SOCK_DGRAM),
    UDP_IPV6: (_socket.AF_INET6, _socket.SOCK_DGRAM),
}
REFUSED = b"-"  # the answer if no socket could be made; other answers repeat the request
_DESCRIPTOR = struct.Struct("@i")


def fork_socket_maker() -> socket.socket:
    """Fork a process that makes sockets, and return the other end of its channel.

    It ends when the caller closes that.
    """
    # Imported here: the init of a command's namespaces needs neither.
    from socket import socketpair

    from nono.forked import fork_orphan

    ours, theirs = socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    with theirs:
        fork_orphan(lambda: _make_sockets(theirs.fileno()))
    return ours


def answer(channel: _socket.socket, asked: bytes) -> None:
    """Answer a request with a socket of this process's network. Raises OSError if nobody listens any more."""
    try:
        made = _socket.socket(*KINDS[asked])
    except (OSError, KeyError):  # too many sockets, or no IPv6 here
        channel.send(REFUSED)
        return
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _DESCRIPTOR.pack(made.fileno()))
    try:
        channel.sendmsg([asked], [rights])
    except OSError:  # ETOOMANYREFS: this user has too many descriptors in flight
        channel.send(REFUSED)
    finally:
        made.close()


def _make_sockets(descriptor: int) -> None:
    # It has the command's uid and is outside its sandbox, so the command must not be able to inspect it.
    process.set_dumpable(False)
    capabilities.drop_all_but(())
    process.close_range_from(0, keep={descriptor})
    channel = _socket.socket(fileno=descriptor)
    while asked := channel.recv(REQUEST_BYTES):
        answer(channel, asked)
