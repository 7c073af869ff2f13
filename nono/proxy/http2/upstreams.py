"""Share upstream connections among the streams of one HTTP/2 client, in the version ALPN chose."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import anyio

from nono.clock import boot_s
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.handshake.alpn import HTTP1, HTTP2, Alpn
from nono.proxy.http import refusal
from nono.proxy.http.refusal import Refusal
from nono.proxy.http2.places import Place, Places
from nono.proxy.http2.upstream import Http2Upstream
from nono.proxy.upstream.connection import PoolKey, UpstreamConnection
from nono.proxy.verdict.host_policy import HostPolicy

Reached = Http2Upstream | UpstreamConnection

_OF_THE_WAY = ("upstream_connect_failed", "external_proxy_rejected")  # the same for every waiting request


class Upstreams:
    """The upstream connections of one client, shared by streams with the same origin and TLS identity.

    HTTP/2 connections belong to this one client and are closed with it. HTTP/1.1 connections come from the
    pool and return to it; call `done` when a stream no longer uses one. Their number is bounded, and a stream
    waits for its place.
    """

    def __init__(self, context: ProxyContext) -> None:
        self._context = context
        self._open: dict[PoolKey, list[Http2Upstream]] = {}
        self._locks: dict[PoolKey, anyio.Lock] = {}  # one dial at a time finds out the version
        self._failures: dict[PoolKey, Refusal] = {}  # reason of the last failed dial
        self._http1_only: set[PoolKey] = set()
        self._closed = False
        self._places = Places(context.http2_places)
        self._taken: dict[UpstreamConnection, Place] = {}  # in use, by the streams that use them

    def at_hand(self, key: PoolKey) -> Reached | None:
        """Return a connection that can take one more request now, or None."""
        if key in self._http1_only:
            place = self._places.take()
            return None if place is None else self._pooled(key, place)
        oldest_s = boot_s() - self._context.pool.idle_timeout_s
        for each in self._open.get(key, ()):
            if each.is_idle and each.idle_since < oldest_s:
                each.close()  # as a connection of the pool would be
        kept = self._open[key] = [each for each in self._open.get(key, ()) if not each.is_leaving]
        return next((each for each in kept if each.has_room), None)

    async def reach(
        self, key: PoolKey, hosts: HostPolicy, may_begin: Callable[[], bool]
    ) -> Reached | Refusal:
        """Return a connection that can take one more request, or the reason why there is none.

        key: origin, TLS identity and upstream proxy of the connection.
        hosts: judges the addresses if a connection has to be dialled.
        may_begin: called before dialling, records the request; False means it may not be sent.
        """
        if key not in self._http1_only:
            before = self._failures.get(key)
            async with self._locks.setdefault(key, anyio.Lock()):
                found = self.at_hand(key)
                if found is not None:
                    return found
                failure = self._failures.get(key)
                if failure is not None and failure is not before:
                    return failure  # of the dial just waited for; failing one by one takes too long
                if key not in self._http1_only:
                    place = await self._places.wait(self.close_idle)
                    return self._noted(key, await self._dial(key, hosts, may_begin, HTTP2, place))
        place = await self._places.wait(self.close_idle)
        pooled = self._pooled(key, place, keeps=True)
        return pooled or await self._dial(key, hosts, may_begin, HTTP1, place)

    def done(self, reached: Reached) -> None:
        """Note that the stream which was given this connection no longer uses it."""
        if isinstance(reached, Http2Upstream):
            self._make_room()
        elif (place := self._taken.pop(reached, None)) is not None:
            place.give_back()

    def _pooled(self, key: PoolKey, place: Place, *, keeps: bool = False) -> UpstreamConnection | None:
        """Take an idle HTTP/1.1 connection. If there is none the place is given back, unless `keeps`."""
        connection = self._context.pool.take(key)
        if connection is not None:
            self._taken[connection] = place
        elif not keeps:
            place.give_back()
        return connection

    def _make_room(self) -> None:
        """Give a waiting stream the place of a connection that has become idle."""
        if self._places.are_awaited:
            self.close_idle()

    def close_idle(self) -> None:
        """Close the HTTP/2 connections without streams: others need their places, or rules changed."""
        for connections in self._open.values():
            for connection in connections:
                if connection.is_idle:
                    connection.close()

    def _noted(self, key: PoolKey, reached: Reached | Refusal) -> Reached | Refusal:
        self._failures.pop(key, None)
        if isinstance(reached, Refusal) and reached.category in _OF_THE_WAY:
            self._failures[key] = reached
        return reached

    async def _dial(
        self, key: PoolKey, hosts: HostPolicy, may_begin: Callable[[], bool], alpn: Alpn, place: Place
    ) -> Reached | Refusal:
        """Open a connection.

        It keeps `place` until its stream is done, or with HTTP/2 until the connection ends.
        """
        opened: _Negotiation | Refusal | None = None
        try:
            opened = await self._context.connector.connect(
                lambda: _Negotiation(lambda http2: self._made(key, place, http2=http2)),
                key.host,
                key.port,
                hosts=hosts,
                may_begin=may_begin,
                server_name=key.host if key.scheme == "https" else None,
                tls=key.tls,
                alpn=alpn,
                sends_key=key.identity is not None,
            )
        finally:
            if not isinstance(opened, _Negotiation):
                place.give_back()
        if isinstance(opened, Refusal):
            return opened
        reached = opened.successor
        assert reached is not None
        if not isinstance(reached, Http2Upstream):
            self._taken[reached] = place
            return reached
        is_shared = False
        try:
            with anyio.move_on_after(self._context.connector.dialer.connect_timeout_s) as patience:
                await reached.settled()
            is_shared = reached.has_room and not self._closed
        finally:
            # Shared only now, not on connecting: a stream begun before the SETTINGS arrive would not know how
            # much it may send. If this task is cancelled meanwhile, the connection is closed.
            if is_shared:
                self._open.setdefault(key, []).append(reached)
            else:
                reached.close()
        if not is_shared:
            reason = "the upstream takes no HTTP/2 request"
            return refusal.upstream_failed(
                key.host, reason, "timeout" if patience.cancelled_caught else "malformed"
            )
        return reached

    def _made(self, key: PoolKey, place: Place, *, http2: bool) -> Reached:
        if not http2:
            self._http1_only.add(key)
            return UpstreamConnection(key, self._context.pool, self._context.turns)
        context = self._context
        return Http2Upstream(
            context.pool.connections, context.turns, context.http2_held, place.give_back, self._make_room
        )

    def close(self) -> None:
        """Close the HTTP/2 connections: the client is gone."""
        self._closed = True
        for connections in self._open.values():
            for connection in connections:
                connection.close()


class _Negotiation(asyncio.Protocol):
    """The first protocol of a connection; replaces itself with the one that ALPN (RFC 7301) chose."""

    def __init__(self, choose: Callable[[bool], Reached]) -> None:
        self._choose = choose
        self.successor: Reached | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        self.successor = self._choose(tls is not None and tls.selected_alpn_protocol() == "h2")
        cast(asyncio.Transport, transport).set_protocol(self.successor)
        self.successor.connection_made(transport)
