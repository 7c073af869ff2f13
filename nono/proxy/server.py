"""The proxy's listener: it accepts, admits, and is gone with everything it opened when its block is left."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import anyio

from nono.audit.event import Recorder
from nono.policy.route_rules import NO_IDENTITY
from nono.proxy import refusal
from nono.proxy.chain import Chain
from nono.proxy.connection_set import ConnectionSet, WindsDown
from nono.proxy.dial import Dialer, Resolver, system_resolver
from nono.proxy.dispatch import Dispatcher
from nono.proxy.engine import Engine, no_authority
from nono.proxy.filter import HostPolicy
from nono.proxy.http1 import ClientConnection
from nono.proxy.login_table import NO_LOGINS, LoginTable
from nono.proxy.model_prices import shipped_prices
from nono.proxy.pool import Pool
from nono.proxy.preparation import Approver, Preparation
from nono.proxy.reach import Reach
from nono.proxy.refusal import Cut, Refusal
from nono.proxy.route import Phantom, Route, RouteTable, Scope
from nono.proxy.token_post import TokenPost
from nono.proxy.usage_ledger import UsageLedger
from nono.proxy.verdict_memo import VerdictMemo

if TYPE_CHECKING:
    from nono.proxy.flow_record import FlowRecorder

_log = logging.getLogger(__name__)

Admits = Callable[[tuple[str, int]], bool]

_OVERLOAD_ALLOWANCE = 64  # connections beyond the limit that may be told so; the rest are cut


class ProxyConfig(NamedTuple):
    """One proxy. Times are in seconds; session_token matches the text in the child's proxy URL."""

    hosts: HostPolicy
    session_token: Phantom
    routes: tuple[Route, ...] = ()
    scopes: tuple[Scope, ...] = ()
    logins: LoginTable = NO_LOGINS
    server_context: Callable[[str], ssl.SSLContext] | None = None  # None: TLS is not intercepted
    chain: Chain | None = None  # the proxy behind this one
    token_post: TokenPost | None = None  # what the routes' credentials fetch tokens through
    require_auth: bool = True  # whether the session token is asked for; a phantom always is
    own_names: frozenset[str] | None = None  # for a listener that browsers reach: see Dispatcher
    address: str = "127.0.0.1"  # to listen on
    port: int = 0  # 0: any free one
    max_connections: int = 256
    head_timeout_s: float = 30.0
    idle_timeout_s: float = 120.0  # between requests, and while a request body stands still
    tunnel_idle_timeout_s: float = 3600.0
    connect_timeout_s: float = 10.0
    pool_idle_timeout_s: float = 90.0
    pool_max_idle: int = 4  # per upstream and TLS identity
    close_grace_s: float = 1.0  # for responses under way when the block is left


@dataclass(frozen=True, slots=True)
class RunningProxy:
    port: int
    _engine: Engine

    @property
    def client_connections(self) -> int:
        return len(self._engine.connections)

    @property
    def usage_lines(self) -> list[str]:
        """What the models of this run have used up, for a person."""
        return self._engine.usage.summary_lines()

    @property
    def upstream_connections(self) -> int:
        """Busy and resting ones; tunnels are not among them."""
        return len(self._engine.pool.connections)


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
        dialer = Dialer(resolver, config.connect_timeout_s)
        for identity in {route.tls for route in config.routes} - {NO_IDENTITY}:
            dialer.context(identity)
        pool = Pool(idle_timeout_s=config.pool_idle_timeout_s, max_idle_per_key=config.pool_max_idle)
        async with anyio.create_task_group() as tasks:
            dispatcher = Dispatcher(
                RouteTable(config.routes, config.scopes, config.logins),
                config.hosts,
                config.session_token,
                port,
                intercepts=config.server_context is not None,
                chain=config.chain,
                require_auth=config.require_auth,
                own_names=config.own_names,
            )
            engine = Engine(
                dispatcher=dispatcher,
                # Which phantoms of a captured login are good changes during a run.
                judge=dispatcher.judge if config.logins.logins else VerdictMemo(dispatcher.judge),
                reach=Reach(dialer, port, config.chain),
                pool=pool,
                recorder=recorder,
                preparation=Preparation(config.routes, approver, alarm),
                usage=UsageLedger(shipped_prices()),
                flows=flows,
                server_context=config.server_context or no_authority,
                spawn=lambda work: tasks.start_soon(_contained, work),
                head_timeout_s=config.head_timeout_s,
                idle_timeout_s=config.idle_timeout_s,
                tunnel_idle_timeout_s=config.tunnel_idle_timeout_s,
            )
            if config.token_post is not None:
                config.token_post.bind(engine)
            greeting = _Greeting(engine.connections, config.max_connections, admits)
            server = await asyncio.get_running_loop().create_server(
                lambda: ClientConnection(engine, greeting), sock=bound
            )
            try:
                yield RunningProxy(port, engine)
            finally:
                server.close()
                with anyio.CancelScope(shield=True):
                    await _close(engine, config.close_grace_s)
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


async def _contained(work: Callable[[], Awaitable[None]]) -> None:
    """Runs work; a fault in it is that connection's and not the end of the proxy."""
    try:
        await work()
    except Exception:
        _log.exception("a connection of the proxy failed")


@dataclass(frozen=True, slots=True)
class _Greeting:
    """Whether a new connection is served at all."""

    connections: ConnectionSet
    limit: int
    admits: Admits | None

    def __call__(self, peer: tuple[str, int]) -> Refusal | Cut | None:
        open_now = len(self.connections)  # this one included
        if self.limit and open_now > self.limit + _OVERLOAD_ALLOWANCE:
            return Cut()
        if self.admits is not None and not self.admits(peer):
            # Whoever is told so keeps a place for a while, and other users could keep all of them.
            return Cut() if 0 < self.limit < 2 * open_now else refusal.not_admitted()
        if self.limit and open_now > self.limit:
            return refusal.too_many_connections(self.limit)
        return None


async def _close(engine: Engine, grace_s: float) -> None:
    """Let responses under way end, for grace_s at most; idle connections and tunnels close at once."""
    engine.connections.closing = True
    for member in [*engine.connections.members]:
        if isinstance(member, WindsDown):
            member.wind_down()
        else:
            member.abort()
    with anyio.move_on_after(grace_s):
        await _until_empty(engine.connections)
    engine.pool.close()
    for connections in (engine.connections, engine.tunnel_ends, engine.pool.connections):
        connections.abort()
        await _until_empty(connections)


async def _until_empty(connections: ConnectionSet) -> None:
    # A transport that was aborted still has to be told so by the loop.
    emptied = anyio.Event()
    connections.emptied = emptied.set
    if connections:
        await emptied.wait()
