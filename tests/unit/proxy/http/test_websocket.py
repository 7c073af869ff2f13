"""WebSockets on both ways: one well-formed handshake with the credential in it, then bytes only."""

from __future__ import annotations

import json
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as dial_websocket
from websockets.sync.server import ServerConnection, serve

from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.schema.route_rules import Inject, UpgradeRule, UsageLimits
from nono.proxy.http import websocket
from nono.proxy.http.message import Header, MessageError, request_head, response_head
from nono.secret import Secret
from support.proxy.interception import Intercepting, intercepting
from support.proxy.thread import (
    PHANTOM,
    REAL_KEY,
    TIMEOUT_S,
    Client,
    Recording,
    a_route,
    narrow_listener,
    wait_until,
)
from support.servers.http1 import Authority, Gone, Handler, HttpUpstream, Received, upstream

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 section 1.3
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
HANDSHAKE: list[Header] = [
    (b"Host", b"x"),
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Key", KEY),
    (b"Sec-WebSocket-Version", b"13"),
]


def without(name: bytes) -> list[Header]:
    return [field for field in HANDSHAKE if field[0] != name]


def key_of(headers: list[Header], method: bytes = b"GET", version: str = "1.1") -> bytes | None:
    return websocket.key_of(request_head(method, b"/x", version, headers))


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(HANDSHAKE, id="as in the RFC"),
        pytest.param([*without(b"Connection"), (b"connection", b"keep-alive, UPGRADE")], id="a list"),
        pytest.param([*without(b"Upgrade"), (b"upgrade", b"WebSocket")], id="another case"),
        pytest.param([*HANDSHAKE, (b"Content-Length", b"0")], id="an empty body"),
        pytest.param([*HANDSHAKE, (b"Sec-WebSocket-Protocol", b"a, b")], id="protocols"),
    ],
)
def test_a_well_formed_handshake_has_a_key(headers: list[Header]) -> None:
    assert key_of(headers) == KEY


def test_a_request_that_asks_for_no_upgrade_has_none() -> None:
    assert key_of([(b"Host", b"x")]) is None
    assert key_of([(b"Host", b"x"), (b"Sec-WebSocket-Key", KEY)]) is None


MALFORMED = [
    pytest.param(without(b"Connection"), id="no Connection"),
    pytest.param([*without(b"Connection"), (b"Connection", b"keep-alive")], id="Connection without upgrade"),
    pytest.param([*HANDSHAKE, (b"Connection", b"upgrade")], id="two Connection fields"),
    pytest.param(without(b"Upgrade"), id="no Upgrade"),
    pytest.param([*HANDSHAKE, (b"Upgrade", b"websocket")], id="two Upgrade fields"),
    pytest.param([*without(b"Upgrade"), (b"Upgrade", b"h2c")], id="h2c"),
    pytest.param([*without(b"Upgrade"), (b"Upgrade", b"websocket, h2c")], id="two protocols"),
    pytest.param([*without(b"Upgrade"), (b"Upgrade", b"websocket/13")], id="with a version"),
    pytest.param([*without(b"Upgrade"), (b"Upgrade", b"")], id="an empty Upgrade"),
    pytest.param(without(b"Sec-WebSocket-Key"), id="no key"),
    pytest.param([*HANDSHAKE, (b"Sec-WebSocket-Key", KEY)], id="two keys"),
    pytest.param([*without(b"Sec-WebSocket-Key"), (b"Sec-WebSocket-Key", b"c2hvcnQ=")], id="a short key"),
    pytest.param([*without(b"Sec-WebSocket-Key"), (b"Sec-WebSocket-Key", b"!" * 24)], id="no base64"),
    pytest.param([*without(b"Sec-WebSocket-Key"), (b"Sec-WebSocket-Key", KEY[:-1])], id="no padding"),
    pytest.param(
        [*without(b"Sec-WebSocket-Key"), (b"Sec-WebSocket-Key", b64encode(bytes(17)))], id="a long key"
    ),
    pytest.param([*without(b"Sec-WebSocket-Key"), (b"Sec-WebSocket-Key", b"\xff" * 24)], id="not ASCII"),
    pytest.param(without(b"Sec-WebSocket-Version"), id="no version"),
    pytest.param([*HANDSHAKE, (b"Sec-WebSocket-Version", b"13")], id="two versions"),
    pytest.param([*without(b"Sec-WebSocket-Version"), (b"Sec-WebSocket-Version", b"8")], id="version 8"),
    pytest.param(
        [*without(b"Sec-WebSocket-Version"), (b"Sec-WebSocket-Version", b"13, 8")], id="version list"
    ),
    pytest.param([*HANDSHAKE, (b"Content-Length", b"3")], id="a body"),
    pytest.param([*HANDSHAKE, (b"Transfer-Encoding", b"chunked")], id="a chunked body"),
]


@pytest.mark.parametrize("headers", MALFORMED)
def test_any_other_upgrade_is_malformed(headers: list[Header]) -> None:
    with pytest.raises(MessageError):
        key_of(headers)


def test_a_handshake_is_a_get_of_http_1_1() -> None:
    for method, version in ((b"POST", "1.1"), (b"get", "1.1"), (b"HEAD", "1.1"), (b"GET", "1.0")):
        with pytest.raises(MessageError):
            key_of(HANDSHAKE, method, version)


SWITCH: list[Header] = [
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Accept", ACCEPT),
]
WRONG_SWITCH = [
    pytest.param([*SWITCH[:2], (b"Sec-WebSocket-Accept", b64encode(bytes(20)))], id="wrong accept"),
    pytest.param(SWITCH[:2], id="no accept"),
    pytest.param([*SWITCH, SWITCH[2]], id="two accepts"),
    pytest.param([*SWITCH[:2], (b"Sec-WebSocket-Accept", ACCEPT.lower())], id="accept in another case"),
    pytest.param(SWITCH[1:], id="no Connection"),
    pytest.param([(b"Connection", b"close"), *SWITCH[1:]], id="Connection without upgrade"),
    pytest.param([SWITCH[0], SWITCH[2]], id="no Upgrade"),
    pytest.param([SWITCH[0], (b"Upgrade", b"h2c"), SWITCH[2]], id="another protocol"),
    pytest.param([*SWITCH, SWITCH[1]], id="two Upgrades"),
]


@pytest.mark.parametrize("headers", WRONG_SWITCH)
def test_a_switch_that_does_not_answer_the_handshake_is_none(headers: list[Header]) -> None:
    assert websocket.accepts(response_head(101, b"", "1.1", SWITCH, to_method=b"GET"), KEY)
    assert not websocket.accepts(response_head(101, b"", "1.1", headers, to_method=b"GET"), KEY)
    assert not websocket.accepts(response_head(200, b"", "1.1", SWITCH, to_method=b"GET"), KEY)


# -- with a real server and a real client


@contextmanager
def websocket_server(
    talk: Callable[[ServerConnection], None],
) -> Iterator[tuple[int, list[ServerConnection]]]:
    """Serve by the websockets library. Yields the port, and the connections in their order."""
    seen: list[ServerConnection] = []

    def handler(connection: ServerConnection) -> None:
        seen.append(connection)
        talk(connection)

    with serve(handler, "127.0.0.1", 0, max_size=None) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.socket.getsockname()[1], seen
        finally:
            server.shutdown()
            thread.join(TIMEOUT_S)


def echo(connection: ServerConnection) -> None:
    for message in connection:
        connection.send(message)


@contextmanager
def dialled(p: Intercepting, way: str, port: int, **options: Any) -> Iterator[ClientConnection]:
    """Connect a client of the websockets library, by way of "reverse" or "inside"."""
    options = {"additional_headers": {"X-Api-Key": PHANTOM}, "proxy": None, "max_size": None, **options}
    if way == "reverse":
        with dial_websocket(f"ws://127.0.0.1:{p.port}/alpha/live?a=1", **options) as connection:
            yield connection
    else:
        client = p.inside("localhost", port)
        uri = f"ws://localhost:{port}/live?a=1"
        with dial_websocket(uri, sock=client.transport, **options) as connection:
            yield connection


def assert_handshake(p: Intercepting, way: str, port: int, *, opens: bool, status: int = 403) -> None:
    expected = nullcontext() if opens else pytest.raises(InvalidStatus, match=f"HTTP {status}")
    with expected, dialled(p, way, port):
        pass


WAYS = pytest.mark.parametrize("way", ["reverse", "inside"])


@WAYS
def test_a_websocket_passes_after_a_handshake_with_the_credential(way: str) -> None:
    with (
        websocket_server(echo) as (port, seen),
        intercepting(a_route(port, host="localhost")) as p,
        dialled(p, way, port, subprotocols=["one", "two"]) as connection,
    ):
        for message in ("text", b"\x00binary", "x" * 70000, b"y" * (5 << 20)):
            connection.send(message)
            assert connection.recv(TIMEOUT_S) == message
    request = seen[0].request
    assert request is not None
    assert request.path == "/live?a=1"
    assert request.headers.get_all("Authorization") == [f"Bearer {REAL_KEY}"]
    assert request.headers.get_all("Host") == [f"localhost:{port}"]
    assert PHANTOM not in str(request.headers)
    event = p.recording.network[-1]
    assert (event["decision"], event["method"], event["path"]) == (
        "allow",
        "GET",
        ("/alpha" if way == "reverse" else "") + "/live?a=[REDACTED]",
    )
    assert event["managed_credential_active"] is True


@WAYS
def test_without_the_phantom_no_socket_is_opened(way: str) -> None:
    with websocket_server(echo) as (port, seen), intercepting(a_route(port, host="localhost")) as p:
        for headers in ({"X-Api-Key": "own"}, {"X-Api-Key": PHANTOM, "Authorization": "Bearer own"}):
            with (
                pytest.raises(Exception, match=r"HTTP 40[13]"),
                dialled(p, way, port, additional_headers=headers),
            ):
                pass
        assert p.recording.decisions()[-1] == ("deny", "authentication_failed")
    assert seen == []


def in_protocol(key: str) -> dict[str, Any]:
    """Return the options of a client that sets no field, as in a browser."""
    return {"additional_headers": {}, "subprotocols": ["realtime", f"openai-insecure-api-key.{key}"]}


@WAYS
def test_a_phantom_among_the_subprotocols_is_accepted_and_does_not_arrive(way: str) -> None:
    with (
        websocket_server(echo) as (port, seen),
        intercepting(a_route(port, host="localhost")) as p,
        dialled(p, way, port, **in_protocol(PHANTOM)) as connection,
    ):
        connection.send("text")
        assert connection.recv(TIMEOUT_S) == "text"
    request = seen[0].request
    assert request is not None
    assert request.headers.get_all("Authorization") == [f"Bearer {REAL_KEY}"]
    assert request.headers.get_all("Sec-WebSocket-Protocol") == ["realtime"]


@WAYS
def test_a_key_of_the_commands_own_among_the_subprotocols_is_refused(way: str) -> None:
    with websocket_server(echo) as (port, seen), intercepting(a_route(port, host="localhost")) as p:
        beside = {**in_protocol("own"), "additional_headers": {"X-Api-Key": PHANTOM}}
        for options in (in_protocol("own"), beside):
            with pytest.raises(InvalidStatus, match=r"HTTP 40[13]"), dialled(p, way, port, **options):
                pass
            assert p.recording.decisions()[-1] == ("deny", "authentication_failed")
    assert seen == []


@WAYS
def test_the_close_of_either_end_reaches_the_other(way: str) -> None:
    def talk(connection: ServerConnection) -> None:
        if connection.recv(TIMEOUT_S) == "close":
            connection.close(4001, "the server's")
        else:
            with suppress(Exception):
                connection.recv(TIMEOUT_S)
            closed.append((connection.close_code, connection.close_reason))

    closed: list[tuple[int | None, str | None]] = []
    with websocket_server(talk) as (port, _), intercepting(a_route(port, host="localhost")) as p:
        with dialled(p, way, port) as connection:
            connection.send("close")
            with pytest.raises(Exception, match="4001"):
                connection.recv(TIMEOUT_S)
        with dialled(p, way, port) as connection:
            connection.send("go on")
            connection.close(4002, "the client's")
        wait_until(lambda: closed == [(4002, "the client's")])
        wait_until(lambda: p.running.client_connections == 0)


def test_only_an_idle_websocket_is_ended() -> None:
    with (
        websocket_server(echo) as (port, _),
        intercepting(a_route(port, host="localhost")) as p,
    ):
        with dialled(p, "reverse", port) as connection:
            for _ in range(3):
                connection.send("x")
                assert connection.recv(TIMEOUT_S) == "x"
                p.let_pass(3500)  # together longer than the limit
            p.let_pass(101)
            with pytest.raises(Exception, match="close"):
                connection.recv(TIMEOUT_S)
        wait_until(lambda: p.running.client_connections == 0)


def test_the_credential_may_stand_in_the_path_or_the_query() -> None:
    for inject, path in (
        (
            Inject("url_path", path_pattern="/bot{}/", path_replacement="/bot{}/"),
            f"/bot{PHANTOM}/live",
        ),
        (Inject("query_param", query_param="key"), f"/live?key={PHANTOM}"),
    ):
        credential = StaticCredential(injection_of(inject, Secret("real")), None)
        with websocket_server(echo) as (port, seen):
            route = a_route(port, host="localhost", credential=credential, accept=inject, inject=inject)
            with (
                intercepting(route) as p,
                dial_websocket(f"ws://127.0.0.1:{p.port}/alpha{path}", proxy=None) as connection,
            ):
                connection.send("x")
                assert connection.recv(TIMEOUT_S) == "x"
        assert seen[0].request is not None
        assert seen[0].request.path == path.replace(PHANTOM, "real")


@WAYS
def test_a_socket_opens_on_the_listed_paths_only(way: str) -> None:
    with websocket_server(echo) as (port, seen):
        for upgrades, opens in (
            ((UpgradeRule("/live"),), True),
            ((UpgradeRule("/other"), UpgradeRule("/live/")), False),
            ((), False),
        ):
            route = a_route(port, host="localhost", upgrades=upgrades)
            with intercepting(route) as p:
                if opens:
                    with dialled(p, way, port) as connection:
                        connection.send("x")
                        assert connection.recv(TIMEOUT_S) == "x"
                else:
                    with pytest.raises(Exception, match="HTTP 403"), dialled(p, way, port):
                        pass
                if not opens:
                    assert p.recording.decisions()[-1] == ("deny", "unsupported_upgrade")
    assert len(seen) == 1


@WAYS
@pytest.mark.parametrize("is_listed", [True, False], ids=["of a list", "of any path"])
def test_no_field_makes_a_socket_on_another_path_of_one_that_is_listed(way: str, is_listed: bool) -> None:
    with websocket_server(echo) as (port, seen):
        route = a_route(port, host="localhost", upgrades=(UpgradeRule("/live"),) if is_listed else None)
        fields = {"X-Api-Key": PHANTOM, "X-Original-URL": "/other"}
        refused = pytest.raises(InvalidStatus, match="403") if is_listed else nullcontext()
        with (
            intercepting(route) as p,
            refused,
            dialled(p, way, port, additional_headers=fields),
        ):
            pass
        denials = [event for event in p.recording.network if event["decision"] == "deny"]
        assert [event["denial_category"] for event in denials] == ["endpoint_policy"] * is_listed
    assert len(seen) == (0 if is_listed else 1)


@WAYS
def test_a_route_with_limits_opens_no_websocket(way: str) -> None:
    with websocket_server(echo) as (port, seen):
        for limits, opens in (
            (UsageLimits(), True),
            (UsageLimits(requests=1), False),
            (UsageLimits(requests=1, input_tokens=1000), False),
            (UsageLimits(output_tokens=1000), False),
        ):
            route = a_route(port, host="localhost", limits=limits, upgrades=(UpgradeRule("/live"),))
            with intercepting(route) as p:
                assert_handshake(p, way, port, opens=opens, status=426)
                if not opens:
                    assert p.recording.decisions()[-1] == ("deny", "unsupported_upgrade")
    assert len(seen) == 1


@WAYS
def test_the_endpoint_rules_hold_for_a_handshake(way: str) -> None:
    with websocket_server(echo) as (port, seen):
        for path, opens in (("/live", True), ("/other", False)):
            rules = EndpointPolicy("deny", allow=(EndpointRule("GET", path),))
            with intercepting(a_route(port, host="localhost", endpoints=rules)) as p:
                assert_handshake(p, way, port, opens=opens)
    assert len(seen) == 1


# -- byte by byte


def handshake(path: str = "/live", more: bytes = b"", *, host: str = "x", key: bytes = KEY) -> bytes:
    return (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Api-Key: {PHANTOM}\r\n".encode()
        + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        + b"Sec-WebSocket-Key: " + key + b"\r\n" + more + b"\r\n"
    )  # fmt: skip


def switching(request: Received) -> bytes:
    key = request.value(b"sec-websocket-key")
    assert key is not None
    proof = b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest())
    lines = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    return lines + b"Sec-WebSocket-Accept: " + proof + b"\r\n\r\n"


@contextmanager
def raw(handler: Handler, **options: object) -> Iterator[tuple[HttpUpstream, Intercepting]]:
    with upstream(handler) as server, intercepting(a_route(server.port, host="localhost"), **options) as p:
        yield server, p


@contextmanager
def client_on(
    way: str, server: HttpUpstream, p: Intercepting
) -> Iterator[tuple[Client, Callable[..., bytes]]]:
    """Yield a client, and the handshake as it is sent on that way."""
    if way == "reverse":
        with Client(p.port) as client:
            yield client, lambda more=b"": handshake("/alpha/live", more)
    else:
        with p.inside("localhost", server.port) as client:
            yield client, lambda more=b"": handshake("/live", more, host=f"localhost:{server.port}")


@pytest.mark.parametrize("listed", ["/live", "/other"])
def test_a_client_that_asks_the_proxy_for_itself_opens_the_sockets_of_a_route(listed: str) -> None:
    """A client that takes HTTP_PROXY for http addresses as well asks the proxy for its own."""
    with websocket_server(echo) as (port, seen):
        route = a_route(port, host="localhost", upgrades=(UpgradeRule(listed),))
        with intercepting(route) as p, Client(p.port) as client:
            own = f"127.0.0.1:{p.port}"
            client.send(handshake(f"http://{own}/alpha/live", host=own))
            status, _, _ = client.head()
            opened = p.recording.decisions()[-1] == ("allow", None)
    assert (status, opened, len(seen)) == ((101, True, 1) if listed == "/live" else (403, False, 0))


@WAYS
def test_what_came_too_early_on_either_side_is_the_first_that_arrives(way: str) -> None:
    def handler(request: Received) -> None:
        request.connection.send(switching(request) + b"from the server")
        early.append(request.connection.read_exactly(len(b"from the client, and more")))
        request.connection.send(b", and more")
        request.connection.wait_gone()

    early: list[bytes] = []
    with raw(handler) as (server, p), client_on(way, server, p) as (client, request):
        with p.standing_still():
            client.send(request() + b"from the client")
        status, _, fields = client.head()
        assert status == 101
        assert dict(fields)["sec-websocket-accept"] == ACCEPT.decode()
        assert [value for name, value in fields if name == "upgrade"] == ["websocket"]
        client.send(b", and more")
        assert client.read_exactly(len(b"from the server, and more")) == b"from the server, and more"
    assert early == [b"from the client, and more"]


def test_a_client_that_does_not_read_stops_an_eager_upstream() -> None:
    def handler(request: Received) -> None:
        assert asked.wait(TIMEOUT_S)
        request.connection.send(switching(request) + b"x" * 200_000)
        spoken.set()
        request.connection.transport.settimeout(1.0)
        with suppress(TimeoutError):
            while sum(taken) < 64 << 20:
                taken.append(request.connection.transport.send(b"x" * 262_144))
        full.set()

    taken: list[int] = []
    asked, spoken, full = threading.Event(), threading.Event(), threading.Event()
    with (
        raw(handler, listener=narrow_listener()) as (server, p),
        Client(p.port, receive_buffer=4096) as client,
    ):
        client.send(handshake("/alpha/live"))
        wait_until(lambda: len(server.requests) == 1)
        with p.standing_still():
            asked.set()
            assert spoken.wait(TIMEOUT_S)
        assert full.wait(TIMEOUT_S)
        assert sum(taken) < 32 << 20
        assert client.head()[0] == 101
        more = 200_000 + sum(taken)
        while more:  # and goes on once it does
            more -= len(client.read_exactly(min(more, 65_536)))


@pytest.mark.parametrize("ends", ["the client", "the upstream"])
def test_a_socket_whose_tls_ends_in_order_is_ended_without_a_word(
    ends: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(request: Received) -> None:
        request.connection.send(switching(request))
        if ends == "the upstream":
            with suppress(OSError):
                request.connection.transport.unwrap()  # type: ignore[attr-defined]  # a socket of ssl
        request.connection.wait_gone()
        gone.set()

    gone = threading.Event()
    ca = Authority(str(tmp_path / "ca.pem"))
    tls = ca.server_context("localhost") if ends == "the upstream" else None
    with upstream(handler, tls) as server:
        scheme = "http" if tls is None else "https"
        route = a_route(server.port, host="localhost", scheme=scheme, tls_ca=ca.ca_file)
        way = "inside" if ends == "the client" else "reverse"
        with intercepting(route) as p, client_on(way, server, p) as (client, request):
            client.send(request())
            assert client.head()[0] == 101
            if ends == "the client":
                client.transport.unwrap()  # type: ignore[attr-defined]  # as above
            else:
                assert client.is_closed()
            assert gone.wait(TIMEOUT_S)
            wait_until(lambda: p.running.client_connections == 0)
    assert caplog.messages == []  # it would stand on the person's terminal


@WAYS
def test_the_handshake_is_written_anew_for_the_upstream(way: str) -> None:
    def handler(request: Received) -> None:
        request.connection.send(switching(request))
        request.connection.wait_gone()

    more = (
        b"Origin: http://a.test\r\nSec-WebSocket-Extensions: permessage-deflate\r\nX-Listed: 1\r\n"
        b"Proxy-Authorization: Bearer x\r\nKeep-Alive: 1\r\n"
    )
    with raw(handler) as (server, p), client_on(way, server, p) as (client, request):
        client.send(request(more).replace(b"Connection: Upgrade", b"Connection: x-listed, UPGRADE"))
        assert client.head()[0] == 101
    assert server.requests[0].fields == [
        (b"host", b"localhost:%d" % server.port),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", KEY),
        (b"origin", b"http://a.test"),
        (b"sec-websocket-extensions", b"permessage-deflate"),
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"authorization", b"Bearer " + REAL_KEY.encode()),
    ]


@WAYS
@pytest.mark.parametrize("headers", MALFORMED)
def test_a_malformed_handshake_ends_with_400(way: str, headers: list[Header]) -> None:
    with raw(lambda request: None) as (server, p), client_on(way, server, p) as (client, _):
        host = b"x" if way == "reverse" else b"localhost:%d" % server.port
        target = b"/alpha/live" if way == "reverse" else b"/live"
        fields = [(name, host if name == b"Host" else value) for name, value in headers]
        fields.append((b"X-Api-Key", PHANTOM.encode()))
        lines = b"".join(b"%b: %b\r\n" % field for field in fields)
        client.send(b"GET " + target + b" HTTP/1.1\r\n" + lines + b"\r\n")
        response = client.response()
        assert (response.status, response.value("connection")) == (400, "close")
        assert set(json.loads(response.body)) == {"error", "host", "rule", "origin", "hint"}
        assert p.recording.decisions()[-1] == ("deny", None)
        assert server.connections == []


@WAYS
@pytest.mark.parametrize("headers", WRONG_SWITCH)
def test_an_invalid_upgrade_response_is_a_502(way: str, headers: list[Header]) -> None:
    def handler(request: Received) -> None:
        lines = b"".join(b"%b: %b\r\n" % field for field in headers)
        request.connection.send(b"HTTP/1.1 101 Switching Protocols\r\n" + lines + b"\r\nsmuggled")
        request.connection.wait_gone()

    with raw(handler) as (server, p), client_on(way, server, p) as (client, request):
        client.send(request())
        response = client.response()
        assert (response.status, response.value("connection")) == (502, "close")
        assert client.rest() == b""
        assert p.recording.decisions()[-2:] == [("allow", None), ("deny", "upstream_connect_failed")]


@WAYS
@pytest.mark.parametrize("status", [200, 401, 404, 426])
def test_an_ordinary_answer_to_a_handshake_is_relayed_before_the_close(way: str, status: int) -> None:
    def handler(request: Received) -> None:
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket")] if status in (200, 426) else []
        request.connection.respond(status, b"no socket here", [*upgrade, ("Set-Cookie", "a=b")])

    with raw(handler) as (server, p), client_on(way, server, p) as (client, request):
        client.send(request() + b"early frames")
        response = client.response()
        assert (response.status, response.body) == (status, b"no socket here")
        assert response.value("connection") == "close"
        assert response.value("set-cookie") is None
        assert client.rest() == b""
    assert b"early frames" not in server.requests[0].connection.raw


def test_a_switch_to_somebody_who_did_not_ask_is_a_502() -> None:
    def handler(request: Received) -> None:
        request.connection.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
        )

    with raw(handler) as (_, p), Client(p.port) as client:
        client.send(f"GET /alpha/live HTTP/1.1\r\nHost: x\r\nX-Api-Key: {PHANTOM}\r\n\r\n".encode())
        assert client.response().status == 502


@WAYS
def test_a_cookie_of_the_switch_stays_at_the_proxy(way: str) -> None:
    def handler(request: Received) -> None:
        answer = switching(request).replace(b"\r\n\r\n", b"\r\nSet-Cookie: s=1\r\nX-Kept: 1\r\n\r\n")
        request.connection.send(answer)
        request.connection.wait_gone()

    with raw(handler) as (server, p), client_on(way, server, p) as (client, request):
        client.send(request())
        names = [name for name, _ in client.head()[2]]
    assert "x-kept" in names
    assert "set-cookie" not in names


def test_after_the_switch_what_looks_like_a_request_is_none() -> None:
    def handler(request: Received) -> None:
        request.connection.send(switching(request))
        with suppress(Gone):
            while True:
                heard.append(request.connection.read_some(65536))

    heard: list[bytes] = []
    second = f"GET /alpha/live HTTP/1.1\r\nHost: x\r\nX-Api-Key: {PHANTOM}\r\n\r\n".encode()
    with raw(handler) as (server, p):
        with Client(p.port) as client:
            client.send(handshake("/alpha/live"))
            assert client.head()[0] == 101
            client.send(second)
            wait_until(lambda: b"".join(heard) == second)
        assert len(server.requests) == 1
    assert REAL_KEY.encode() not in b"".join(heard)


def test_half_open_ends_on_a_plain_connection_are_passed_on() -> None:
    def handler(request: Received) -> None:
        request.connection.send(switching(request))
        received = b""
        with suppress(Gone):
            while True:
                received += request.connection.read_some(65536)
        request.connection.send(b"all of it: " + received)

    with raw(handler) as (_, p):
        with Client(p.port) as client:
            client.send(handshake("/alpha/live"))
            assert client.head()[0] == 101
            client.send(b"the last word")
            client.transport.shutdown(socket.SHUT_WR)
            assert client.rest() == b"all of it: the last word"
        wait_until(lambda: p.running.client_connections == 0)


@WAYS
def test_either_end_that_goes_away_ends_the_other(way: str) -> None:
    def handler(request: Received) -> None:
        request.connection.send(switching(request))
        if len(server.requests) == 1:
            request.connection.wait_gone()
            gone.append(True)

    gone: list[bool] = []
    with raw(handler) as (server, p):
        with client_on(way, server, p) as (client, request):
            client.send(request())
            assert client.head()[0] == 101
        wait_until(lambda: gone == [True])
        with client_on(way, server, p) as (client, request):
            client.send(request())
            assert client.head()[0] == 101
            # The second handler returns, and so its connection is closed.
            server.received(2)[1].connection.transport.shutdown(socket.SHUT_RDWR)
            assert client.rest() == b""
        wait_until(lambda: p.running.client_connections == 0)


@WAYS
def test_a_client_that_goes_away_before_the_answer_ends_the_upstream(way: str) -> None:
    def handler(request: Received) -> None:
        request.connection.wait_gone()
        gone.append(True)

    gone: list[bool] = []
    with raw(handler) as (server, p):
        with client_on(way, server, p) as (client, request):
            client.send(request())
            server.received(1)
        wait_until(lambda: gone == [True])
        wait_until(lambda: p.running.client_connections == 0)


@pytest.mark.parametrize("way", ["reverse"])
def test_a_client_that_floods_before_the_answer_is_stopped(way: str) -> None:
    proceed = threading.Event()

    def handler(request: Received) -> None:
        assert proceed.wait(TIMEOUT_S)
        request.connection.send(switching(request))
        request.connection.wait_gone()

    with raw(handler) as (server, p), client_on(way, server, p) as (client, request):
        client.send(request())
        server.received(1)
        client.transport.settimeout(1.0)
        sent = 0
        with suppress(TimeoutError):
            while sent < 256 << 20:
                sent += client.transport.send(bytes(1 << 16))
        assert sent < 64 << 20
        proceed.set()
        client.transport.settimeout(TIMEOUT_S)
        assert client.head()[0] == 101


@WAYS
def test_an_end_that_does_not_read_stops_the_other(way: str) -> None:
    sent: list[int] = []

    def handler(request: Received) -> None:
        request.connection.send(switching(request))
        request.connection.transport.settimeout(1.0)
        total = 0
        try:
            while total < 256 << 20:
                total += request.connection.transport.send(bytes(1 << 16))
        except OSError:
            sent.append(total)
        request.connection.transport.settimeout(TIMEOUT_S)
        request.connection.wait_gone()

    with raw(handler) as (server, p), client_on(way, server, p) as (client, request):
        client.send(request())
        assert client.head()[0] == 101
        wait_until(lambda: len(sent) == 1)
        assert sent[0] < 64 << 20


@WAYS
def test_an_event_that_cannot_be_written_opens_no_socket(way: str) -> None:
    recording = Recording()
    with raw(lambda request: None, recording=recording) as (server, p):
        with client_on(way, server, p) as (client, request):
            recording.failing = True
            client.send(request())
            assert client.response().status == 503
        assert server.connections == []


def test_the_proxy_ends_with_open_sockets() -> None:
    def handler(request: Received) -> None:
        request.connection.send(switching(request))
        request.connection.wait_gone()

    with upstream(handler) as server:
        with intercepting(a_route(server.port, host="localhost")) as p:
            outside, inside = Client(p.port), p.inside("localhost", server.port)
            outside.send(handshake("/alpha/live"))
            inside.send(handshake("/live", host=f"localhost:{server.port}"))
            assert outside.head()[0] == inside.head()[0] == 101
        with outside, inside:
            assert outside.is_closed()
            with suppress(OSError):
                assert inside.rest() == b""


@pytest.mark.parametrize(
    ("value", "keys", "rest"),
    [
        (b"realtime, openai-insecure-api-key.sk-a, beta", [b"sk-a"], b"realtime, beta"),
        (b"OpenAI-Insecure-Api-Key.sk-a,x,openai-insecure-api-key.sk-b", [b"sk-a", b"sk-b"], b"x"),
        (b"openai-insecure-api-key.sk-a", [b"sk-a"], None),
        (b"realtime", [], b"realtime"),
    ],
)
def test_a_key_among_the_subprotocols_is_found_and_taken_out(
    value: bytes, keys: list[bytes], rest: bytes | None
) -> None:
    field = (b"Sec-WebSocket-Protocol", value)
    assert websocket.protocol_keys(value) == keys
    kept = [] if rest is None else [(b"Sec-WebSocket-Protocol", rest)]
    assert websocket.without_protocol_keys([field, (b"A", value)]) == [*kept, (b"A", value)]
