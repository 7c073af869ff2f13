"""Send a request over five transports: tunnel, absolute form, intercepted HTTP/1.1, HTTP/2, reverse."""

from __future__ import annotations

import ssl
import tempfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from nono.policy.endpoints.policy import EndpointPolicy
from nono.policy.hosts.endpoint_scope import EndpointScope
from nono.proxy.verdict.host_policy import HostPolicy
from nono.proxy.verdict.routes import Route
from support.clients.http2 import Http2Client
from support.proxy.http2_stage import server_context, session_authority
from support.proxy.thread import PHANTOM, TOKEN, Client, Names, ProxyUnderTest, a_route, proxy
from support.servers.http1 import Authority, Handler, HttpUpstream, Received, answer_ok, upstream

Fields = Sequence[tuple[str, str]]

SITE = "site.test"  # the destination of tunnels and absolute forms
API = "api.test"  # the upstream of the route
LOGIN = "Basic " + b64encode(f"nono:{TOKEN}".encode()).decode()
KEY = ("authorization", f"Bearer {PHANTOM}")


class Transport(StrEnum):
    TUNNEL = "tunnel"
    ABSOLUTE = "absolute form"
    INSIDE = "intercepted"
    HTTP2 = "HTTP/2"
    REVERSE = "reverse"


CONNECTS = (Transport.TUNNEL, Transport.INSIDE, Transport.HTTP2)
WITH_CREDENTIAL = (Transport.INSIDE, Transport.HTTP2, Transport.REVERSE)
READABLE = (Transport.ABSOLUTE, *WITH_CREDENTIAL)  # transports where the proxy itself reads the request
_ALPN = {Transport.INSIDE: "http/1.1", Transport.HTTP2: "h2"}
TEXTUAL = (Transport.ABSOLUTE, Transport.INSIDE, Transport.REVERSE)  # those of them that are HTTP/1.1


@dataclass(frozen=True)
class Answer:
    """What came back, from the proxy or through it. status 0: the connection ended without an answer.

    fields: Over HTTP/2, followed by the trailers.
    """

    status: int
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    is_whole: bool = True

    def values(self, name: str) -> list[str]:
        return [value for field_name, value in self.fields if field_name == name]


class RefusedConnect(Exception):  # noqa: N818  # an event of the test, not a fault
    """The proxy answered a CONNECT with a status other than 200."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status} {answer.body!r}")
        self.answer = answer


@dataclass
class FiveTransports:
    """The proxy, and its two upstreams. secure is for all transports except the absolute form."""

    proxy: ProxyUnderTest
    secure: HttpUpstream
    plain: HttpUpstream
    upstream_ca: Authority

    @property
    def requests(self) -> list[Received]:
        """Return every request that any upstream received."""
        return [*self.secure.requests, *self.plain.requests]

    @property
    def is_untouched(self) -> bool:
        """Return True if no upstream has received even a connection."""
        return not self.secure.connections and not self.plain.connections

    @property
    def sent(self) -> bytes:
        """Return every byte that any upstream received."""
        return b"".join(each.raw for each in (*self.secure.connections, *self.plain.connections))

    @property
    def denials(self) -> list[dict[str, object]]:
        """Return the refusals in the audit log."""
        return [event for event in self.proxy.recording.network if event["decision"] == "deny"]

    def host_of(self, transport: Transport) -> str:
        return API if transport in WITH_CREDENTIAL else SITE

    def port_of(self, transport: Transport) -> int:
        return self.plain.port if transport is Transport.ABSOLUTE else self.secure.port

    def authority_of(self, transport: Transport) -> str:
        return f"{self.host_of(transport)}:{self.port_of(transport)}"

    def named_by(self, transport: Transport) -> str:
        """Return the Host field of a request."""
        return "127.0.0.1" if transport is Transport.REVERSE else self.authority_of(transport)

    def target_of(self, transport: Transport, path: str) -> str:
        match transport:
            case Transport.ABSOLUTE:
                return f"http://{self.authority_of(transport)}{path}"
            case Transport.REVERSE:
                return f"/alpha{path}"
            case _:
                return path

    def head(
        self,
        transport: Transport,
        path: str = "/x",
        *,
        method: str = "GET",
        fields: Fields = (),
        key: bool = True,
        logins: Sequence[str] = (LOGIN,),
        named: str | None = None,
    ) -> bytes:
        """Return a head in HTTP/1.1 without its blank line."""
        host = named if named is not None else self.named_by(transport)
        lines = [f"{method} {self.target_of(transport, path)} HTTP/1.1", f"host: {host}"]
        if transport is Transport.ABSOLUTE:
            lines += [f"proxy-authorization: {login}" for login in logins]
        if key and transport in WITH_CREDENTIAL:
            lines.append(": ".join(KEY))
        lines += [f"{name}: {value}" for name, value in fields]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n"

    @contextmanager
    def client(
        self,
        transport: Transport,
        *,
        logins: Sequence[str] = (LOGIN,),
        connect_fields: Fields = (),
        authority: str | None = None,
        server_name: str | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> Iterator[Client]:
        """Yield a connection ready for a request; for HTTP/2 without its preface. RefusedConnect."""
        with Client(self.proxy.port) as client:
            if transport in CONNECTS:
                authority = authority or self.authority_of(transport)
                lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}"]
                lines += [f"proxy-authorization: {login}" for login in logins]
                lines += [f"{name}: {value}" for name, value in connect_fields]
                _send(client, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
                _check_connect(client)
                trust = trust or self._trust(transport)
                client.transport = client.start_tls(server_name or self.host_of(transport), trust)
            yield client

    @contextmanager
    def http2(self, *, start: bool = True) -> Iterator[Http2Client]:
        with self.client(Transport.HTTP2) as client:
            assert isinstance(client.transport, ssl.SSLSocket)
            one = Http2Client(client.transport, self.authority_of(Transport.HTTP2))
            if start:
                one.start()
            yield one

    def ask(
        self,
        transport: Transport,
        path: str = "/x",
        *,
        method: str = "GET",
        fields: Fields = (),
        key: bool = True,
        logins: Sequence[str] = (LOGIN,),
        body: bytes | None = None,
        named: str | None = None,
    ) -> Answer:
        """Send one request on a connection of its own. In a tunnel, its fields are those of the CONNECT.

        named: The host that it names, instead of the right one.
        """
        connect_fields = fields if transport is Transport.TUNNEL else ()
        try:
            with self.client(transport, logins=logins, connect_fields=connect_fields) as client:
                if transport is Transport.HTTP2:
                    shown = [*([KEY] if key else []), *fields]
                    return self._ask_http2(client, path, method, shown, body, named)
                head = self.head(
                    transport,
                    path,
                    method=method,
                    fields=() if transport is Transport.TUNNEL else fields,
                    key=key,
                    logins=logins,
                    named=named,
                )
                if body is not None:
                    head += b"content-length: %d\r\n" % len(body)
                _send(client, head + b"\r\n" + (body or b""))
                return _response(client, method)
        except RefusedConnect as refused:
            return refused.answer

    def _trust(self, transport: Transport) -> ssl.SSLContext:
        return (
            self.upstream_ca.client_context()
            if transport is Transport.TUNNEL
            else _session_trust(_ALPN[transport])
        )

    def raw(self, transport: Transport, request: bytes, *, silent_s: float = 0) -> bytes:
        """Return everything that comes back for these bytes of HTTP/1.1. TimeoutError if it does not end.

        silent_s: how long nothing follows them, as far as the proxy knows.
        """
        with self.client(transport) as client:
            _send(client, request)
            if silent_s:
                self.proxy.let_pass(silent_s)
            back = b""
            try:
                while piece := client.transport.recv(65536):
                    back += piece
            except ConnectionError:  # the proxy closed while bytes of ours were still unread
                pass
            return back

    def _ask_http2(
        self, client: Client, path: str, method: str, fields: Fields, body: bytes | None, named: str | None
    ) -> Answer:
        assert isinstance(client.transport, ssl.SSLSocket)
        one = Http2Client(client.transport, named if named is not None else self.named_by(Transport.HTTP2))
        one.start()
        number = one.request(path, method=method, fields=fields, body=body)
        try:
            answer = one.answer(number)
        except AssertionError:  # the whole connection ended
            return Answer(0, is_whole=False)
        return Answer(answer.status, [*answer.fields, *answer.trailers], answer.body, is_whole=answer.ended)


def _send(client: Client, request: bytes) -> None:
    """Send everything, or what the proxy took before it closed; its answer can still be read."""
    with suppress(ConnectionError):
        client.send(request)


def _check_connect(client: Client) -> None:
    """Raise RefusedConnect unless what follows is the tunnel."""
    try:
        status, _, fields = client.head()
    except (AssertionError, ConnectionError):
        raise RefusedConnect(Answer(0, is_whole=False)) from None
    if status != 200:
        length = next((int(value) for name, value in fields if name == "content-length"), 0)
        raise RefusedConnect(Answer(status, fields, client.read_exactly(length)))


def _response(client: Client, method: str) -> Answer:
    try:
        response = client.response(to_head=method == "HEAD")
    except (AssertionError, ConnectionError):  # the connection ended first
        return Answer(0, is_whole=False)
    return Answer(response.status, response.fields, response.body)


def statuses(back: bytes) -> list[int]:
    """Return the status of every response in what came back, found by their first lines."""
    return [int(rest[2:5]) for rest in back.split(b"HTTP/1.")[1:]]


def _session_trust(*protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=session_authority().certificate_pem.decode())
    if protocols:
        context.set_alpn_protocols([*protocols])
    return context


@contextmanager
def five_transports(
    handler: Handler = answer_ok,
    *,
    hosts: HostPolicy | None = None,
    addresses: Sequence[Sequence[str]] | None = None,
    routes: Sequence[Route] = (),
    scoped: EndpointPolicy | None = None,
    served_with: ssl.SSLContext | None = None,
    options: dict[str, object] | None = None,
    **changes: object,
) -> Iterator[FiveTransports]:
    """Yield a proxy with the route alpha, and other routes.

    addresses: What SITE and API resolve to, a list for each look-up; the last one for all later look-ups.
    scoped: The rules for SITE in absolute form, which grant it for some paths only.
    served_with: Used instead of a certificate that is valid for SITE and API.
    options: Options of proxy.
    changes: Fields of the route alpha.
    """
    session_authority()  # now: otherwise the proxy and its client, each in a thread, would create one each
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(str(Path(folder) / "upstream-ca.pem"))
        secure_context = served_with or authority.server_context(SITE, API)
        with upstream(handler, secure_context) as secure, upstream(handler) as plain:
            alpha = a_route(secure.port, host=API, scheme="https", tls_ca=authority.ca_file, **changes)  # type: ignore[arg-type]  # further fields of Route
            names = Names()
            if addresses is not None:
                names.table = {host: [[*each] for each in addresses] for host in (SITE, API)}
            scopes = () if scoped is None else (EndpointScope(SITE, plain.port, "http", scoped, ""),)
            more: dict[str, object] = {"server_context": server_context, "scopes": scopes, **(options or {})}
            with proxy(alpha, *routes, hosts=hosts, names=names, **more) as running:  # type: ignore[arg-type]  # passed on
                yield FiveTransports(running, secure, plain, authority)
