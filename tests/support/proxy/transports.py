"""One request by each of five ways: tunnel, absolute form, intercepted HTTP/1.1 and HTTP/2, reverse."""

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
from nono.proxy.verdict.host_policy import HostPolicy
from nono.proxy.verdict.routes import Route, Scope
from support.clients.http2 import Http2Client
from support.proxy.http2_stage import server_context, session_authority
from support.proxy.thread import PHANTOM, TOKEN, Client, Names, ProxyUnderTest, a_route, proxy
from support.servers.http1 import Authority, Handler, HttpUpstream, Received, answer_ok, upstream

Fields = Sequence[tuple[str, str]]

SITE = "site.test"  # what tunnels and absolute forms lead to
API = "api.test"  # the upstream of the route
LOGIN = "Basic " + b64encode(f"nono:{TOKEN}".encode()).decode()
KEY = ("authorization", f"Bearer {PHANTOM}")


class Way(StrEnum):
    TUNNEL = "tunnel"
    ABSOLUTE = "absolute form"
    INSIDE = "intercepted"
    HTTP2 = "HTTP/2"
    REVERSE = "reverse"


CONNECTS = (Way.TUNNEL, Way.INSIDE, Way.HTTP2)
WITH_CREDENTIAL = (Way.INSIDE, Way.HTTP2, Way.REVERSE)
READABLE = (Way.ABSOLUTE, *WITH_CREDENTIAL)  # where the proxy reads the request itself
_ALPN = {Way.INSIDE: "http/1.1", Way.HTTP2: "h2"}
TEXTUAL = (Way.ABSOLUTE, Way.INSIDE, Way.REVERSE)  # those of them in HTTP/1.1


@dataclass(frozen=True)
class Answer:
    """What came back, from the proxy or through it. status 0: the connection ended without a word.

    fields: over HTTP/2 with the trailers behind them.
    """

    status: int
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    is_whole: bool = True

    def values(self, name: str) -> list[str]:
        return [value for field_name, value in self.fields if field_name == name]


class RefusedConnect(Exception):  # noqa: N818  # an event of the test, not a fault
    """The proxy answered a CONNECT with something else than 200."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"{answer.status} {answer.body!r}")
        self.answer = answer


@dataclass
class FiveWays:
    """The proxy, and the two upstreams behind it: secure for all ways but the absolute form."""

    proxy: ProxyUnderTest
    secure: HttpUpstream
    plain: HttpUpstream
    upstream_ca: Authority

    @property
    def requests(self) -> list[Received]:
        """Everything that any upstream received."""
        return [*self.secure.requests, *self.plain.requests]

    @property
    def is_untouched(self) -> bool:
        """Whether no upstream has seen so much as a connection."""
        return not self.secure.connections and not self.plain.connections

    @property
    def sent(self) -> bytes:
        """Every byte that any upstream received."""
        return b"".join(each.raw for each in (*self.secure.connections, *self.plain.connections))

    @property
    def denials(self) -> list[dict[str, object]]:
        """The refusals in the audit log."""
        return [event for event in self.proxy.recording.network if event["decision"] == "deny"]

    def host_of(self, way: Way) -> str:
        return API if way in WITH_CREDENTIAL else SITE

    def port_of(self, way: Way) -> int:
        return self.plain.port if way is Way.ABSOLUTE else self.secure.port

    def authority_of(self, way: Way) -> str:
        return f"{self.host_of(way)}:{self.port_of(way)}"

    def named_by(self, way: Way) -> str:
        """The Host field of a request."""
        return "127.0.0.1" if way is Way.REVERSE else self.authority_of(way)

    def target_of(self, way: Way, path: str) -> str:
        match way:
            case Way.ABSOLUTE:
                return f"http://{self.authority_of(way)}{path}"
            case Way.REVERSE:
                return f"/alpha{path}"
            case _:
                return path

    def head(
        self,
        way: Way,
        path: str = "/x",
        *,
        method: str = "GET",
        fields: Fields = (),
        key: bool = True,
        logins: Sequence[str] = (LOGIN,),
        named: str | None = None,
    ) -> bytes:
        """A head in HTTP/1.1 without its blank line."""
        host = named if named is not None else self.named_by(way)
        lines = [f"{method} {self.target_of(way, path)} HTTP/1.1", f"host: {host}"]
        if way is Way.ABSOLUTE:
            lines += [f"proxy-authorization: {login}" for login in logins]
        if key and way in WITH_CREDENTIAL:
            lines.append(": ".join(KEY))
        lines += [f"{name}: {value}" for name, value in fields]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n"

    @contextmanager
    def client(
        self,
        way: Way,
        *,
        logins: Sequence[str] = (LOGIN,),
        connect_fields: Fields = (),
        authority: str | None = None,
        server_name: str | None = None,
        trust: ssl.SSLContext | None = None,
    ) -> Iterator[Client]:
        """A connection on which a request can be sent; for HTTP/2 without its preface. RefusedConnect."""
        with Client(self.proxy.port) as client:
            if way in CONNECTS:
                authority = authority or self.authority_of(way)
                lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}"]
                lines += [f"proxy-authorization: {login}" for login in logins]
                lines += [f"{name}: {value}" for name, value in connect_fields]
                _send(client, "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
                _check_connect(client)
                trust = trust or self._trust(way)
                client.transport = client.start_tls(server_name or self.host_of(way), trust)
            yield client

    @contextmanager
    def http2(self, *, start: bool = True) -> Iterator[Http2Client]:
        with self.client(Way.HTTP2) as client:
            assert isinstance(client.transport, ssl.SSLSocket)
            one = Http2Client(client.transport, self.authority_of(Way.HTTP2))
            if start:
                one.start()
            yield one

    def ask(
        self,
        way: Way,
        path: str = "/x",
        *,
        method: str = "GET",
        fields: Fields = (),
        key: bool = True,
        logins: Sequence[str] = (LOGIN,),
        body: bytes | None = None,
        named: str | None = None,
    ) -> Answer:
        """One request on a connection of its own; by a tunnel, its fields stand on the CONNECT.

        named: the host that it names, in place of the right one.
        """
        connect_fields = fields if way is Way.TUNNEL else ()
        try:
            with self.client(way, logins=logins, connect_fields=connect_fields) as client:
                if way is Way.HTTP2:
                    shown = [*([KEY] if key else []), *fields]
                    return self._ask_http2(client, path, method, shown, body, named)
                head = self.head(
                    way,
                    path,
                    method=method,
                    fields=() if way is Way.TUNNEL else fields,
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

    def _trust(self, way: Way) -> ssl.SSLContext:
        return self.upstream_ca.client_context() if way is Way.TUNNEL else _session_trust(_ALPN[way])

    def raw(self, way: Way, request: bytes) -> bytes:
        """Everything that comes back for these bytes of HTTP/1.1; TimeoutError when there is no end to it."""
        with self.client(way) as client:
            _send(client, request)
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
        one = Http2Client(client.transport, named if named is not None else self.named_by(Way.HTTP2))
        one.start()
        number = one.request(path, method=method, fields=fields, body=body)
        try:
            answer = one.answer(number)
        except AssertionError:  # the whole connection ended
            return Answer(0, is_whole=False)
        return Answer(answer.status, [*answer.fields, *answer.trailers], answer.body, is_whole=answer.ended)


def _send(client: Client, request: bytes) -> None:
    """All of it, or as much as the proxy took before it closed; its answer is still to be had."""
    with suppress(ConnectionError):
        client.send(request)


def _check_connect(client: Client) -> None:
    """RefusedConnect, unless what follows is the tunnel."""
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
    """Of every response in what came back, found by their first lines."""
    return [int(rest[2:5]) for rest in back.split(b"HTTP/1.")[1:]]


def _session_trust(*protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=session_authority().certificate_pem.decode())
    if protocols:
        context.set_alpn_protocols([*protocols])
    return context


@contextmanager
def five_ways(
    handler: Handler = answer_ok,
    *,
    hosts: HostPolicy | None = None,
    addresses: Sequence[Sequence[str]] | None = None,
    routes: Sequence[Route] = (),
    scoped: EndpointPolicy | None = None,
    served_with: ssl.SSLContext | None = None,
    options: dict[str, object] | None = None,
    **changes: object,
) -> Iterator[FiveWays]:
    """A proxy with the route alpha, and routes beside it.

    addresses: what SITE and API resolve to, a list for each look-up, and the last one for all later ones.
    scoped: the rules of SITE where the absolute form leads to, so that it is granted for some paths only.
    served_with: in place of a certificate that is good for SITE and API. options: those of proxy;
    changes: fields of the route alpha.
    """
    session_authority()  # now: the proxy and its client, each in a thread, would make one each
    with tempfile.TemporaryDirectory() as folder:
        authority = Authority(str(Path(folder) / "upstream-ca.pem"))
        secure_context = served_with or authority.server_context(SITE, API)
        with upstream(handler, secure_context) as secure, upstream(handler) as plain:
            alpha = a_route(secure.port, host=API, scheme="https", tls_ca=authority.ca_file, **changes)  # type: ignore[arg-type]  # further fields of Route
            names = Names()
            if addresses is not None:
                names.table = {host: [[*each] for each in addresses] for host in (SITE, API)}
            scopes = () if scoped is None else (Scope(SITE, plain.port, "http", scoped),)
            more: dict[str, object] = {"server_context": server_context, "scopes": scopes, **(options or {})}
            with proxy(alpha, *routes, hosts=hosts, names=names, **more) as running:  # type: ignore[arg-type]  # passed on
                yield FiveWays(running, secure, plain, authority)
