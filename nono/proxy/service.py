"""Serve the connections of a proxy and close them.

This is separate from the listener because it imports most of the proxy, and no command should wait for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Set
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.lowlevel

from nono.policy.hosts.host_filter import Refuse
from nono.policy.schema.route_rules import NO_IDENTITY
from nono.proxy.client.entrance import Entrance
from nono.proxy.client.http1 import ClientConnection
from nono.proxy.exchange.admission import Admission
from nono.proxy.exchange.context import ProxyContext, no_authority
from nono.proxy.transport.connection_set import Connection, ConnectionSet, Reaching, Rejudged, WindsDown
from nono.proxy.upstream.connector import Connector
from nono.proxy.upstream.dial import Dialer
from nono.proxy.upstream.pool import Pool
from nono.proxy.usage.ledger import UsageLedger
from nono.proxy.usage.prices import shipped_prices
from nono.proxy.verdict.dispatch import Dispatcher
from nono.proxy.verdict.host_policy import may_be_asked
from nono.proxy.verdict.live_judge import LiveJudge
from nono.proxy.verdict.memo import Judge, VerdictMemo

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from nono.proxy.config import Collaborators, ProxyConfig
    from nono.proxy.verdict.routes import RouteTable

_log = logging.getLogger(__name__)

_ABORTED_S = 2.0  # within a turn or two of the loop an aborted connection is gone
_FEW = 2  # credentials of an agent; what searches for one takes 0.7 MB


class ProxyService:
    """The context of one proxy and its client connections.

    Raises OSError if a file of a route's TLS identity cannot be read.
    """

    def __init__(
        self, config: ProxyConfig, routes: RouteTable, port: int, parts: Collaborators, tasks: TaskGroup
    ) -> None:
        """Serve on `port`. tasks: Owns the tasks of the connections."""
        dialer = self._dialer = Dialer(parts.resolver, config.connect_timeout_s)
        for identity in {route.tls for route in config.routes} - {NO_IDENTITY}:
            dialer.context(identity)
        self._initial = _initial_dispatcher(config, routes, port)
        self._live_endpoints = config.live_endpoints
        self._judge_look_up, self._ports_named = config.judge_look_up, config.ports_named
        self._renewal_grace_s = config.renewal_grace_s
        # No memo with captured logins: the set of valid login phantoms changes during a run.
        memo: Callable[[Judge], Judge] = (lambda judge: judge) if config.logins.logins else VerdictMemo
        self._current = self._dispatcher()
        self._judges = (
            LiveJudge(lambda: memo(self._current.judge)),
            LiveJudge(lambda: replace(self._current, require_auth=False).judge),
        )
        prices = shipped_prices()
        self.context = ProxyContext(
            dispatcher=self._initial,
            judge=self._judges[0],
            refused_since=lambda verdict: self._current.refused_since(verdict),
            judge_known=self._judges[1],
            live_hosts=config.live_hosts,
            asks_hosts=config.asks_hosts,
            connector=Connector(dialer, port, config.upstream_proxy),
            pool=Pool(idle_timeout_s=config.pool_idle_timeout_s, max_idle_per_key=config.pool_max_idle),
            recorder=parts.recorder,
            admission=Admission(config.routes, parts.approver, parts.alarm, prices),
            usage=UsageLedger(prices),
            flows=parts.flows,
            on_turn=parts.on_turn,
            programs=parts.programs,
            server_context=config.server_context or no_authority,
            spawn=lambda work: tasks.start_soon(_contained, work),
            head_timeout_s=config.head_timeout_s,
            idle_timeout_s=config.idle_timeout_s,
            tunnel_idle_timeout_s=config.tunnel_idle_timeout_s,
        )
        if config.token_post is not None:
            config.token_post.bind(self.context)
        self._entrance = Entrance(
            self.context.connections,
            config.max_connections,
            parts.admits,
            parts.is_ours,
            parts.recognises,
            parts.destination_of,
        )

    def _dispatcher(self) -> Dispatcher:
        """Return a dispatcher with the initial settings and the current rules."""
        live, initial = self._live_endpoints, self._initial
        return initial if live is None else replace(initial, routes=initial.routes.under(live.laid_over))

    def judge_look_up(self, host: str) -> Refuse | None:
        """Return why no port of a host may be reached now; None if one may, or if a person is asked."""
        assert self._judge_look_up is not None  # otherwise the command is told of no name server
        if self._initial.routes.leads_to(host):
            return None
        verdict = self._judge_look_up(host)
        if not isinstance(verdict, Refuse) or (self.context.asks_hosts and may_be_asked(verdict, host)):
            return None
        return verdict

    def ports_named(self, host: str) -> Set[int]:
        """Return the ports of a host that rules and routes name."""
        assert self._ports_named is not None  # as above
        return self._ports_named(host) | self._initial.routes.ports_of(host)

    def connection(self) -> asyncio.Protocol:
        """Return the protocol for a new client connection."""
        return ClientConnection(self.context, self._entrance)

    def preparations(self) -> Iterator[Callable[[], object]]:
        """Yield what the first request with a credential would wait for, in steps of 1 to 6 ms."""
        yield self.load_roots
        found = (each.credential for each in self._initial.routes.routes)
        credentials = [each for each in found if each is not None]
        if credentials:
            yield _import_turns
        if len(credentials) <= _FEW:
            detectors = (each.tripwire() for each in credentials)
            # Searching the first text builds what searches.
            yield from (partial(each.find, b"") for each in detectors if each is not None)

    def load_roots(self) -> None:
        """Parse the system's roots, for 6 ms, if the first request with a credential would have to."""
        usual = (each for each in self._initial.routes.routes if each.tls == NO_IDENTITY)
        if any(each.credential is not None and each.origin.scheme == "https" for each in usual):
            self._dialer.context(NO_IDENTITY)

    def rules_changed(self) -> int:
        """Judge open connections by the current rules, and cut those refused. Returns how many were cut."""
        self._current = self._dispatcher()
        for judge in self._judges:
            judge.renew()
        self.context.pool.drop_idle()
        cut = sum(_cut_if_refused(each) for each in [*self.context.connections.members])
        return cut + self._cut_denied_addresses()

    def _cut_denied_addresses(self) -> int:
        """Cut what stands to an address that is denied, whatever name has led there."""
        context = self.context
        if context.live_hosts is None:
            return 0
        members = [*context.pool.connections.members, *context.tunnel_ends.members]
        cut = sum(_cut_if_denied(each, self._judge_reached) for each in members)
        return cut + context.connector.cut_denied(self._judge_reached)

    def _judge_reached(self, address: str, port: int) -> Refuse | None:
        live, connector = self.context.live_hosts, self.context.connector
        if live is None or connector.is_upstream_proxys(port):
            return None
        return live.judge_reached(address, port)

    async def close(self, grace_s: float) -> None:
        """Let responses in flight end within grace_s seconds; close idle connections and tunnels at once.

        Renewals of logins have seconds of their own.
        """
        context = self.context
        context.connections.closing = True
        await anyio.lowlevel.checkpoint()  # who was accepted in this turn is only told so in the next
        for member in [*context.connections.members]:
            if isinstance(member, WindsDown):
                member.wind_down()
            else:
                member.abort()
        with anyio.move_on_after(grace_s):
            await _until_empty(context.connections)
        with anyio.move_on_after(self._renewal_grace_s):
            await context.renewals.until_none()
        context.pool.close()
        for connections in (context.connections, context.tunnel_ends, context.pool.connections):
            connections.abort()
            # Whatever the loop owes one, the person who waits for the end of the run is owed more.
            with anyio.move_on_after(_ABORTED_S) as waiting:
                await _until_empty(connections)
            if waiting.cancelled_caught:
                _log.error("connections of the proxy that were cut and are not gone: %d", len(connections))
        context.outcomes.flush()


def _initial_dispatcher(config: ProxyConfig, routes: RouteTable, port: int) -> Dispatcher:
    return Dispatcher(
        routes,
        config.hosts,
        config.session_token,
        port,
        intercepts=config.server_context is not None,
        upstream_proxy=config.upstream_proxy,
        require_auth=config.require_auth,
        own_names=config.own_names,
    )


def _cut_if_refused(connection: Connection) -> bool:
    """Judge a connection. One that cannot be judged is cut, and keeps no other from it."""
    try:
        return isinstance(connection, Rejudged) and connection.cut_if_refused()
    except Exception:
        _log.exception("a connection of the proxy could not be judged")
        connection.abort()
        return True


def _cut_if_denied(connection: Connection, judge: Callable[[str, int], Refuse | None]) -> bool:
    peer = connection.peer if isinstance(connection, Reaching) else None
    refused = None if peer is None else judge(*peer)
    if refused is None or not isinstance(connection, Reaching):
        return False
    try:
        connection.cut(f"the rules changed: {refused.reason}")
    except Exception:
        _log.exception("a connection of the proxy could not be cut in order")
        connection.abort()
    return True


def _import_turns() -> None:
    from nono.proxy.conversation import run_turns  # noqa: F401 - imported for later


async def _contained(work: Callable[[], Awaitable[None]]) -> None:
    """Run `work`; log a fault in it, so that it ends one connection and not the proxy."""
    try:
        await work()
    except Exception:
        _log.exception("a connection of the proxy failed")


async def _until_empty(connections: ConnectionSet) -> None:
    # connection_lost of an aborted transport only runs in a later turn of the loop.
    emptied = anyio.Event()
    connections.emptied = emptied.set
    if connections:
        await emptied.wait()
