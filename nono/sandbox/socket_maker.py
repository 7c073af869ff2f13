"""Keep a process in the private network that creates sockets there for the supervisor."""

from __future__ import annotations

import socket
from contextlib import suppress

from nono.forked import fork_orphan
from nono.kernel import capabilities, process

IPV4, IPV6 = b"4", b"6"  # the requests
FAMILIES = {IPV4: socket.AF_INET, IPV6: socket.AF_INET6}
REFUSED = b"-"  # the answer if no socket could be made; other answers repeat the request


def fork_socket_maker() -> socket.socket:
    """Fork the socket maker and return the other end of its SOCK_SEQPACKET channel.

    The socket maker ends when the caller closes that.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        fork_orphan(lambda: _make_sockets(theirs.fileno()))
    return ours


def _make_sockets(descriptor: int) -> None:
    # It has the command's uid and is outside its sandbox, so the command must not be able to inspect it.
    process.set_dumpable(False)
    capabilities.drop_all_but(())
    process.close_range_from(0, keep={descriptor})
    with socket.socket(fileno=descriptor) as channel:
        while asked := channel.recv(1):
            family = FAMILIES.get(asked)
            if family is None:
                return
            _answer(channel, asked, family)


def _answer(channel: socket.socket, asked: bytes, family: socket.AddressFamily) -> None:
    made = None
    with suppress(OSError):  # too many sockets, or no IPv6 here
        made = socket.socket(family, socket.SOCK_STREAM)
    if made is None:
        channel.send(REFUSED)
        return
    with made:
        socket.send_fds(channel, [asked], [made.fileno()])
