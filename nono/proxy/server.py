"""Listen for the proxy's clients; leaving the block closes everything the proxy opened."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Set
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from nono.policy.schema.route_rules import NO_IDENTITY
from nono.proxy.config import Collaborators, ProxyConfig
from nono.proxy.listener import BACKLOG, bind
from nono.proxy.verdict.routes import RouteTable

if TYPE_CHECKING:
    import _socket

    from anyio.abc import TaskGroup

    from nono.audit.traffic import Spent
    from nono.policy.hosts.host_filter import Refuse
    from nono.proxy.service import ProxyService

_READY_AFTER_S = 0.03  # the command is still loading at that time


class RunningProxy:
    """A listening proxy. Its ProxyService is created by the first client, or shortly after start."""

    def __init__(self, port: int, make: Callable[[], ProxyService]) -> None:
        self.port = port
        self._make = make
        self._serving: ProxyService | None = None

    @property
    def client_connections(self) -> int:
        return 0 if self._serving is None else len(self._serving.context.connections)

    @property
    def usage_lines(self) -> list[str]:
        """The token usage of this run's models, formatted for a person."""
        return [] if self._serving is None else self._serving.context.usage.summary_lines()

    @property
    def usage_rows(self) -> list[list[str]]:
        """The same in short form, one row for each model."""
        return [] if self._serving is None else self._serving.context.usage.summary_rows()

    def spent(self) -> Spent | None:
        """Return the usage of this run's models so far; None before the first client."""
        return None if self._serving is None else self._serving.context.usage.spent()

    @property
    def upstream_connections(self) -> int:
        """The number of busy and idle upstream connections, without tunnels."""
        return 0 if self._serving is None else len(self._serving.context.pool.connections)

    def judge_look_up(self, host: str) -> Refuse | None:
        """Return why no port of a host may be reached by the current rules; None if one may."""
        return self.serving().judge_look_up(host)

    def ports_named(self, host: str) -> Set[int]:
        """Return the ports of a host that the current rules name."""
        return self.serving().ports_named(host)

    async def serve_also(self, listener: socket.socket) -> asyncio.Server:
        """Serve the clients of one more listener, which is taken over. The caller closes the server."""
        return await asyncio.get_running_loop().create_server(
            lambda: self.serving().connection(), sock=listener, backlog=BACKLOG
        )

    def serving(self) -> ProxyService:
        """Return the ProxyService, created on first use."""
        if self._serving is None:
            self._serving = self._make()
        return self._serving

    def rules_changed(self) -> int:
        """Judge open connections by the current rules, and cut those refused. Returns how many were cut."""
        return 0 if self._serving is None else self._serving.rules_changed()

    async def get_ready(self) -> None:
        """Create the ProxyService while the command starts, so that its first request need not wait."""
        await anyio.sleep(_READY_AFTER_S)
        for prepare in self.serving().preparations():
            await anyio.lowlevel.checkpoint()  # whoever connected meanwhile comes first
            with suppress(Exception):  # the first request that needs it meets the error, and reports it
                prepare()

    async def close(self, grace_s: float) -> None:
        if self._serving is not None:
            await self._serving.close(grace_s)


@asynccontextmanager
async def serve(
    config: ProxyConfig, parts: Collaborators, listener: _socket.socket | None = None
) -> AsyncIterator[RunningProxy]:
    """Run a proxy on config.address until the block is left.

    listener: a bound, listening socket to take over, such as one of another network.

    Raises OSError if the port cannot be bound or a file of a route's TLS identity cannot be read.
    """
    taken = listener if listener is not None else bind(config.address, config.port)
    with socket.socket(fileno=taken.detach()) as bound:
        port = bound.getsockname()[1]
        table = RouteTable(config.routes, config.scopes, config.logins, config.also_intercepts)
        async with anyio.create_task_group() as tasks:
            running = RunningProxy(port, lambda: _serving(config, table, port, parts, tasks))
            if any(route.tls != NO_IDENTITY for route in config.routes):
                running.serving()  # reads the identity files now, while an error can be reported
            server = await running.serve_also(bound)
            tasks.start_soon(running.get_ready)
            try:
                yield running
            finally:
                server.close()
                with anyio.CancelScope(shield=True):
                    await running.close(config.close_grace_s)
                tasks.cancel_scope.cancel()


def _serving(
    config: ProxyConfig, table: RouteTable, port: int, parts: Collaborators, tasks: TaskGroup
) -> ProxyService:
    # Imported here: this pulls in most of the proxy, and the command need not wait for it.
    from nono.proxy.service import ProxyService

    return ProxyService(config, table, port, parts, tasks)
