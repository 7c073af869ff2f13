"""Pass connections to aiohttp, which is imported for the first one."""

from __future__ import annotations

import asyncio
import importlib
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from nono.watch import watch

if TYPE_CHECKING:
    from aiohttp import web

    from nono.control.session import ControlledSession

CONNECTIONS_MAX = 32
_NEEDED = ("nono.control.layers", "nono.control.socket_layers", "nono.control.application")
_SWITCH_S = 0.0005  # the longest time the import may hold the interpreter lock at once


class TakeOver:
    """The interface of one session. All methods run on the loop that created it."""

    def __init__(self, make_session: Callable[[], ControlledSession]) -> None:
        """make_session: Called once, for the first connection."""
        self._make_session = make_session
        self._session: ControlledSession | None = None
        self._loop = asyncio.get_running_loop()
        self._starting: asyncio.Task[web.AppRunner] | None = None
        self._is_closed = False
        self._taken: set[asyncio.Task[None]] = set()

    def take(self, connection: socket.socket, received: bytes) -> None:
        """Take over a connection that was let in, or close it. received: what came on it already."""
        task = self._loop.create_task(self._take(connection, received))
        self._taken.add(task)
        task.add_done_callback(self._taken.discard)

    async def _take(self, connection: socket.socket, received: bytes) -> None:
        is_kept = False
        try:
            with suppress(OSError):  # it went away, or there are too many
                await self(connection, received)
                is_kept = True
        finally:
            if not is_kept:
                connection.close()

    async def __call__(self, connection: socket.socket, received: bytes) -> None:
        """Take over an accepted connection. received: bytes already read from it.

        Raises OSError if there are too many connections, or if the user has no epoll watch left, on which
        libuv would abort. The caller then keeps the connection.
        """
        if self._starting is None:
            self._starting = self._loop.create_task(self._start())
        server = (await asyncio.shield(self._starting)).server
        if self._is_closed or server is None or len(server.connections) >= CONNECTIONS_MAX:
            raise OSError("the session is ending, or too many clients are connected")
        watch(connection.fileno())
        await self._loop.connect_accepted_socket(lambda: _Begun(server, received), connection)

    async def _start(self) -> web.AppRunner:
        if _NEEDED[-1] not in sys.modules:
            # The importing thread releases the interpreter lock at most this long after another thread asks
            # for it.
            interval_s = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH_S)
            try:
                await self._loop.run_in_executor(None, _import)
            except RuntimeError:  # the command has used up its user's limit of processes
                _import()
            finally:
                sys.setswitchinterval(interval_s)
        from nono.control.application import runner_of

        self._session = self._make_session()
        return await runner_of(self._session)

    async def close(self) -> None:
        """Finish the requests under way, and close every connection."""
        self._is_closed = True
        for task in self._taken:
            task.cancel()
        await asyncio.gather(*self._taken, return_exceptions=True)
        if self._session is not None:
            self._session.close()
        if self._starting is not None:
            await asyncio.wait([self._starting])
            if self._starting.exception() is None:
                await self._starting.result().cleanup()


def _import() -> None:
    for name in _NEEDED:
        importlib.import_module(name)


class _Begun(asyncio.Protocol):
    """A connection whose first bytes were already read: the protocol receives them first."""

    def __init__(self, server: Callable[[], asyncio.Protocol], received: bytes) -> None:
        self._server = server
        self._received = received

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        protocol = self._server()
        cast(asyncio.Transport, transport).set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.data_received(self._received)
