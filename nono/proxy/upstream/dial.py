"""Look up names once, and connect to vetted addresses with staggered attempts and verified TLS."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, cast

import anyio

from nono.in_thread import in_thread
from nono.policy.schema.route_rules import NO_IDENTITY, TlsIdentity
from nono.proxy.handshake.alpn import HTTP1, Alpn
from nono.proxy.transport.deadline import FLUSH_S
from nono.proxy.transport.handover import Handover
from nono.proxy.transport.tls_reads import TlsReads
from nono.proxy.upstream.contexts import tls_context
from nono.watch import watch

if TYPE_CHECKING:
    from nono.audit.event import Failure

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

_MAX_ADDRESSES = 16
# tcp(7). The client's own probes end at this proxy: without these its connection would outlive any network,
# and a gateway on the way would forget one that waits for a slow answer.
_KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 60),  # seconds
    (socket.TCP_KEEPINTVL, 30),
    (socket.TCP_KEEPCNT, 4),
)


class DialError(Exception):
    """The connection failed. `reason` fits a status line."""

    def __init__(self, reason: str, failure: Failure = "unreachable") -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = failure


def interleaved(addresses: Sequence[str]) -> list[str]:
    """Order the attempts: alternate address families, starting with the first's (RFC 8305 section 4)."""
    first_is_v6 = bool(addresses) and ":" in addresses[0]
    preferred = [address for address in addresses if (":" in address) == first_is_v6]
    others = [address for address in addresses if (":" in address) != first_is_v6]
    pairs = zip_longest(preferred, others)
    return [address for address in chain.from_iterable(pairs) if address is not None][:_MAX_ADDRESSES]


async def _connect(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    attempt = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        attempt.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            attempt.setsockopt(socket.IPPROTO_TCP, option, value)
        try:
            attempt.connect((address, port))
        except BlockingIOError:
            await _writable(attempt)
    except BaseException:
        attempt.close()
        raise
    return attempt


async def _writable(attempt: socket.socket) -> None:
    """Wait until `attempt` has connected. Raises OSError if it fails.

    Not sock_connect(): uvloop would resolve even an address in one of libuv's threads (lookups.py).
    """
    watch(attempt.fileno())
    await anyio.wait_writable(attempt)
    failure = attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if failure:
        raise OSError(failure, os.strerror(failure))


async def connect_first(addresses: Sequence[str], port: int, *, stagger_s: float = 0.25) -> socket.socket:
    """Return the first socket that connects to one of the addresses; the caller closes it.

    The next attempt starts when the one before fails, or after stagger_s (RFC 8305 section 5). Raises the
    OSError of the last failure if none connects.
    """
    if len(addresses) == 1:
        return await _connect(addresses[0], port)
    winners: list[socket.socket] = []
    failures: list[OSError] = []
    async with anyio.create_task_group() as group:

        async def attempt(address: str, over: anyio.Event) -> None:
            try:
                connected = await _connect(address, port)
            except OSError as failure:
                failures.append(failure)
            else:
                winners.append(connected)
                group.cancel_scope.cancel()
            over.set()

        for address in interleaved(addresses):
            over = anyio.Event()
            group.start_soon(attempt, address, over)
            with anyio.move_on_after(stagger_s):
                await over.wait()
    for late in winners[1:]:
        late.close()
    if winners:
        return winners[0]
    raise failures[-1] if failures else OSError("no address to connect to")


def _reason(failure: OSError) -> str:
    # uvloop writes the address into strerror, so take the text of the errno.
    if isinstance(failure, ssl.SSLError) or failure.errno is None:
        return getattr(failure, "reason", None) or type(failure).__name__
    return os.strerror(failure.errno)


def _kind(failure: OSError) -> Failure:
    if isinstance(failure, ssl.SSLError):
        return "tls"
    match failure.errno:
        case errno.ECONNREFUSED:
            return "refused"
        case errno.ECONNRESET | errno.EPIPE:
            return "reset"
        case errno.ETIMEDOUT:
            return "timeout"
    return "reset" if isinstance(failure, ConnectionResetError) else "unreachable"


async def _secured(
    plain: asyncio.Transport, context: ssl.SSLContext, server_name: str | None, reads: TlsReads
) -> tuple[asyncio.Transport, Handover]:
    """Start TLS on `plain`.

    A separate step, because uvloop does not clean up if connect and TLS are cancelled as one.
    """
    opening = Handover()
    loop = asyncio.get_running_loop()
    loop.call_soon(reads.share, plain)  # after start_tls() has begun, before anything is read
    try:
        secured = await loop.start_tls(
            plain, opening, context, server_hostname=server_name, ssl_shutdown_timeout=FLUSH_S
        )
    except BaseException:
        plain.abort()
        raise
    assert secured is not None
    reads.secured(plain, secured)
    opening.connection_made(secured)
    return secured, opening


@dataclass(slots=True)
class Dialer:
    """Looks up names and connects, each within connect_timeout_s."""

    resolver: Resolver
    connect_timeout_s: float = 10.0
    reads: TlsReads = field(default_factory=TlsReads)
    _contexts: dict[tuple[TlsIdentity, Alpn], ssl.SSLContext] = field(default_factory=dict)
    _loading: anyio.Lock = field(default_factory=anyio.Lock)

    async def resolve(self, host: str, port: int) -> Sequence[str]:
        """Return at least one address of `host`. Raises DialError otherwise."""
        try:
            with anyio.fail_after(self.connect_timeout_s):
                addresses = await self.resolver(host, port)
        except TimeoutError:
            raise DialError(f"looking up {host} took too long", "timeout") from None
        except (OSError, UnicodeError):
            raise DialError(f"no address was found for {host}") from None
        if not addresses:
            raise DialError(f"no address was found for {host}")
        return addresses

    async def open[P: asyncio.BaseProtocol](
        self,
        protocol_factory: Callable[[], P],
        addresses: Sequence[str],
        port: int,
        *,
        server_name: str | None = None,
        tls: TlsIdentity = NO_IDENTITY,
        alpn: Alpn = HTTP1,
        first: Callable[[socket.socket], Awaitable[None]] | None = None,
        timeout_s: float | None = None,
    ) -> P:
        """Return a connected protocol, whose transport the caller closes. Raises DialError.

        protocol_factory: makes the protocol once the connection stands; what it raises ends the connection.
        addresses, port: the vetted destination.
        server_name: verify TLS for this name; None speaks plain TCP.
        tls: the roots to trust and the client certificate.
        alpn: the protocols to offer.
        first: awaited with the connected socket before anything else is sent on it.
        timeout_s: limits everything together; None for connect_timeout_s.
        """
        try:
            with anyio.fail_after(timeout_s or self.connect_timeout_s):
                connected = await connect_first(addresses, port)
                if first is not None:
                    try:
                        await first(connected)
                    except BaseException:
                        connected.close()
                        raise
                return await self._attach(protocol_factory, connected, server_name, (tls, alpn))
        except TimeoutError:
            raise DialError(f"connecting to port {port} took too long", "timeout") from None
        except ssl.SSLCertVerificationError as failure:
            raise DialError(f"the certificate was not accepted: {failure.verify_message}", "tls") from None
        except OSError as failure:
            raise DialError(f"connecting failed: {_reason(failure)}", _kind(failure)) from None

    async def _attach[P: asyncio.BaseProtocol](
        self,
        protocol_factory: Callable[[], P],
        connected: socket.socket,
        server_name: str | None,
        tls: tuple[TlsIdentity, Alpn],
    ) -> P:
        loop = asyncio.get_running_loop()
        try:
            # Made here, so that a route's CA file is read when it is first needed.
            context = None if server_name is None else await self._loaded(*tls)
            watch(connected.fileno())
            transport, opening = await loop.create_connection(Handover, sock=connected)
        except BaseException:
            with suppress(OSError):
                connected.close()
            raise
        if context is not None:
            transport, opening = await _secured(transport, context, server_name, self.reads)
        try:
            protocol = protocol_factory()
        except BaseException:
            transport.abort()
            raise
        opening.replace_with(cast(asyncio.Protocol, protocol), transport)
        return protocol

    async def _loaded(self, identity: TlsIdentity, alpn: Alpn) -> ssl.SSLContext:
        """Do as context() does, but load the roots in a thread, so that the loop serves others meanwhile."""
        kept = self._contexts.get((identity, alpn))
        if kept is None:
            async with self._loading:  # an agent's first requests come together, and need the same context
                kept = await in_thread(partial(self.context, identity, alpn), abandon_on_cancel=True)
        return kept

    def context(self, identity: TlsIdentity, alpn: Alpn = HTTP1) -> ssl.SSLContext:
        """Return the cached context for `identity` and `alpn`; loading the roots takes milliseconds."""
        kept = self._contexts.get((identity, alpn))
        if kept is None:
            kept = self._contexts[identity, alpn] = tls_context(identity, alpn)
        return kept
