"""Who is let in, how many, and for how long."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

import anyio
import h2.settings
import pytest

from nono.proxy.client import http1
from nono.proxy.config import Collaborators, ProxyConfig
from nono.proxy.exchange import context
from nono.proxy.http.message import RequestHead
from nono.proxy.http2 import places
from nono.proxy.server import serve
from nono.proxy.transport import turns
from nono.proxy.usage.meter import UsageMeter
from nono.proxy.verdict.dispatch import Dispatcher
from nono.proxy.verdict.verdict import ConnectTarget, Verdict
from nono.secret import Secret
from support.proxy.http2_stage import KEY, h1_stage, h2_stage
from support.proxy.thread import (
    PHANTOM,
    TIMEOUT_S,
    Client,
    Hosts,
    Names,
    Recording,
    a_route,
    proxy,
    wait_until,
)
from support.servers.http1 import Received, upstream
from support.servers.http2 import Stream


def alone() -> Collaborators:
    """Return the collaborators of a proxy that no client uses."""
    return Collaborators(Recording(), Names(), pytest.fail)


FIELDS = b"Host: 127.0.0.1\r\nX-Api-Key: " + PHANTOM.encode() + b"\r\n"
GET = b"GET /alpha/x HTTP/1.1\r\n" + FIELDS + b"\r\n"


def test_a_peer_that_is_not_the_childs_is_answered_before_it_is_read() -> None:
    admitted: set[tuple[str, int]] = set()
    with upstream() as server, proxy(a_route(server.port), admits=lambda peer: peer in admitted) as p:
        with Client(p.port) as client:
            client.send(GET)
            response = client.response()
            assert (response.status, response.value("connection")) == (403, "close")
            assert client.rest() == b""
        assert server.connections == []
        assert p.recording.decisions() == [("deny", "authentication_failed")]
        with Client(p.port) as client:
            pass
        wait_until(lambda: p.running.client_connections == 0)
    with (
        upstream() as server,
        proxy(a_route(server.port), admits=lambda peer: peer[0] == "127.0.0.1") as p,
        Client(p.port) as client,
    ):
        client.send(GET)
        assert client.response().status == 200


def test_only_the_connection_beyond_the_limit_is_refused() -> None:
    with upstream() as server, proxy(a_route(server.port), max_connections=4) as p:
        clients = [Client(p.port) for _ in range(4)]
        try:
            wait_until(lambda: p.running.client_connections == 4)
            with Client(p.port) as client:
                client.send(GET)
                response = client.response()
                assert (response.status, response.value("retry-after")) == (503, "1")
                client.rest()
            for client in clients:
                client.send(GET)
                assert client.response().status == 200
            clients.pop().transport.close()
            wait_until(lambda: p.running.client_connections == 3)
            with Client(p.port) as client:
                client.send(GET)
                assert client.response().status == 200
        finally:
            for client in clients:
                client.transport.close()


def test_a_connection_reset_before_accept_leaves_nothing() -> None:
    with upstream() as server, proxy(a_route(server.port), max_connections=4) as p:
        for _ in range(200):
            with socket.create_connection(("127.0.0.1", p.port)) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wait_until(lambda: p.running.client_connections == 0)
        with Client(p.port) as client:
            client.send(GET)
            assert client.response().status == 200


def test_a_flood_beyond_the_limit_holds_no_connections() -> None:
    with proxy(max_connections=2) as p:
        clients = [Client(p.port) for _ in range(2 + 64 + 10)]
        try:
            told = [
                client.transport.recv(12) if number >= 2 else b"" for number, client in enumerate(clients)
            ]
            assert told[2:] == [b"HTTP/1.1 503"] * 64 + [b""] * 10
        finally:
            for client in clients:
                client.transport.close()
        wait_until(lambda: p.running.client_connections == 0)


def test_a_head_that_comes_too_slowly_is_ended_however_steadily_it_comes() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        for each in (b"G", b"E", b"T", b" "):
            client.send(each)
            p.let_pass(7)
        assert p.running.client_connections == 1
        client.send(b"/")
        p.let_pass(3)
        assert client.response().status == 408
    assert server.connections == []


def test_a_head_that_never_ends_is_answered_408() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p:
        with Client(p.port) as client:
            client.send(GET[:-4])
            p.let_pass(31)
            response = client.response()
            assert (response.status, response.value("connection")) == (408, "close")
        with Client(p.port) as client:
            client.send(GET)
            assert client.response().status == 200
    assert len(server.requests) == 1


def test_a_connection_that_says_nothing_is_closed_without_a_word() -> None:
    with proxy(head_timeout_s=0.05) as p, Client(p.port) as client:
        assert client.is_closed()


def test_a_connection_idle_between_requests_is_closed() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        for _ in range(2):
            client.send(GET)
            assert client.response().status == 200
            p.let_pass(119)
        p.let_pass(2)
        assert client.is_closed()


def test_only_a_stalled_upload_is_ended() -> None:
    proceed = threading.Event()

    def handler(request: Received) -> None:
        request.read_body()
        assert proceed.wait(TIMEOUT_S)
        request.connection.respond()

    with upstream(handler) as server, proxy(a_route(server.port), idle_timeout_s=0.1) as p:
        with Client(p.port) as client:
            client.send(b"POST /alpha/x HTTP/1.1\r\n" + FIELDS + b"Content-Length: 5\r\n\r\nab")
            assert client.is_closed()
        wait_until(lambda: p.running.upstream_connections == 0)
        with Client(p.port) as client:
            client.send(GET)
            server.received(2)
            threading.Event().wait(0.3)  # three times the limit
            proceed.set()
            assert client.response().status == 200


@pytest.mark.parametrize("sends", [True, False], ids=["sends it", "stalls"])
def test_a_client_has_time_for_its_body_once_it_was_asked_for_it(sends: bool) -> None:
    proceed = threading.Event()

    def handler(request: Received) -> None:
        assert proceed.wait(TIMEOUT_S)
        request.connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.read_body()
        request.connection.respond(body=request.body)

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(
            b"POST /alpha/x HTTP/1.1\r\n" + FIELDS + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        )
        server.received(1)
        p.let_pass(300)  # the upstream's time
        proceed.set()
        assert client.head()[0] == 100
        if sends:
            p.let_pass(119)
            client.send(b"abc")
            assert client.response().body == b"abc"
        else:
            p.let_pass(121)
            assert client.is_closed()


def test_a_response_under_way_is_finished_when_the_proxy_ends() -> None:
    proceed = threading.Event()

    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        assert proceed.wait(TIMEOUT_S)
        request.connection.send(b"cde")

    with upstream(handler) as server:
        with proxy(a_route(server.port), close_grace_s=TIMEOUT_S) as p:
            client, idle = Client(p.port), Client(p.port)
            client.send(GET)
            client.read_until(b"ab")
            read: list[bytes] = []

            def finish() -> None:
                assert idle.is_closed()  # which shows that the proxy is ending
                proceed.set()
                read.append(client.rest())

            finisher = threading.Thread(target=finish)
            finisher.start()
        finisher.join(TIMEOUT_S)
        client.transport.close()
        idle.transport.close()
    assert read == [b"cde"]


def test_a_response_that_does_not_end_is_cut_when_the_grace_is_over() -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        request.connection.wait_gone()

    with upstream(handler) as server:
        with proxy(a_route(server.port), close_grace_s=0.05) as p:
            client = Client(p.port)
            client.send(GET)
            client.read_until(b"ab")
        with client:
            assert client.is_closed()


def test_a_fault_in_one_connection_is_not_the_end_of_the_proxy(caplog: pytest.LogCaptureFixture) -> None:
    faults = [True]

    async def resolver(host: str, port: int) -> list[str]:
        if faults.pop() if faults else False:
            raise RuntimeError("a bug")
        return ["127.0.0.1"]

    with upstream() as server, proxy(a_route(server.port), resolver=resolver) as p:
        with Client(p.port) as client:
            client.send(GET)
            assert client.is_closed()
        with Client(p.port) as client:
            client.send(GET)
            assert client.response().status == 200
    assert "a connection of the proxy failed" in caplog.text


@pytest.fixture
def fault_in_a_later_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meter a response one step in each turn of the loop, and make the second step fail."""
    steps = iter([b""])

    def feed(meter: UsageMeter, piece: bytes) -> bytes:
        with suppress(StopIteration):
            return next(steps)
        raise RuntimeError("a bug")

    monkeypatch.setattr(turns, "SHARE_S", 0.0)
    monkeypatch.setattr(UsageMeter, "feed", feed)


METERED = "/v1/chat/completions"
LONG = b'{"x": "%b"}' % bytes(16 * 1024)


@pytest.mark.usefixtures("fault_in_a_later_turn")
def test_a_fault_in_a_later_turn_ends_the_response() -> None:
    def answer(request: Received) -> None:
        request.read_body()
        request.connection.respond(body=LONG)

    with upstream(answer) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(f"POST /alpha{METERED} HTTP/1.1\r\n".encode() + FIELDS + b"Content-Length: 0\r\n\r\n")
        with suppress(ConnectionResetError):
            assert len(client.rest()) < len(LONG)


@pytest.mark.usefixtures("fault_in_a_later_turn")
def test_a_fault_in_a_later_turn_ends_the_stream() -> None:
    with h2_stage(lambda stream: stream.respond(body=LONG)) as (stage, _), stage.client() as client:
        assert client.answer(client.request(METERED, method="POST", fields=[KEY])).reset is not None


def test_a_fault_in_a_later_turn_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    judge = Dispatcher.judge

    def faulty(dispatcher: Dispatcher, head: RequestHead, inside: ConnectTarget | None = None) -> Verdict:
        if head.target == b"/fault":
            raise RuntimeError("a bug")
        return judge(dispatcher, head, inside)

    monkeypatch.setattr(http1, "BUDGET_S", 0.0)
    monkeypatch.setattr(Dispatcher, "judge", faulty)
    with proxy() as p, Client(p.port) as client:
        client.send(b"".join(b"GET /%b HTTP/1.1\r\n%b\r\n" % (path, FIELDS) for path in (b"x", b"fault")))
        client.response()
        assert client.is_closed()


def test_a_slow_client_does_not_slow_another_one_down() -> None:
    def handler(request: Received) -> None:
        if request.target == b"/large":
            request.connection.respond(body=bytes(32 << 20))
        else:
            request.connection.respond()

    with (
        upstream(handler) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as slow,
        Client(p.port) as quick,
    ):
        slow.send(GET.replace(b"/alpha/x", b"/alpha/large"))
        slow.head()
        for _ in range(20):
            quick.send(GET)
            assert quick.response().status == 200


def test_the_proxy_takes_over_a_listener_that_is_handed_in() -> None:
    async def main() -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        config = ProxyConfig(Hosts(), Secret("x"))
        async with serve(config, alone(), listener) as running:
            assert running.port == port
        assert listener.fileno() == -1

    anyio.run(main, backend_options={"use_uvloop": True})


def test_a_port_that_is_taken_is_an_error() -> None:
    with proxy() as p, pytest.raises(OSError, match="in use"), proxy(port=p.port):
        pass


def test_cancelling_the_block_closes_everything() -> None:
    async def main() -> None:
        with anyio.CancelScope() as scope:
            async with serve(ProxyConfig(Hosts(), Secret("x")), alone()) as running:
                client = socket.create_connection(("127.0.0.1", running.port))
                with client:
                    client.setblocking(False)
                    client.sendall(b"GET")
                    while not running.client_connections:
                        await anyio.lowlevel.checkpoint()
                    scope.cancel()
                    await anyio.Event().wait()
        assert running.client_connections == 0

    anyio.run(main, backend_options={"use_uvloop": True})


@pytest.mark.parametrize("turns_before", range(4))
def test_who_is_accepted_in_the_last_turn_is_gone_at_the_end_too(
    turns_before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nono.proxy.server._READY_AFTER_S", 0.0)

    async def main() -> None:
        async with serve(ProxyConfig(Hosts(), Secret("x")), alone()) as running:
            for _ in range(20):  # nothing is left to be made ready, which would take up the last turns
                await anyio.lowlevel.checkpoint()
            client = socket.create_connection(("127.0.0.1", running.port))
            for _ in range(turns_before):
                await anyio.lowlevel.checkpoint()
        with client:
            for _ in range(3):
                assert running.client_connections == 0
                await anyio.lowlevel.checkpoint()

    anyio.run(main, backend_options={"use_uvloop": True})


def test_the_streams_of_a_client_take_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_OF_CLIENT", 4)
    goes_on = threading.Event()

    def slow(request: Received) -> None:
        request.read_body()
        goes_on.wait(TIMEOUT_S)
        request.connection.respond()

    with h1_stage(slow) as (stage, server), stage.client() as client:
        numbers = [client.request(fields=[KEY]) for _ in range(20)]
        wait_until(lambda: len(server.requests) == 4)
        assert stage.proxy.running.upstream_connections <= 4
        goes_on.set()
        assert {client.answer(number).status for number in numbers} == {200}
    assert len(server.connections) <= 4


def test_a_stream_beyond_the_places_gets_that_of_an_idle_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "MAX_OF_CLIENT", 2)
    goes_on = threading.Event()

    def slow(stream: Stream) -> None:
        goes_on.wait(TIMEOUT_S)
        stream.respond()

    one_at_a_time = {h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS: 1}
    with h2_stage(slow, settings=one_at_a_time) as (stage, server), stage.client() as client:
        numbers = [client.request(fields=[KEY]) for _ in range(6)]
        server.received(2)
        goes_on.set()
        assert {client.answer(number).status for number in numbers} == {200}


def test_all_clients_together_take_few_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MAX_HTTP2_UPSTREAMS", 3)
    goes_on = threading.Event()

    def slow(request: Received) -> None:
        request.read_body()
        goes_on.wait(TIMEOUT_S)
        request.connection.respond()

    with h1_stage(slow) as (stage, server), stage.client() as one, stage.client() as other:
        asked = [(client, client.request(fields=[KEY])) for client in (one, other) for _ in range(4)]
        wait_until(lambda: len(server.requests) == 3)
        assert stage.proxy.running.upstream_connections <= 3
        goes_on.set()
        assert {client.answer(number).status for client, number in asked} == {200}
        # A stream that is reset gives its place back.
        goes_on.clear()
        for number in [one.request(fields=[KEY]) for _ in range(6)]:
            one.h2.reset_stream(number)
        one.flush()
        goes_on.set()
        assert other.get(fields=[KEY]).status == 200


def test_all_clients_together_have_few_requests_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "MAX_HTTP2_STREAMS", 3)
    goes_on = threading.Event()

    def slow(stream: Stream) -> None:
        goes_on.wait(TIMEOUT_S)
        stream.respond()

    with h2_stage(slow) as (stage, server), stage.client() as one, stage.client() as other:
        asked = [(one, one.request(fields=[KEY])), (one, one.request(fields=[KEY]))]
        one.ping()  # both are there
        asked.append((other, other.request(fields=[KEY])))
        server.received(3)
        refused = other.get(fields=[KEY])
        assert (refused.status, refused.values("retry-after")) == (503, ["1"])
        own_key = ("authorization", "Bearer made-up")
        assert other.get(fields=[own_key]).status == 401  # only what would be sent takes a place
        denied = [event["reason"] for event in stage.proxy.recording.network if event["decision"] == "deny"]
        assert denied[0] == "the proxy already carries 3 requests over HTTP/2"
        # What ends gives its place back, however it ends.
        client, number = asked.pop()
        client.h2.reset_stream(number)
        client.flush()
        client.ping()
        asked.append((one, one.request(fields=[KEY])))
        server.received(4)
        assert one.get(fields=[KEY]).status == 503
        goes_on.set()
        assert {client.answer(number).status for client, number in asked} == {200}
        assert [other.get(fields=[KEY]).status for _ in range(4)] == [200] * 4


@pytest.mark.parametrize("is_refused", [False, True])
def test_a_connection_that_ends_gives_the_places_of_its_requests_back(
    monkeypatch: pytest.MonkeyPatch, *, is_refused: bool
) -> None:
    monkeypatch.setattr(context, "MAX_HTTP2_STREAMS", 2)

    def handler(stream: Stream) -> None:
        if stream.path == b"/slow" and is_refused:
            with suppress(OSError):
                stream.connection.transport.shutdown(socket.SHUT_RDWR)
        elif stream.path != b"/slow":
            stream.respond()

    with h2_stage(handler) as (stage, server), stage.client() as other:
        with stage.client() as client:
            numbers = [client.request("/slow", method="POST", fields=[KEY]) for _ in range(2)]
            if is_refused:
                assert {client.answer(number).status for number in numbers} == {502}
            else:
                server.received(2)
        streams = stage.proxy.running.serving().context.http2_streams
        wait_until(lambda: streams.value == 2)
        assert other.get(fields=[KEY]).status == 200
