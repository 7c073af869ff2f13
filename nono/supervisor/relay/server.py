"""Lets viewers in at the socket of a session: of this user, and with its key."""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
import struct
from contextlib import suppress

from nono.sessions import wire
from nono.sessions.meeting import Meeting
from nono.supervisor.relay.relay import Relay

HEAD_S = 2.0  # for a request
WAITING_MAX = 8  # connections that have sent none yet
_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid


class Server:
    """The listener, and who waits at it. Everything runs on the loop that made it."""

    def __init__(self, meeting: Meeting, relay: Relay) -> None:
        """Listen at a socket until close(); the caller closes that."""
        self._loop = asyncio.get_running_loop()
        self._listener, self._key = meeting
        self._relay = relay
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
                status, request = self._answer(head)
                if status == wire.SWITCHED and request is not None:
                    self._relay.attach(connection, request.size, rest, request.words, wire.response(status))
                    is_kept = True
                else:
                    await self._loop.sock_sendall(connection, wire.response(status))
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

    def _answer(self, head: bytes) -> tuple[int, wire.Request | None]:
        request = wire.parse_request(head)
        if request is None:
            return wire.BAD, None
        if not hmac.compare_digest(request.key.encode("ascii"), self._key.encode("ascii")):
            return wire.DENIED, None
        if request.target == wire.DETACH:
            if not self._relay.is_attached:
                return wire.BUSY, None
            self._relay.detach_all()
            return wire.OK, None
        if request.target != wire.ATTACH:
            return wire.NOT_FOUND, None
        return (wire.BUSY if self._relay.is_full else wire.SWITCHED), request


def is_own(connection: socket.socket) -> bool:
    """Check that the peer is of this user, and of this user namespace."""
    sent = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(sent)
    try:
        return uid == os.geteuid() and os.path.samefile(f"/proc/{pid}/ns/user", "/proc/self/ns/user")
    except OSError:  # it is gone, or of another user
        return False
