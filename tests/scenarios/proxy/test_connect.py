"""CONNECT on real sockets: who may have a tunnel, to which address, and what may be spoken in it."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from support.proxy.thread import (
    PHANTOM,
    TIMEOUT_S,
    TOKEN,
    Client,
    Hosts,
    Names,
    ProxyUnderTest,
    Recording,
    a_route,
    proxy,
    wait_until,
)
from support.servers.http1 import Authority, upstream

TOKEN_FIELD = b"Proxy-Authorization: Basic " + b64encode(f"nono:{TOKEN}".encode()) + b"\r\n"
GET = b"GET /x HTTP/1.1\r\nHost: api.test\r\n\r\n"


def connect(authority: str, fields: bytes = TOKEN_FIELD) -> bytes:
    return f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n".encode() + fields + b"\r\n"


@dataclass
class Plain:
    """A TCP server that keeps everything it is sent."""

    port: int
    received: list[bytes] = field(default_factory=list)
    accepted: list[socket.socket] = field(default_factory=list)

    @property
    def everything(self) -> bytes:
        return b"".join(self.received)


def echo(connection: socket.socket, server: Plain) -> None:
    while piece := connection.recv(65536):
        server.received.append(piece)
        connection.sendall(piece)
    connection.sendall(b"<end>")


@contextmanager
def plain_server(talk: Callable[[socket.socket, Plain], None] = echo) -> Iterator[Plain]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Plain(listener.getsockname()[1])

    def run() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                connection.settimeout(TIMEOUT_S)
                server.accepted.append(connection)
                with connection, suppress(OSError):
                    talk(connection, server)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in server.accepted:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        thread.join(TIMEOUT_S)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(str(tmp_path / "ca.pem"))


def opened(p: ProxyUnderTest, target: str) -> Client:
    client = Client(p.port)
    client.send(connect(target))
    assert client.head()[0] == 200
    return client


def test_a_tunnel_carries_tls_to_the_host_that_was_asked_for(authority: Authority) -> None:
    with upstream(tls=authority.server_context("api.test")) as server, proxy() as p:
        client = opened(p, f"API.test.:{server.port}")
        with client.start_tls("api.test", authority.client_context()) as tls:
            tls.sendall(GET)
            assert tls.recv(65536).startswith(b"HTTP/1.1 200 OK")
        wait_until(lambda: p.running.client_connections == 0)
    assert server.requests[0].head == GET
    (event,) = p.recording.network
    assert (event["mode"], event["decision"], event["target"], event["method"]) == (
        "connect", "allow", "api.test", "CONNECT",
    )  # fmt: skip
    assert (event["port"], event["auth_mechanism"]) == (server.port, "proxy_authorization")


def test_a_hello_that_comes_in_one_piece_with_the_connect_is_not_lost(authority: Authority) -> None:
    with upstream(tls=authority.server_context("api.test")) as server, proxy() as p, Client(p.port) as client:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = authority.client_context().wrap_bio(incoming, outgoing, server_hostname="api.test")
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        client.send(connect(f"api.test:{server.port}") + outgoing.read())
        assert client.head()[0] == 200
        assert client.read_exactly(1) == b"\x16"


@pytest.mark.parametrize("name", ["evil.test", "sub.api.test", "api.test.evil.test", None], ids=str)
def test_a_hello_for_another_name_ends_the_tunnel_before_a_byte_is_sent(
    authority: Authority, name: str | None
) -> None:
    with plain_server() as server, proxy() as p, opened(p, f"api.test:{server.port}") as client:
        context = authority.client_context()
        context.check_hostname = name is not None
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context.wrap_socket(client.transport, server_hostname=name).close()
        wait_until(lambda: p.running.client_connections == 0)
    assert server.everything == b""
    assert p.recording.decisions() == [("allow", None), ("deny", "host_denied")]
    assert p.recording.network[1]["rule"] == "server name"


def hello_of(name: str) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    outgoing = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name).do_handshake()
    return outgoing.read()


def asks_again(authority: Authority, hello: bytes) -> bytes:
    """Return the answer of a server that takes none of the key shares."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = another_curve(authority).wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(hello)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def another_curve(authority: Authority) -> ssl.SSLContext:
    context = authority.server_context("api.test")
    context.set_ecdh_curve("secp521r1")
    return context


def test_a_tunnel_carries_tls_to_a_host_that_asks_for_a_second_hello(authority: Authority) -> None:
    with upstream(tls=another_curve(authority)) as server, proxy() as p:
        client = opened(p, f"api.test:{server.port}")
        with client.start_tls("api.test", authority.client_context()) as tls:
            tls.sendall(GET)
            assert tls.recv(65536).startswith(b"HTTP/1.1 200 OK")
    assert server.requests[0].head == GET


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "once it is asked for"])
@pytest.mark.parametrize("name", ["api.test", "evil.test"])
def test_a_second_hello_for_another_name_ends_the_tunnel_before_it_is_sent(
    authority: Authority, name: str, at_once: bool
) -> None:
    first, second = hello_of("api.test"), b"\x14\x03\x03\x00\x01\x01" + hello_of(name)
    asked = asks_again(authority, first)

    def ask_again(connection: socket.socket, server: Plain) -> None:
        while piece := connection.recv(65536):
            server.received.append(piece)
            if server.everything == first:
                connection.sendall(asked)
            elif server.everything == first + second:
                connection.sendall(b"<both>")

    with plain_server(ask_again) as server, proxy() as p, opened(p, f"api.test:{server.port}") as client:
        client.send(first + second if at_once else first)
        assert client.read_exactly(len(asked)) == asked
        if not at_once:
            client.send(second)
        if name == "api.test":
            assert client.read_until(b">") == b"<both>"
        else:
            assert client.rest() == bytes((21, 3, 3, 0, 2, 2, 49))
            wait_until(lambda: p.running.client_connections == 0)
            assert p.recording.network[-1]["reason"] == "the second ClientHello names evil.test"
    assert server.everything == (first + second if name == "api.test" else first)
    assert p.recording.decisions() == [("allow", None), ("deny", "host_denied")][: 1 + (name != "api.test")]


def test_two_hellos_in_one_record_reach_nobody() -> None:
    messages = hello_of("api.test")[5:] + hello_of("evil.test")[5:]
    with plain_server() as server, proxy() as p, opened(p, f"api.test:{server.port}") as client:
        client.send(b"\x16\x03\x01" + len(messages).to_bytes(2, "big") + messages)
        assert client.rest() == bytes((21, 3, 3, 0, 2, 2, 49))
        wait_until(lambda: p.running.client_connections == 0)
    assert server.everything == b""
    assert p.recording.decisions() == [("allow", None), ("deny", "host_denied")]


@pytest.mark.parametrize("ends", ["half", "whole"])
def test_a_client_that_is_asked_for_a_second_hello_may_leave(authority: Authority, ends: str) -> None:
    first = hello_of("api.test")
    asked = asks_again(authority, first)

    def ask_again(connection: socket.socket, server: Plain) -> None:
        server.received.append(connection.recv(65536))
        connection.sendall(asked)
        connection.recv(1)

    with plain_server(ask_again) as server, proxy() as p, opened(p, f"api.test:{server.port}") as client:
        client.send(first)
        assert client.read_exactly(len(asked)) == asked
        client.transport.shutdown(socket.SHUT_WR if ends == "half" else socket.SHUT_RDWR)
        wait_until(lambda: p.running.client_connections == 0)
    assert server.everything == first


@pytest.mark.parametrize("first", [b"SSH-2.0-x\r\n", GET, b"\x00", b"PRI * HTTP/2.0\r\n\r\n"], ids=repr)
def test_what_is_not_tls_ends_the_tunnel_unless_it_is_raw(first: bytes) -> None:
    with plain_server() as server:
        raw = Hosts(raw=frozenset((("raw.test", server.port),)))
        with proxy(hosts=raw) as p:
            with opened(p, f"api.test:{server.port}") as client:
                client.send(first)
                assert client.rest() == bytes((21, 3, 3, 0, 2, 2, 49))
            assert server.everything == b""
            assert p.recording.decisions() == [("allow", None), ("deny", "host_denied")]
            assert p.recording.network[-1]["hint"] == f'network.raw_tunnels: ["api.test:{server.port}"]'
            with opened(p, f"raw.test:{server.port}") as client:
                client.send(first)
                assert client.read_exactly(len(first)) == first
    assert server.everything == first


def test_a_server_that_speaks_first_is_not_heard_before_the_hello() -> None:
    def greet(connection: socket.socket, server: Plain) -> None:
        connection.sendall(b"220 smtp\r\n")
        echo(connection, server)

    with plain_server(greet) as server:
        with proxy() as p, opened(p, f"api.test:{server.port}") as client:
            p.let_pass(31)
            assert b"220" not in client.rest()
        raw = Hosts(raw=frozenset((("api.test", server.port),)))
        with proxy(hosts=raw) as p, opened(p, f"api.test:{server.port}") as client:
            assert client.read_until(b"\r\n") == b"220 smtp\r\n"


def test_a_client_that_never_says_hello_is_closed() -> None:
    with (
        plain_server() as server,
        proxy() as p,
        opened(p, f"api.test:{server.port}") as client,
    ):
        client.send(b"\x16\x03")
        p.let_pass(31)
        client.rest()
    assert p.recording.decisions() == [("allow", None), ("deny", "host_denied")]
    assert server.everything == b""


def test_a_tunnel_passes_a_half_close_on() -> None:
    with plain_server() as server:
        raw = Hosts(raw=frozenset((("api.test", server.port),)))
        with proxy(hosts=raw) as p, opened(p, f"api.test:{server.port}") as client:
            client.send(b"question")
            client.transport.shutdown(socket.SHUT_WR)
            assert client.rest() == b"question<end>"
            wait_until(lambda: p.running.client_connections == 0)


def test_a_tunnel_reads_no_faster_than_its_other_side() -> None:
    sent = [0]
    total = 32 << 20

    def flood(connection: socket.socket, server: Plain) -> None:
        connection.recv(1)
        while sent[0] < total:
            sent[0] += connection.send(bytes(65536))

    with plain_server(flood) as server:
        raw = Hosts(raw=frozenset((("api.test", server.port),)))
        with proxy(hosts=raw) as p, opened(p, f"api.test:{server.port}") as client:
            client.send(b"x")
            pause, last = threading.Event(), -1
            while last != sent[0]:
                last = sent[0]
                pause.wait(0.3)
            assert sent[0] < total
            arrived = 0
            while arrived < total:
                arrived += len(client.read_exactly(65536))


def test_only_an_idle_tunnel_is_closed() -> None:
    with plain_server() as server:
        raw = Hosts(raw=frozenset((("api.test", server.port),)))
        with proxy(hosts=raw) as p, opened(p, f"api.test:{server.port}") as client:
            for _ in range(3):
                client.send(b"x")
                assert client.read_exactly(1) == b"x"
                p.let_pass(3500)  # together longer than the limit
            p.let_pass(101)
            assert client.is_closed()


@pytest.mark.parametrize(
    ("target", "status", "category"),
    [
        pytest.param("denied.test:{port}", 403, "host_denied", id="denied host"),
        pytest.param("internal.test:{port}", 403, "host_denied", id="denied address"),
        pytest.param("mixed.test:{port}", 403, "host_denied", id="one denied address among good ones"),
        pytest.param("nowhere.test:{port}", 502, "upstream_connect_failed", id="no address"),
        pytest.param("127.0.0.1:{own}", 403, "host_denied", id="the proxy"),
        pytest.param("loop.test:{own}", 403, "host_denied", id="the proxy by a name"),
        pytest.param("key.test:{port}", 403, "connect_bypasses_l7", id="credential host"),
    ],
)
def test_a_connect_that_is_refused_dials_nothing(target: str, status: int, category: str) -> None:
    hosts = Hosts(denied=frozenset(("denied.test",)), denied_addresses=frozenset(("127.0.0.9",)))
    names = Names(
        {"internal.test": [["127.0.0.9"]], "mixed.test": [["127.0.0.1", "127.0.0.9"]], "nowhere.test": []}
    )
    with plain_server() as server:
        route = a_route(server.port, host="key.test", scheme="https")
        with proxy(route, hosts=hosts, names=names) as p, Client(p.port) as client:
            client.send(connect(target.format(port=server.port, own=p.port)))
            response = client.response()
            assert response.status == status
            assert json.loads(response.body)["error"] in response.reason
            assert p.recording.decisions() == [("deny", category)]
            assert server.accepted == []
            client.send(connect(f"good.test:{server.port}"))
            assert client.head()[0] == 200
            wait_until(lambda: len(server.accepted) == 1)


def test_a_denied_name_is_not_looked_up() -> None:
    with proxy(hosts=Hosts(denied=frozenset(("denied.test",)))) as p, Client(p.port) as client:
        client.send(connect("denied.test:443"))
        assert client.response().status == 403
        client.send(connect("x.test:443", b""))
        assert client.response().status == 407
        assert p.names.asked == []


def test_the_dialled_address_is_the_one_that_was_judged() -> None:
    names = Names({"rebind.test": [["127.0.0.1"], ["127.0.0.9"]]})
    hosts = Hosts(denied_addresses=frozenset(("127.0.0.9",)))
    with plain_server() as server, proxy(names=names, hosts=hosts) as p:
        with opened(p, f"rebind.test:{server.port}"):
            assert names.asked == ["rebind.test"]
            wait_until(lambda: len(server.accepted) == 1)
        with Client(p.port) as client:
            client.send(connect(f"rebind.test:{server.port}"))
            assert client.response().status == 403
    assert len(server.accepted) == 1


def test_a_port_where_nothing_listens_is_a_502_with_the_reason() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with proxy() as p, Client(p.port) as client:
            client.send(connect(f"api.test:{unused.getsockname()[1]}"))
            response = client.response()
    assert response.status == 502
    assert "refused" in response.reason
    assert p.recording.decisions() == [("allow", None), ("deny", "upstream_connect_failed")]


def test_a_tunnel_that_cannot_be_recorded_is_not_opened() -> None:
    recording = Recording(failing=True)
    with plain_server() as server, proxy(recording=recording) as p:
        with Client(p.port) as client:
            client.send(connect(f"api.test:{server.port}"))
            assert client.response().status == 503
        assert server.accepted == []
        recording.failing = False
        opened(p, f"api.test:{server.port}").transport.close()
        wait_until(lambda: len(server.accepted) == 1)


def test_a_program_is_not_started_for_a_tunnel_that_cannot_be_recorded() -> None:
    recording = Recording(failing=True)
    ours, its = socket.socketpair()
    started: list[socket.socket] = []

    async def start() -> socket.socket:
        ours.setblocking(False)
        started.append(ours)
        return ours

    hosts = Hosts(raw=frozenset({("tools.test", 443)}))
    with its, proxy(hosts=hosts, programs={("tools.test", 443): start}, recording=recording) as p:
        with Client(p.port) as client:
            client.send(connect("tools.test:443"))
            assert client.response().status == 503
        assert started == []
        recording.failing = False
        with opened(p, "tools.test:443") as client:
            client.send(b"hello")
            assert its.recv(5) == b"hello"


def test_after_a_407_the_same_connection_may_try_again() -> None:
    with plain_server() as server, proxy() as p, Client(p.port) as client:
        target = f"api.test:{server.port}"
        for fields in (b"", b"Proxy-Authorization: Basic bm9ubzp3cm9uZw==\r\n"):
            client.send(connect(target, fields))
            response = client.response()
            assert response.status == 407
            assert response.value("proxy-authenticate") == 'Basic realm="nono"'
            assert server.accepted == []
        client.send(connect(target))
        assert client.head()[0] == 200
    assert p.recording.decisions() == [
        *(("deny", "authentication_required"), ("deny", "authentication_failed"), ("allow", None))
    ]


def test_a_client_that_keeps_failing_is_closed() -> None:
    with proxy() as p, Client(p.port) as client:
        for _ in range(5):
            client.send(connect("api.test:443", b""))
            assert client.response().value("connection") is None
        client.send(connect("api.test:443", b""))
        assert client.response().value("connection") == "close"
        assert client.is_closed()


def test_a_connect_with_a_body_is_malformed() -> None:
    with proxy() as p, Client(p.port) as client:
        client.send(connect("api.test:443", TOKEN_FIELD + b"Content-Length: 3\r\n") + b"abc")
        assert client.response().status == 400
        assert client.is_closed()
        assert p.names.asked == []


def test_a_phantom_does_not_open_a_tunnel() -> None:
    field_ = b"Proxy-Authorization: Bearer " + PHANTOM.encode() + b"\r\n"
    with proxy(a_route(9)) as p, Client(p.port) as client:
        client.send(connect("api.test:443", field_))
        assert client.response().status == 407


def test_a_client_that_leaves_during_dns_leaves_nothing_behind() -> None:
    async def hang(host: str, port: int) -> list[str]:
        import anyio

        asked.set()
        await anyio.sleep_forever()
        return []

    asked = threading.Event()
    with proxy(resolver=hang, connect_timeout_s=0.2) as p:
        with Client(p.port) as client:
            client.send(connect("api.test:443"))
            assert asked.wait(TIMEOUT_S)
        wait_until(lambda: p.running.client_connections == 0)


def test_tunnels_end_with_the_proxy() -> None:
    with plain_server() as server:
        raw = Hosts(raw=frozenset((("api.test", server.port),)))
        with proxy(hosts=raw) as p:
            client = opened(p, f"api.test:{server.port}")
            client.send(b"x")
            assert client.read_exactly(1) == b"x"
        with client:
            assert client.is_closed()
