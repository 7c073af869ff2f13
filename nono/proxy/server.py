"""Listen for the proxy's clients; leaving the block closes everything the proxy opened."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from nono.audit.event import Recorder
from nono.policy.schema.route_rules import NO_IDENTITY
from nono.proxy.config import Admits, Dependencies, IsOurs, ProxyConfig, Recognises
from nono.proxy.listener import BACKLOG, bind
from nono.proxy.upstream.dial import Resolver, system_resolver
from nono.proxy.verdict.routes import RouteTable

if TYPE_CHECKING:
    import _socket

    from nono.approval.request import Approver
    from nono.audit.traffic import Spent
    from nono.proxy.conversation.run_turns import OnTurn
    from nono.proxy.flows.recorder import FlowRecorder
    from nono.proxy.service import ProxyService

_log = logging.getLogger(__name__)

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
    config: ProxyConfig,
    recorder: Recorder,
    *,
    admits: Admits | None = None,
    is_ours: IsOurs | None = None,
    recognises: Recognises | None = None,
    resolver: Resolver = system_resolver,
    approver: Approver | None = None,
    alarm: Callable[[str], None] = _log.warning,
    flows: FlowRecorder | None = None,
    on_turn: OnTurn | None = None,
    listener: _socket.socket | None = None,
) -> AsyncIterator[RunningProxy]:
    """Run a proxy on config.address until the block is left.

    config: where the proxy listens, its routes and limits.
    recorder: records each event; an allowed request is refused if its event cannot be recorded.
    admits: returns True if the child made the connection from that (address, port); None admits every
        client, which then still needs the token or a phantom.
    is_ours: returns True if a program of our user made the connection, False if another user's did; asked if
        admits is None. None: connections that have shown no token yet have no places of their own.
    recognises: returns True if the command made the connection for certain; such a client needs no token.
    resolver: looks up the addresses of upstream hosts.
    approver: asks a person about requests that need approval.
    alarm: tells a person that a credential is frozen or unavailable.
    flows: records exchanges; None records none.
    on_turn: awaited with the number of a person's turn before the request that begins it is sent whole.
    listener: a bound, listening socket to take over, such as one of another network.

    Raises OSError if the port cannot be bound or a file of a route's TLS identity cannot be read.
    """
    taken = listener if listener is not None else bind(config.address, config.port)
    with socket.socket(fileno=taken.detach()) as bound:
        port = bound.getsockname()[1]
        table = RouteTable(config.routes, config.scopes, config.logins, config.also_intercepts)
        async with anyio.create_task_group() as tasks:
            parts = Dependencies(
                recorder, admits, is_ours, recognises, resolver, approver, alarm, flows, tasks, on_turn
            )
            running = RunningProxy(port, lambda: _serving(config, table, port, parts))
            if any(route.tls != NO_IDENTITY for route in config.routes):
                running.serving()  # reads the identity files now, while an error can be reported
            server = await asyncio.get_running_loop().create_server(
                lambda: running.serving().connection(), sock=bound, backlog=BACKLOG
            )
            tasks.start_soon(running.get_ready)
            try:
                yield running
            finally:
                server.close()
                with anyio.CancelScope(shield=True):
                    await running.close(config.close_grace_s)
                tasks.cancel_scope.cancel()


def _serving(config: ProxyConfig, table: RouteTable, port: int, parts: Dependencies) -> ProxyService:
    # Imported here: this pulls in most of the proxy, and the command need not wait for it.
    from nono.proxy.service import ProxyService

    return ProxyService(config, table, port, parts)
