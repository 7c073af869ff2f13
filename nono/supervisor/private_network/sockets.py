"""Get sockets of the command's private network, which its socket maker sends."""

from __future__ import annotations

import errno
import socket

import anyio

from nono.disk.resolv_conf import NAME_SERVERS_MAX
from nono.sandbox.socket_maker import REQUEST_BYTES, TCP_IPV4
from nono.watch import watch

BACKLOG = 512
MAKER_PATIENCE_S = 5.0  # for a socket: the command may stop or kill the socket maker


class PrivateNetwork:
    """The channel of a socket maker, which its owner closes."""

    def __init__(self, maker: socket.socket) -> None:
        self._maker = maker
        self._maker.setblocking(False)
        self._asking = anyio.Lock()

    async def name_servers(self) -> list[socket.socket]:
        """Return a UDP socket for each name server; the caller closes them. Call once, before make().

        Raises like make().
        """
        async with self._asking:
            _, sent = await self._receive()
            return sent

    async def listen(self, host: str, port: int) -> socket.socket | None:
        """Return a listener; the caller closes it. None if no socket can be made there.

        Raises OSError if it cannot be bound, and like make().
        """
        made = await self.make(TCP_IPV4)
        if made is None:
            return None
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((host, port))
            made.listen(BACKLOG)
        except OSError:
            made.close()
            raise
        return made

    async def make(self, asked: bytes) -> socket.socket | None:
        """Return a socket of the private network, or None if none can be made there.

        Raises TimeoutError or OSError if the maker does not answer. A late answer may arrive for the next
        request, so each answer names its family.
        """
        async with self._asking:
            self._maker.send(asked)
            while True:
                said, sent = await self._receive()
                if sent and said != asked:
                    sent[0].close()
                    continue
                return sent[0] if sent else None

    async def _receive(self) -> tuple[bytes, list[socket.socket]]:
        with anyio.fail_after(MAKER_PATIENCE_S):
            watch(self._maker.fileno())
            await anyio.wait_readable(self._maker)
        said, descriptors, _, _ = socket.recv_fds(
            self._maker, REQUEST_BYTES, NAME_SERVERS_MAX, socket.MSG_CMSG_CLOEXEC
        )
        if not said:
            raise ConnectionResetError(errno.ECONNRESET, "the socket maker has ended")
        sent = [socket.socket(fileno=each) for each in descriptors]
        for each in sent:
            each.setblocking(False)
        return said, sent
