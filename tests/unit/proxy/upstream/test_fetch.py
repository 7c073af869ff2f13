"""The proxy's own requests: vetted, verified, bounded, and answered once or not at all."""

from __future__ import annotations

import gzip
import socket
import threading
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import pytest

from nono.credentials.oauth2.credential import OAuth2Credential, TokenExchangeFailed
from nono.credentials.values.credential import Outgoing, RequestFacts
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import Inject, TlsIdentity
from nono.proxy.http.message import Header
from nono.proxy.transport.turns import Turns
from nono.proxy.upstream import connector
from nono.proxy.upstream.connector import Connector
from nono.proxy.upstream.dial import Dialer
from nono.proxy.upstream.fetch import Fetched, FetchError, OwnRequest, fetch, split_url
from nono.proxy.upstream.pool import Pool
from nono.secret import Secret
from support.proxy.thread import Hosts, Names
from support.servers.http1 import Authority, HttpUpstream, Received, upstream

FORM = OwnRequest(b"POST", b"/token", [(b"Content-Type", b"text/plain")], b"a=b")


class Parts:
    """An engine with nothing but what fetch uses; its pool has to be empty when the loop has turned."""

    def __init__(self, names: Names | None = None) -> None:
        self.names = names or Names()
        self.connector = Connector(Dialer(self.names), own_port=0)
        self.pool = Pool()
        self.turns = Turns()


def run[T](work: Callable[[], Coroutine[object, object, T]]) -> T:
    return anyio.run(work, backend_options={"use_uvloop": True})


def fetched(
    server: HttpUpstream,
    request: OwnRequest = FORM,
    *,
    parts: Parts | None = None,
    scheme: str = "http",
    host: str = "127.0.0.1",
    hosts: Hosts | None = None,
    may_begin: Callable[[], bool] = lambda: True,
    tls: TlsIdentity | None = None,
    limit_bytes: int = 1000,
    timeout_s: float = 20.0,
) -> Fetched:
    used = parts or Parts()

    async def main() -> Fetched:
        gone = anyio.Event()
        used.pool.connections.emptied = gone.set
        try:
            return await fetch(
                used,
                Upstream(scheme, host, server.port),
                request,
                hosts=hosts or Hosts(),
                may_begin=may_begin,
                tls=tls or TlsIdentity(),
                limit_bytes=limit_bytes,
                timeout_s=timeout_s,
            )
        finally:
            if len(used.pool.connections):
                await gone.wait()

    return run(main)


def answering(reply: bytes) -> Callable[[Received], None]:
    """Return a handler that sends reply and closes."""

    def handler(request: Received) -> None:
        request.read_body()
        request.connection.send(reply)
        with suppress(OSError):  # the proxy may have had enough
            request.connection.transport.shutdown(socket.SHUT_RDWR)

    return handler


def with_fields(fields: bytes, body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + body


# -- there and back


def test_a_whole_request_is_exchanged_for_its_response() -> None:
    def handler(request: Received) -> None:
        request.read_body()
        request.connection.respond(201, b"made", [("X-A", "1"), ("Keep-Alive", "timeout=5")])

    with upstream(handler) as server:
        answer = fetched(server)
        (request,) = server.received(1)
    assert request.request_line == b"POST /token HTTP/1.1"
    assert request.fields == [
        (b"host", b"127.0.0.1:%d" % server.port),
        (b"content-type", b"text/plain"),
        (b"accept-encoding", b"identity"),
        (b"content-length", b"3"),
        (b"connection", b"close"),
    ]
    assert request.body == b"a=b"
    assert (answer.status, answer.body) == (201, b"made")
    assert (b"X-A", b"1") in answer.headers
    assert not any(name.lower() == b"keep-alive" for name, _ in answer.headers)


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(with_fields(b"Content-Length: 4\r\n", b"body"), id="length"),
        pytest.param(
            with_fields(b"Transfer-Encoding: chunked\r\n", b"1\r\nb\r\n3;x=y\r\nody\r\n0\r\nT: 1\r\n\r\n"),
            id="chunked",
        ),
        pytest.param(with_fields(b"", b"body"), id="until close"),
        pytest.param(
            b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + with_fields(b"Content-Length: 4\r\n", b"body"),
            id="after an interim response",
        ),
        pytest.param(with_fields(b"Content-Encoding: gzip\r\n", gzip.compress(b"body")), id="gzip"),
        pytest.param(with_fields(b"Content-Encoding: X-GZIP\r\n", gzip.compress(b"body")), id="x-gzip"),
        pytest.param(
            with_fields(
                b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
                b"".join(b"1\r\n%c\r\n" % byte for byte in gzip.compress(b"body")) + b"0\r\n\r\n",
            ),
            id="gzip in chunks",
        ),
        pytest.param(with_fields(b"Content-Encoding: identity\r\n", b"body"), id="identity"),
    ],
)
def test_framing_and_coding_are_undone(reply: bytes) -> None:
    with upstream(answering(reply)) as server:
        assert fetched(server).body == b"body"


def test_a_redirect_is_returned_rather_than_followed() -> None:
    with upstream() as elsewhere:

        def handler(request: Received) -> None:
            request.read_body()
            request.connection.respond(307, b"", [("Location", f"http://127.0.0.1:{elsewhere.port}/token")])

        with upstream(handler) as server:
            assert fetched(server).status == 307
            assert len(server.requests) == 1
        assert elsewhere.connections == []


# -- what is no response


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(b"", "closed the connection before", id="nothing"),
        pytest.param(b"<html>\r\n\r\n", "not well-formed", id="no HTTP"),
        pytest.param(
            with_fields(b"Content-Length: 9\r\n", b"body"), "closed the connection before", id="short"
        ),
        pytest.param(
            with_fields(b"Transfer-Encoding: chunked\r\n", b"4\r\nbody\r\n"),
            "closed the connection before",
            id="chunks without an end",
        ),
        pytest.param(
            with_fields(b"Content-Length: 1\r\nContent-Length: 2\r\n", b"b"),
            "not well-formed",
            id="two lengths",
        ),
        pytest.param(b"HTTP/1.1 101 Go\r\nUpgrade: x\r\n\r\n", "not well-formed", id="switch of protocols"),
        pytest.param(with_fields(b"", b"x" * 1001), "longer than 1000 bytes", id="too long"),
        pytest.param(
            with_fields(b"Content-Encoding: gzip\r\n", gzip.compress(bytes(10**6))[:900]),
            "longer than 1000 bytes",
            id="beginning of a gzip bomb",
        ),
        pytest.param(
            with_fields(b"Content-Encoding: gzip\r\n", gzip.compress(bytes(1001))),
            "longer than 1000 bytes",
            id="gzip of one byte too many",
        ),
        pytest.param(
            with_fields(b"Content-Encoding: gzip\r\n", b"body"), "not in the content coding", id="no gzip"
        ),
        pytest.param(
            with_fields(b"Content-Encoding: gzip\r\n", gzip.compress(b"body")[:-1]),
            "not in the content coding",
            id="cut gzip",
        ),
        pytest.param(
            with_fields(b"Content-Encoding: gzip\r\n", gzip.compress(b"body") + b"x"),
            "not in the content coding",
            id="gzip and more",
        ),
        pytest.param(
            with_fields(b"Content-Encoding: gzip, gzip\r\n", gzip.compress(gzip.compress(b"body"))),
            "cannot be undone",
            id="two codings",
        ),
        pytest.param(
            with_fields(b"Content-Encoding: lzma\r\n", b"body"), "cannot be undone", id="other coding"
        ),
    ],
)
def test_a_response_that_is_not_whole_or_too_long_is_none(reply: bytes, reason: str) -> None:
    with upstream(answering(reply)) as server, pytest.raises(FetchError, match=reason) as caught:
        fetched(server)
    assert caught.value.failure != "timeout"
    assert "body" not in caught.value.reason


def test_a_body_without_end_is_given_up_at_the_limit() -> None:
    def handler(request: Received) -> None:
        request.read_body()
        request.connection.send(with_fields(b"", b""))
        while True:  # ends with Gone, when the proxy has closed
            request.connection.send(bytes(65536))

    with upstream(handler) as server, pytest.raises(FetchError, match="longer than 1000 bytes"):
        fetched(server)


def test_a_server_that_drips_does_not_extend_its_time() -> None:
    over = threading.Event()

    def handler(request: Received) -> None:
        request.read_body()
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not over.wait(0.02):
            request.connection.send(b"x")

    with upstream(handler) as server:
        try:
            with pytest.raises(FetchError, match=r"did not answer within 0\.5 s") as caught:
                fetched(server, timeout_s=0.5)
        finally:
            over.set()
    assert caught.value.failure == "timeout"


def test_a_caller_that_goes_away_takes_the_connection_with_it() -> None:
    async def main(server: HttpUpstream) -> None:
        parts = Parts()
        gone = anyio.Event()
        parts.pool.connections.emptied = gone.set
        origin = Upstream("http", "127.0.0.1", server.port)
        async with anyio.create_task_group() as group:

            async def ask() -> None:
                await fetch(parts, origin, FORM, hosts=Hosts(), may_begin=lambda: True)

            group.start_soon(ask)
            await anyio.to_thread.run_sync(server.received, 1)
            group.cancel_scope.cancel()
        await gone.wait()

    def handler(request: Received) -> None:
        request.read_body()
        request.connection.wait_gone()

    with upstream(handler) as server:
        run(lambda: main(server))


# -- who may be asked


def test_a_refused_name_is_not_looked_up() -> None:
    parts = Parts()
    with upstream() as server:
        with pytest.raises(FetchError, match=r"host login\.test is in the deny list"):
            fetched(server, parts=parts, host="login.test", hosts=Hosts(denied=frozenset({"login.test"})))
        assert (parts.names.asked, server.connections) == ([], [])
        assert fetched(server, parts=parts, host="login.test").status == 200


def test_one_refused_address_among_many_is_enough() -> None:
    parts = Parts(Names({"login.test": [["127.0.0.1", "169.254.169.254"]]}))
    hosts = Hosts(denied_addresses=frozenset({"169.254.169.254"}))
    with upstream() as server:
        with pytest.raises(FetchError, match=r"169\.254\.169\.254 is denied"):
            fetched(server, parts=parts, host="login.test", hosts=hosts)
        assert server.connections == []


def test_the_name_is_looked_up_once() -> None:
    parts = Parts(Names({"login.test": [["127.0.0.1"], ["127.0.0.2"]]}))
    with upstream() as server:
        assert fetched(server, parts=parts, host="login.test").status == 200
    assert parts.names.asked == ["login.test"]


def test_what_cannot_be_recorded_is_not_begun() -> None:
    with upstream() as server:
        with pytest.raises(FetchError, match="audit log"):
            fetched(server, may_begin=lambda: False)
        assert server.connections == []


def test_a_name_without_an_address_is_an_error() -> None:
    parts = Parts(Names({"login.test": [[]]}))
    with upstream() as server, pytest.raises(FetchError, match=r"no address was found for login\.test"):
        fetched(server, parts=parts, host="login.test")


def test_only_a_certificate_for_the_name_is_accepted(tmp_path: Path) -> None:
    authority = Authority(str(tmp_path / "ca.pem"))
    tls = TlsIdentity(ca=authority.ca_file)
    with upstream(tls=authority.server_context("login.test")) as server:
        assert fetched(server, scheme="https", host="login.test", tls=tls).status == 200
        for host, trusted in (("other.test", tls), ("login.test", TlsIdentity())):
            with pytest.raises(FetchError, match="certificate"):
                fetched(server, scheme="https", host=host, tls=trusted)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        pytest.param(b"/token", [(b"X", b"a\r\nY: b")], id="line end in a field"),
        pytest.param(b"/token", [(b"X Y", b"a")], id="blank in a name"),
        pytest.param(b"/token", [(b"Host", b"other.test")], id="a second Host"),
        pytest.param(b"/token", [(b"Content-Length", b"1")], id="a second length"),
        pytest.param(b"/token", [(b"Transfer-Encoding", b"chunked")], id="another framing"),
        pytest.param(b"/a b", [], id="blank in the target"),
    ],
)
def test_a_request_that_would_be_two_is_not_sent(target: bytes, headers: list[Header]) -> None:
    with upstream() as server:
        with pytest.raises(FetchError, match="cannot be sent"):
            fetched(server, OwnRequest(b"POST", target, headers, b"a=b"))
        assert server.requests == []


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("https://login.test/oauth/token", Upstream("https", "login.test", 443), b"/oauth/token"),
        ("https://login.test/oauth/token/", Upstream("https", "login.test", 443), b"/oauth/token/"),
        ("https://LOGIN.test.:8443", Upstream("https", "login.test", 8443), b"/"),
        ("https://login.test/", Upstream("https", "login.test", 443), b"/"),
        ("http://127.0.0.1:80/t", Upstream("http", "127.0.0.1", 80), b"/t"),
        ("http://[::1]:8080/t", Upstream("http", "::1", 8080), b"/t"),
    ],
)
def test_a_url_is_an_origin_and_a_target(url: str, origin: Upstream, target: bytes) -> None:
    assert split_url(url) == (origin, target)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.test/token",
        "http://10.0.0.1/token",
        "ftp://login.test/token",
        "login.test/token",
        "https://",
        "https://user@login.test/token",
        "https://*.login.test/token",
        "https://login.test/a#b",
        "https://login.test/a b",
        "https://login.test/a\r\nX: y",
        "https://login.test/../a",
        "https://login.test:0/a",
        "https://0x7f.1/a",
    ],
)
def test_a_url_that_no_secret_may_go_to_is_refused(url: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the words are those of parse_upstream
        split_url(url)


# -- with a token endpoint behind it


def token_of(server: HttpUpstream) -> bytes:
    """Return the header value that the credential obtained through fetch writes."""
    facts = RequestFacts("api.test", 443, "GET", "/", "alpha")

    async def post(url: str, form: bytes, headers: Sequence[Header]) -> Fetched:
        origin, target = split_url(url)
        request = OwnRequest(b"POST", target, headers, form)
        return await fetch(Parts(), origin, request, hosts=Hosts(), may_begin=lambda: True)

    async def main() -> bytes:
        credential = OAuth2Credential(
            f"http://127.0.0.1:{server.port}/token",
            Secret("client"),
            Secret("s3cret of the client"),
            post=post,
            inject=Inject(),
        )
        injection = await credential.acquire(facts)
        return injection.inject(Outgoing(b"GET", b"/", b"api.test", [])).headers[0][1]

    return run(main)


def test_a_token_endpoint_may_compress_its_chunked_response() -> None:
    packed = gzip.compress(b'{"access_token": "t0k3n", "token_type": "Bearer"}')
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (packed[:7], packed[7:])) + b"0\r\n\r\n"
    reply = with_fields(b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", chunks)
    with upstream(answering(reply)) as server:
        assert token_of(server) == b"Bearer t0k3n"
        (request,) = server.received(1)
    assert b"client_secret=s3cret+of+the+client" in request.body


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(
            b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
            "it answered 302",
            id="redirect",
        ),
        pytest.param(with_fields(b"Content-Type: text/html\r\n", b"<html>"), "not a JSON object", id="HTML"),
        pytest.param(
            with_fields(b"Content-Encoding: gzip\r\n", gzip.compress(bytes(10**7))[:8_000]),
            "longer than",
            id="gzip bomb",
        ),
        pytest.param(
            with_fields(b"", rb'{"access_token": "t\r\nX-Evil: 1"}'),
            "characters that a token may not have",
            id="line end in the token",
        ),
    ],
)
def test_a_hostile_token_endpoint_yields_no_token(reply: bytes, reason: str) -> None:
    with upstream(answering(reply)) as server, pytest.raises(TokenExchangeFailed, match=reason):
        token_of(server)


def test_an_endpoint_that_nobody_serves_yields_no_token() -> None:
    with upstream() as server:
        pass
    with pytest.raises(TokenExchangeFailed, match="Connection refused"):
        token_of(server)


def test_nothing_is_sent_to_a_server_of_this_machine_that_has_closed_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def closed(*addresses: object) -> frozenset[int]:
        raise ConnectionResetError

    monkeypatch.setattr(connector, "users_of_server", closed)
    with upstream(answering(b"")) as server:
        with pytest.raises(FetchError, match="it closed the connection before anything was sent"):
            fetched(server)
        assert server.requests == []
