"""Send one small HTTP request of the proxy's own, such as fetching an access token."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio

from nono.in_thread import in_thread
from nono.named_tuple import NamedTuple
from nono.policy.hosts.upstream import Upstream, parse_upstream
from nono.policy.schema.route_rules import NO_IDENTITY, TlsIdentity
from nono.proxy.http.coded_streams import ContentCodingError
from nono.proxy.http.content_coding import decoder
from nono.proxy.http.message import Header, MessageError, ResponseHead, request_head
from nono.proxy.http.passing import end_to_end
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.writing import serialise
from nono.proxy.transport.turns import Turns
from nono.proxy.upstream.connection import Keeper, PoolKey, UpstreamConnection
from nono.proxy.upstream.connector import Connector
from nono.proxy.verdict.host_policy import HostPolicy

if TYPE_CHECKING:
    from nono.audit.event import Failure


class FetchError(OSError):
    """The fetch failed. `reason` is one sentence without any byte of a response."""

    def __init__(self, reason: str, failure: Failure = "proxy") -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = failure


class OwnRequest(NamedTuple):
    method: bytes
    target: bytes  # origin form
    headers: Sequence[Header]  # without Host and framing fields
    body: bytes = b""


class Fetched(NamedTuple):
    status: int
    headers: tuple[Header, ...]  # end-to-end fields
    body: bytes  # without framing and content coding


class Parts(Protocol):
    """The parts of ProxyContext that `fetch` uses."""

    @property
    def connector(self) -> Connector: ...
    @property
    def pool(self) -> Keeper: ...
    @property
    def turns(self) -> Turns: ...


def split_url(url: str) -> tuple[Upstream, bytes]:
    """Split a URL into origin and request target. Raises ValueError if the URL may not be used.

    Only https, or http to loopback, is accepted (see parse_upstream), because a secret is sent to the URL.
    """
    upstream = parse_upstream(url)
    if upstream.is_wildcard:
        raise ValueError("a wildcard names no one host")
    path = upstream.base_path
    if url.endswith("/") or not path:  # some servers distinguish /token/ from /token
        path += "/"
    return upstream._replace(base_path=""), path.encode("ascii")


async def fetch(
    parts: Parts,
    origin: Upstream,
    request: OwnRequest,
    *,
    hosts: HostPolicy,
    may_begin: Callable[[], bool],
    check_again: Callable[[], None] = lambda: None,
    tls: TlsIdentity = NO_IDENTITY,
    limit_bytes: int = 64 * 1024,
    timeout_s: float = 30.0,
) -> Fetched:
    """Return the response, whatever its status. Redirects are not followed. Raises FetchError.

    parts: connects to the upstream and keeps the connection in its pool's list.
    origin, request: the upstream, and the request to send to it.
    hosts: judges the name before it is looked up, then its addresses.
    may_begin: called once, before the first connection attempt; records it and returns False to refuse.
    check_again: called once connected, as dialling took time; if it raises, nothing is sent.
    tls: the roots to trust and the client certificate.
    limit_bytes: limits the body both as sent and decoded.
    timeout_s: limits everything together.
    """
    try:
        with anyio.fail_after(timeout_s):
            connection = await _connect(parts, origin, hosts, may_begin, tls)
            try:
                check_again()
                return await _exchange(connection, origin, request, limit_bytes)
            finally:
                connection.release(reusable=False)
    except TimeoutError:
        raise FetchError(f"{origin.host} did not answer within {timeout_s:g} s", "timeout") from None


async def _connect(
    parts: Parts, origin: Upstream, hosts: HostPolicy, may_begin: Callable[[], bool], tls: TlsIdentity
) -> UpstreamConnection:
    key = PoolKey(origin.scheme, origin.host, origin.port, tls, parts.connector.via(origin.host, origin.port))
    reached = await parts.connector.connect(
        lambda: UpstreamConnection(key, parts.pool, parts.turns),
        origin.host,
        origin.port,
        hosts=hosts,
        may_begin=may_begin,
        server_name=origin.host if origin.scheme == "https" else None,
        tls=tls,
        sends_key=True,
    )
    if isinstance(reached, Refusal):
        raise FetchError(reached.error, reached.failure or "blocked")
    return reached


async def _exchange(
    connection: UpstreamConnection, origin: Upstream, request: OwnRequest, limit_bytes: int
) -> Fetched:
    fields = [
        (b"Host", origin.authority),
        *request.headers,
        (b"Accept-Encoding", b"identity"),
        (b"Content-Length", b"%d" % len(request.body)),
        (b"Connection", b"close"),
    ]
    try:
        checked = request_head(request.method, request.target, "1.1", fields)
    except MessageError as fault:
        raise FetchError(f"the request cannot be sent: {fault.reason}") from None
    if not connection.is_open:
        raise FetchError("the upstream closed the connection", "closed")
    collector = _Collector(connection, limit_bytes)
    connection.begin(collector, request.method)
    start_line = b"%b %b HTTP/1.1" % (request.method, request.target)
    connection.write([serialise(start_line, checked.headers), request.body])
    return await collector.response()


class _Collector:
    """A ResponseSink that collects one response."""

    def __init__(self, connection: UpstreamConnection, limit_bytes: int) -> None:
        self._connection = connection
        self._limit_bytes = limit_bytes
        self._head: ResponseHead | None = None
        self._body = bytearray()
        self._failure: FetchError | None = None
        self._over = anyio.Event()

    async def response(self) -> Fetched:
        await self._over.wait()
        if self._failure is not None:
            raise self._failure
        if self._head is None:
            raise FetchError("the connection was given up")
        headers = self._head.headers
        codings = [value for name, value in headers if name.lower() == b"content-encoding"]
        body = bytes(self._body)
        if codings:
            # In a thread: a mebibyte of tiny members takes a quarter of a second.
            decode = partial(_decoded, body, b", ".join(codings), self._limit_bytes)
            body = await in_thread(decode, abandon_on_cancel=True)
        return Fetched(self._head.status, tuple(end_to_end(headers)), body)

    def response_interim(self, head: ResponseHead) -> None:
        """Ignore interim responses."""

    def response_started(self, head: ResponseHead) -> None:
        self._head = head

    def response_body(self, piece: bytes) -> None:
        self._body += piece
        if len(self._body) > self._limit_bytes:
            self._fail(_too_long(self._limit_bytes), "blocked")

    def response_flush(self) -> None:
        """Do nothing: everything is kept until the end."""

    def response_finished(self, fields: Sequence[Header], *, reusable: bool) -> None:
        self._over.set()

    def may_go(self) -> bool:
        """Return True. Never called: the connection holds nothing."""
        return True

    def response_switched(self, head: ResponseHead) -> None:
        """Never called: the request asks for no other protocol."""

    def upstream_failed(self, reason: str, failure: Failure) -> None:
        self._fail(reason, failure)

    def upstream_writable(self, writable: bool) -> None:
        """Do nothing: the small request has been written whole."""

    def _fail(self, reason: str, failure: Failure) -> None:
        if not self._over.is_set():
            self._failure = FetchError(reason, failure)
            self._over.set()
            self._connection.abort()


def _too_long(limit_bytes: int) -> str:
    return f"the response is longer than {limit_bytes} bytes"


def _decoded(body: bytes, coding: bytes, limit_bytes: int) -> bytes:
    """Decode `body`: some servers compress regardless of Accept-Encoding. Raises FetchError."""
    decoding = decoder(coding)
    if decoding is None:
        raise FetchError("the response is in a content coding that cannot be undone", "malformed")
    text = bytearray()
    try:
        for piece in decoding.feed(body):
            text += piece
            if len(text) > limit_bytes:
                raise FetchError(_too_long(limit_bytes), "blocked")
        decoding.finish()
    except ContentCodingError:
        raise FetchError("the response is not in the content coding that it names", "malformed") from None
    return bytes(text)
