"""Connect to an upstream: judge the name, look it up once, vet, record, and dial, directly or by proxy."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import anyio

from nono.disk.user_ids import owner_of
from nono.kernel.sock_diag import users_of_server
from nono.policy.hosts.host_filter import Allow, Refuse
from nono.policy.hosts.local_server import refused_server
from nono.policy.hosts.upstream import is_loopback
from nono.policy.schema.route_rules import NO_IDENTITY, TlsIdentity
from nono.proxy.handshake.alpn import HTTP1, Alpn
from nono.proxy.http import refusal
from nono.proxy.http import upstream_proxy as chaining
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.upstream_proxy import (
    MAX_REPLY_BYTES,
    Incomplete,
    Malformed,
    ProxyAddress,
    Reply,
    UpstreamProxy,
)
from nono.proxy.upstream.dial import Dialer, DialError
from nono.proxy.verdict.host_policy import HostPolicy, own_port_refused, reaches_proxy

_IN_NO_DNS = ".alt"  # RFC 9476: nobody is asked for such a name, which may be that of a profile
_LOCAL_LOOKUP_S = 2.0  # with an upstream proxy, which looks names up too, a hanging resolver must not block
_CHAIN_PATIENCE = 3  # times the connect time limit, because that proxy looks up and connects too


@dataclass(slots=True, eq=False)
class _Dial:
    """A connection that is being made, without an upstream proxy, to one of some vetted addresses."""

    host: str
    port: int
    hosts: HostPolicy
    addresses: Sequence[str]
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    denied: Refuse | None = None  # since it began


@dataclass(slots=True)
class Connector:
    """Opens every outgoing connection of the proxy."""

    dialer: Dialer
    own_port: int  # the proxy's; no connection may lead back to it
    upstream_proxy: UpstreamProxy | None = None  # the upstream proxy
    _dials: set[_Dial] = field(default_factory=set)

    def via(self, host: str, port: int) -> ProxyAddress | None:
        """Return the proxy used for a canonical host and port, or None."""
        upstream_proxy = self._proxy_for(host, port)
        return None if upstream_proxy is None else upstream_proxy.via

    def is_upstream_proxys(self, port: int) -> bool:
        """Return True if a connection to this port of some host may be one to the upstream proxy."""
        return self.upstream_proxy is not None and self.upstream_proxy.via.port == port

    async def connect[P: asyncio.BaseProtocol](
        self,
        protocol_factory: Callable[[], P],
        host: str,
        port: int,
        *,
        hosts: HostPolicy,
        may_begin: Callable[[], bool],
        sends_key: bool,
        server_name: str | None = None,
        tls: TlsIdentity = NO_IDENTITY,
        alpn: Alpn = HTTP1,
    ) -> P | Refusal:
        """Return a connected protocol, whose transport the caller closes, or the reason why there is none.

        protocol_factory: makes the protocol once the connection stands.
        host, port: the destination; the host is canonical.
        hosts: judges the name before any DNS query is sent, then every address.
        may_begin: called once, before the first connection attempt; records it and returns False to refuse.
        sends_key: without TLS, another user's server on this machine is refused.
        server_name, tls, alpn: as for Dialer.open.
        """
        try:
            addresses = await self._vetted(host, port, hosts)
            if isinstance(addresses, Refuse):
                return refusal.host_denied(addresses, host)
            if not may_begin():
                return refusal.not_recorded()
            connect = partial(self.dialer.open, server_name=server_name, tls=tls, alpn=alpn)
            upstream_proxy = self._proxy_for(host, port)
            if upstream_proxy is not None:
                connect = partial(connect, protocol_factory)
                return await self._connect_through(upstream_proxy, connect, host, port)
            first = _refuse_another_users if sends_key and server_name is None else None
            connect = partial(connect, first=first)
            return await self._dial(_Dial(host, port, hosts, addresses), connect, protocol_factory)
        except _TunnelRefused as refused:
            return chaining.rejected(host, refused.via, refused.reply)
        except DialError as failure:
            return refusal.upstream_failed(host, failure.reason, failure.failure)

    def cut_denied(self, judge: Callable[[str, int], Refuse | None]) -> int:
        """Give up what is being connected to an address that `judge` refuses. Returns how many were cut.

        Not what is refused by its name: whoever waits for that has been cut.
        """
        cut = 0
        for dial in self._dials:
            refused = next(filter(None, (judge(each, dial.port) for each in dial.addresses)), None)
            if refused is not None and isinstance(dial.hosts.judge_name(dial.host, dial.port), Allow):
                dial.denied = refused
                dial.scope.cancel()
                cut += 1
        return cut

    async def _dial[P](
        self, dial: _Dial, connect: Callable[..., Awaitable[P]], factory: Callable[[], P]
    ) -> P | Refusal:
        def made() -> P:
            # From here on it is one of the connections that are cut when rules change.
            verdict = self.judge_addresses(dial.hosts, dial.host, dial.port, dial.addresses)
            if isinstance(verdict, Refuse):
                dial.denied = verdict
                raise DialError(verdict.reason)
            return factory()

        self._dials.add(dial)
        try:
            with dial.scope:
                return await connect(made, dial.addresses, dial.port)
        except DialError:
            if dial.denied is None:
                raise
        finally:
            self._dials.discard(dial)
        assert dial.denied is not None  # nothing else cancels its scope
        denied = dial.denied._replace(reason=f"the rules changed: {dial.denied.reason}")
        return refusal.host_denied(denied, dial.host)

    def judge_addresses(
        self, hosts: HostPolicy, host: str, port: int, addresses: Sequence[str]
    ) -> Allow | Refuse:
        """Judge the addresses of `host`: the proxy's own port is refused first, then the filter decides."""
        if any(reaches_proxy(address, port, self.own_port) for address in addresses):
            return own_port_refused(host)
        return hosts.judge_addresses(host, port, addresses)

    def _proxy_for(self, host: str, port: int) -> UpstreamProxy | None:
        return (
            self.upstream_proxy
            if self.upstream_proxy is not None and self.upstream_proxy.carries(host, port)
            else None
        )

    async def _vetted(self, host: str, port: int, hosts: HostPolicy) -> Sequence[str] | Refuse:
        """Return the vetted addresses of `host`; () if only the upstream proxy can resolve it.

        Raises DialError if no address is found and no upstream proxy is used, or for a name in no DNS.
        """
        named = hosts.judge_name(host, port)
        if isinstance(named, Refuse):
            return named
        if host.endswith(_IN_NO_DNS):
            raise DialError(f"no address was found for {host}")
        if self.upstream_proxy is not None and self.upstream_proxy.is_at(host, port):
            return _chain_refused(host, self.upstream_proxy.via)
        addresses = await self._look_up(host, port)
        if not addresses:
            return addresses
        vetted = self.judge_addresses(hosts, host, port, addresses)
        if isinstance(vetted, Refuse):
            return vetted
        if self.upstream_proxy is not None and port == self.upstream_proxy.via.port:
            own = await self.dialer.resolve(*self.upstream_proxy.via)
            if not set(own).isdisjoint(addresses):
                return _chain_refused(host, self.upstream_proxy.via)
        return addresses

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        if self._proxy_for(host, port) is None:
            return await self.dialer.resolve(host, port)
        try:
            with anyio.move_on_after(_LOCAL_LOOKUP_S):
                return await self.dialer.resolve(host, port)
        except DialError:
            pass
        return ()

    async def _connect_through[P](
        self, upstream_proxy: UpstreamProxy, connect: Callable[..., Awaitable[P]], host: str, port: int
    ) -> P:
        # The person configured this address, so it may be on loopback and no host rule applies to it.
        try:
            addresses = await self.dialer.resolve(*upstream_proxy.via)
            ask = partial(_ask_for_tunnel, upstream_proxy, host, port)
            timeout_s = _CHAIN_PATIENCE * self.dialer.connect_timeout_s
            return await connect(addresses, upstream_proxy.via.port, first=ask, timeout_s=timeout_s)
        except DialError as failure:
            reason = f"through the upstream proxy {upstream_proxy.via}: {failure.reason}"
            raise DialError(reason, failure.failure) from None


class _TunnelRefused(Exception):  # noqa: N818  # an answer, not a fault
    def __init__(self, via: ProxyAddress, reply: Reply) -> None:
        super().__init__()
        self.via = via
        self.reply = reply


async def _refuse_another_users(connected: socket.socket) -> None:
    """Raise DialError if another user of this machine would read what is sent on a connected socket."""
    server, client = connected.getpeername()[:2], connected.getsockname()[:2]
    if is_loopback(server[0]):
        try:
            users = users_of_server(server, client)
        except ConnectionResetError:
            raise DialError("it closed the connection before anything was sent", "reset") from None
        if (refused := refused_server(users, os.geteuid(), owner_of)) is not None:
            raise DialError(refused, "blocked")


async def _ask_for_tunnel(
    upstream_proxy: UpstreamProxy, host: str, port: int, connected: socket.socket
) -> None:
    """Send CONNECT on a socket, which then leads to host:port. Raises DialError or _TunnelRefused.

    Bytes after the reply's head stay in the kernel's buffer: an upstream such as SSH may speak first.
    """
    if upstream_proxy.authorization is not None:
        await _refuse_another_users(connected)
    await asyncio.get_running_loop().sock_sendall(connected, upstream_proxy.request(host, port))
    begun = b""
    while True:
        ahead = await _peek(connected)
        match chaining.parse_reply(begun + ahead):
            case Malformed(reason):
                raise DialError(reason)
            case Incomplete():
                if not ahead:
                    raise DialError("it closed the connection before it answered")
                _skip(connected, len(ahead))
                begun += ahead
            case Reply() as reply:
                if reply.status != 200:
                    raise _TunnelRefused(upstream_proxy.via, reply)
                _skip(connected, reply.length - len(begun))
                return


async def _peek(connected: socket.socket) -> bytes:
    """Wait for input and return it without consuming it (MSG_PEEK); b"" at the end of the stream."""
    loop = asyncio.get_running_loop()
    while True:
        readable = asyncio.Event()
        loop.add_reader(connected, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(connected)
        try:
            return connected.recv(MAX_REPLY_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            continue


def _skip(connected: socket.socket, count: int) -> None:
    """Consume `count` bytes that were peeked at."""
    while count:
        count -= len(connected.recv(count))


def _chain_refused(host: str, via: ProxyAddress) -> Refuse:
    return Refuse(
        f"{host} is the upstream proxy {via}, which only nono speaks to", "upstream proxy", "built in", None
    )
