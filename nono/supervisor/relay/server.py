"""Lets in at the socket of a session who is of its user and has its key: viewers, and others."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

from nono.sessions import wire
from nono.sessions.meeting import Meeting, is_own

if TYPE_CHECKING:
    from nono.supervisor.relay.relay import Relay

HEAD_S = 2.0  # for a request
WAITING_MAX = 8  # connections that have sent none yet


# Takes over a connection and what came on it; OSError: it does not, and the connection is closed.
TakeOver = Callable[[socket.socket, bytes], Awaitable[None]]


class Server:
    """The listener, and who waits at it. Everything runs on the loop that made it."""

    def __init__(self, meeting: Meeting, relay: Relay | None, others: TakeOver) -> None:
        """Listen at a socket until close(); the caller closes that. Raises OSError if it cannot be watched.

        relay: None if nono has no terminal of the session.
        others: Takes requests that neither attach nor detach.
        """
        self._loop = asyncio.get_running_loop()
        self._listener, self._key = meeting
        self._relay = relay
        self._others = others
        self._waiting: set[asyncio.Task[None]] = set()
        self._loop.add_reader(self._listener, self._on_connection)

    async def close(self) -> None:
        self._loop.remove_reader(self._listener)
        for task in self._waiting:
            task.cancel()
        await asyncio.gather(*self._waiting, return_exceptions=True)

    def _on_connection(self) -> None:
        with suppress(OSError):
            connection, _ = self._listener.accept()
            self.admit(connection)

    def admit(self, connection: socket.socket) -> None:
        """Serve a connection that was accepted, if it is of this user."""
        connection.setblocking(False)
        if len(self._waiting) >= WAITING_MAX or not is_own(connection):
            connection.close()
            return
        task = self._loop.create_task(self._serve(connection))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    async def _serve(self, connection: socket.socket) -> None:
        is_kept = False
        try:
            async with asyncio.timeout(HEAD_S):
                head, rest = await self._head(connection)
                request = wire.parse_request(head)
                refused = self._refused(request)
                if request is None or refused is not None:
                    await self._loop.sock_sendall(connection, wire.response(refused or wire.BAD))
                elif request.target not in (wire.ATTACH, wire.DETACH):
                    is_kept = True
                else:
                    is_kept = await self._about_terminal(connection, request, rest)
                    return
            if is_kept:  # not within the time for a head: what takes it over may have to be loaded
                is_kept = False
                await self._others(connection, head + rest)
                is_kept = True
        except (OSError, TimeoutError):
            pass  # it went away, or never said what it wanted
        finally:
            if not is_kept:
                connection.close()

    async def _head(self, connection: socket.socket) -> tuple[bytes, bytes]:
        received = b""
        while wire.HEAD_END not in received:
            piece = await self._loop.sock_recv(connection, wire.HEAD_BYTES_MAX)
            received += piece
            if not piece or len(received) > 2 * wire.HEAD_BYTES_MAX:
                raise OSError("no request")
        head, end, rest = received.partition(wire.HEAD_END)
        return head + end, rest

    def _refused(self, request: wire.Request | None) -> int | None:
        """Return the status for whoever is not let in."""
        # Imported here: it brings OpenSSL, and few sessions are ever asked anything.
        from hmac import compare_digest

        if request is None:
            return wire.BAD
        is_known = compare_digest(request.key.encode("ascii"), self._key.encode("ascii"))
        return None if is_known else wire.DENIED

    async def _about_terminal(self, connection: socket.socket, request: wire.Request, rest: bytes) -> bool:
        """Attach or detach. Return True if the relay has the connection from now on."""
        relay, status = self._relay, wire.OK
        if relay is None:
            status = wire.NOT_FOUND
        elif request.target == wire.ATTACH:
            if not relay.is_full:
                relay.attach(connection, request.size, rest, request.words, wire.response(wire.SWITCHED))
                return True
            status = wire.BUSY
        elif relay.is_attached:
            relay.detach_all()
        else:
            status = wire.BUSY
        await self._loop.sock_sendall(connection, wire.response(status))
        return False


@asynccontextmanager
async def met(meeting: Meeting, others: TakeOver) -> AsyncIterator[None]:
    """Let in at the socket of a session without a terminal of nono's until the block is left; closes it."""
    server = Server(meeting, None, others)
    try:
        yield
    finally:
        with anyio.CancelScope(shield=True):
            await server.close()
        meeting.listener.close()
