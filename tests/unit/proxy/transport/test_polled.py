"""What the kernel tells of a connection."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from nono.proxy.transport.polled import is_sending
from support.proxy.thread import TIMEOUT_S, wait_until


class Tls:
    """A transport of TLS that holds no bytes itself."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str) -> object:
        assert name == "socket"
        return self._connection


def test_what_a_peer_dropped_is_still_being_sent() -> None:
    """The kernel has sent all of it by then, so there is nothing that it has not sent."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname(), TIMEOUT_S) as peer,
        listener.accept()[0] as connection,
    ):
        transport = cast(asyncio.Transport, Tls(connection))
        connection.settimeout(TIMEOUT_S)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # less than it said it has room for
        connection.sendall(bytes(20_000))
        wait_until(lambda: not is_sending(transport))
        connection.sendall(bytes(20_000))
        assert len(peer.recv(1 << 16, socket.MSG_PEEK)) == 20_000
        assert is_sending(transport)
