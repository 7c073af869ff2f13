"""The proxy's listener: it accepts, admits, and is gone with everything it opened when its block is left."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import anyio

from nono.audit.event import Recorder
from nono.policy.schema.route_rules import NO_IDENTITY
from nono.proxy.config import Admits, Dependencies, ProxyConfig
from nono.proxy.upstream.dial import Resolver, system_resolver
from nono.proxy.verdict.routes import RouteTable

if TYPE_CHECKING:
    from nono.approval.request import Approver
    from nono.proxy.flows.recorder import FlowRecorder
    from nono.proxy.service import ProxyService

_log = logging.getLogger(__name__)

_READY_AFTER_S = 0.03  # a command has hardly been loaded by then


class RunningProxy:
    """A proxy that listens. What serves is made when a client comes, or when the start is over."""

    def __init__(self, port: int, make: Callable[[], ProxyService]) -> None:
        self.port = port
        self._make = make
        self._serving: ProxyService | None = None

    @property
    def client_connections(self) -> int:
        return 0 if self._serving is None else len(self._serving.context.connections)

    @property
    def usage_lines(self) -> list[str]:
        """What the models of this run have used up, for a person."""
        return [] if self._serving is None else self._serving.context.usage.summary_lines()

    @property
    def upstream_connections(self) -> int:
        """Busy and resting ones; tunnels are not among them."""
        return 0 if self._serving is None else len(self._serving.context.pool.connections)

    def serving(self) -> ProxyService:
        """What serves, made once."""
        if self._serving is None:
            self._serving = self._make()
        return self._serving

    async def get_ready(self) -> None:
        """Make it while the command is still starting, so that its first connection need not wait."""
        await anyio.sleep(_READY_AFTER_S)
        self.serving()

    async def close(self, grace_s: float) -> None:
        if self._serving is not None:
            await self._serving.close(grace_s)


@asynccontextmanager
async def serve(
    config: ProxyConfig,
    recorder: Recorder,
    *,
    admits: Admits | None = None,
    resolver: Resolver = system_resolver,
    approver: Approver | None = None,
    alarm: Callable[[str], None] = _log.warning,
    flows: FlowRecorder | None = None,
    listener: socket.socket | None = None,
) -> AsyncIterator[RunningProxy]:
    """A proxy on config.address until the block is left.

    admits: whether a connection from that (address, port) was made by the child; None admits all, who
    still need the token or a phantom. listener: a bound, listening socket to use (made in another network
    namespace); it is closed with the proxy. OSError when the port cannot be bound, or a file
    of a route's TLS identity not be read.
    """
    bound = listener if listener is not None else _bind(config.address, config.port)
    with bound:
        port = bound.getsockname()[1]
        table = RouteTable(config.routes, config.scopes, config.logins, config.looks_into)
        async with anyio.create_task_group() as tasks:
            parts = Dependencies(recorder, admits, resolver, approver, alarm, flows, tasks)
            running = RunningProxy(port, lambda: _serving(config, table, port, parts))
            if any(route.tls != NO_IDENTITY for route in config.routes):
                running.serving()  # it reads files, which could not be complained about later
            server = await asyncio.get_running_loop().create_server(
                lambda: running.serving().connection(), sock=bound
            )
            tasks.start_soon(running.get_ready)
            try:
                yield running
            finally:
                server.close()
                with anyio.CancelScope(shield=True):
                    await running.close(config.close_grace_s)
                tasks.cancel_scope.cancel()


def _bind(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        bound.listen(512)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound


def _serving(config: ProxyConfig, table: RouteTable, port: int, parts: Dependencies) -> ProxyService:
    # Imported here: it is most of what the proxy imports, and a command is not kept waiting for it.
    from nono.proxy.service import ProxyService

    return ProxyService(config, table, port, parts)
