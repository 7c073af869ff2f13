"""Every request and tunnel that was recorded is followed by a record of how it ended."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from h2.errors import ErrorCodes

from nono.proxy.client import tunnel
from nono.proxy.http.refusal import Refusal
from nono.proxy.token_post import TokenPost
from support.ports import unanswered, unused_port
from support.proxy.http2_stage import KEY, h2_stage
from support.proxy.interception import connect
from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, Hosts, Recording, a_route, proxy, wait_until
from support.servers.http1 import Authority, Gone, Received, upstream
from support.servers.http2 import Stream

FIELDS = b"Host: 127.0.0.1\r\nX-Api-Key: " + PHANTOM.encode() + b"\r\n"
GET = b"GET /alpha/x HTTP/1.1\r\n" + FIELDS + b"\r\n"
POST = b"POST /alpha/x HTTP/1.1\r\n" + FIELDS + b"Content-Length: 5\r\n\r\nhello"
HANDSHAKE = (
    b"GET /alpha/x HTTP/1.1\r\n"
    + FIELDS
    + b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    + b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # to that key, by RFC 6455 section 1.3


def only(recording: Recording) -> dict[str, object]:
    """Return the only outcome, without its duration."""
    wait_until(lambda: bool(recording.outcomes))
    (outcome,) = recording.outcomes
    assert isinstance(outcome.pop("ms"), int)
    assert outcome.pop("request") is None  # no log, no numbers
    return outcome


def test_a_request_is_followed_by_its_status_and_bytes() -> None:
    def handler(request: Received) -> None:
        request.read_body()
        request.connection.respond(429, b"too many")

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(POST)
        assert client.response().status == 429
        assert only(p.recording) == {"status": 429, "bytes_out": 5, "bytes_in": 8}


def test_a_refused_request_is_followed_by_no_outcome() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET.replace(PHANTOM.encode(), b"sk-another"))
        assert client.response().status == 401
    assert p.recording.decisions() == [("deny", "authentication_failed")]
    assert p.recording.outcomes == []


def test_the_outcomes_of_many_requests_are_one_record() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET * 20)
        for _ in range(20):
            assert client.response().status == 200
    kinds = [event["type"] for event in p.recording.events]
    assert len(p.recording.outcomes) == 20
    assert kinds.count("requests_ended") < 20


def test_the_outcome_is_written_when_the_log_can_be_written_again() -> None:
    def handler(request: Received) -> None:
        p.recording.failing = True
        request.connection.respond()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET)
        assert client.response().status == 200
        p.recording.failing = False
    assert only(p.recording)["status"] == 200


def cut(request: Received) -> None:
    request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
    request.connection.transport.shutdown(socket.SHUT_RDWR)


def reset(request: Received) -> None:
    request.connection.reset()


def garbage(request: Received) -> None:
    request.connection.send(b"SSH-2.0-OpenSSH\r\n\r\n")


@pytest.mark.parametrize(
    ("handler", "status", "failure"),
    [(cut, 200, "closed"), (reset, 502, "reset"), (garbage, 502, "malformed")],
    ids=["cut", "reset", "garbage"],
)
def test_the_failure_of_an_upstream_is_named(
    handler: Callable[[Received], None], status: int, failure: str
) -> None:
    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(POST)
        outcome = only(p.recording)
    assert (outcome["status"], outcome["failure"]) == (status, failure)
    assert str(outcome["reason"]).startswith("the upstream")


def test_an_upstream_that_is_not_there_is_refused() -> None:
    with proxy(a_route(unused_port())) as p, Client(p.port) as client:
        client.send(GET)
        assert client.response().status == 502
        outcome = only(p.recording)
    assert (outcome["status"], outcome["failure"]) == (502, "refused")


def test_a_certificate_that_is_not_trusted_is_a_failure_of_tls(tmp_path: Path) -> None:
    server_ca, trusted = Authority(str(tmp_path / "a.pem")), Authority(str(tmp_path / "b.pem"))
    context = server_ca.server_context("api.test")
    with (
        upstream(tls=context) as server,
        proxy(a_route(server.port, host="api.test", scheme="https", tls_ca=trusted.ca_file)) as p,
        Client(p.port) as client,
    ):
        client.send(GET)
        assert client.response().status == 502
        assert only(p.recording)["failure"] == "tls"


def test_a_handshake_that_does_not_end_is_a_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        route = a_route(silent.getsockname()[1], host="api.test", scheme="https")
        with proxy(route, connect_timeout_s=0.2) as p, Client(p.port) as client:
            client.send(GET)
            assert client.response().status == 504
            assert only(p.recording)["failure"] == "timeout"


def test_a_client_that_leaves_is_the_failure_of_its_request() -> None:
    def handler(request: Received) -> None:
        client.transport.close()
        request.connection.wait_gone()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET)
        outcome = only(p.recording)
    assert (outcome["status"], outcome["failure"]) == (None, "client")


@pytest.mark.parametrize(
    ("leaves", "failure"), [("in order", "client"), ("by reset", "client"), ("not", "timeout")]
)
def test_a_client_that_leaves_while_its_tunnel_is_dialled_is_the_failure_of_it(
    leaves: str, failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []

    class Looked(tunnel.TunnelOpening):
        def _look(self) -> None:
            looks.append(True)
            super()._look()

    monkeypatch.setattr(tunnel, "_LOOK_EVERY_S", 0.05)
    monkeypatch.setattr("nono.proxy.client.jobs.TunnelOpening", Looked)
    timeout_s = 1.0 if leaves == "not" else 10 * TIMEOUT_S
    with unanswered() as port:
        hosts = Hosts(raw=frozenset({("api.test", port)}))
        with proxy(hosts=hosts, connect_timeout_s=timeout_s) as p, Client(p.port) as client:
            client.send(connect(f"api.test:{port}"))
            wait_until(lambda: bool(p.recording.events) and len(looks) > 1)
            if leaves == "by reset":
                client.transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if leaves == "not":
                assert client.response().status == 504
            else:
                client.transport.close()
            assert only(p.recording)["failure"] == failure


def test_a_fault_while_a_tunnel_is_dialled_is_a_failure_of_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    class Faulty(tunnel.TunnelOpening):
        async def _reach(self) -> tunnel.TunnelUpstream | Refusal:
            assert self._record()
            raise RuntimeError("a bug")

    monkeypatch.setattr("nono.proxy.client.jobs.TunnelOpening", Faulty)
    with proxy() as p, Client(p.port) as client:
        client.send(connect("api.test:443"))
        assert client.is_closed()
        outcome = only(p.recording)
    assert (outcome["status"], outcome["failure"]) == (None, "proxy")


def echo(connection: socket.socket, count: int) -> None:
    while count > 0 and (piece := connection.recv(65536)):
        connection.sendall(piece * 2)
        count -= len(piece)


def test_a_tunnel_ends_with_the_bytes_of_both_directions() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = ("api.test", listener.getsockname()[1])
        with proxy(hosts=Hosts(raw=frozenset({where}))) as p, Client(p.port) as client:
            client.send(connect(f"{where[0]}:{where[1]}"))
            connection, _ = listener.accept()
            with connection:
                assert client.head()[0] == 200
                client.send(b"hello")
                echo(connection, 5)
                assert client.transport.recv(100) == b"hellohello"
            client.transport.close()
            outcome = only(p.recording)
    assert outcome == {"status": 200, "bytes_out": 5, "bytes_in": 10}


def test_a_tunnel_without_a_client_hello_was_blocked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        where = f"api.test:{listener.getsockname()[1]}"
        with proxy() as p, Client(p.port) as client:
            client.send(connect(where))
            assert client.head()[0] == 200
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            outcome = only(p.recording)
    assert (outcome["failure"], outcome["bytes_out"]) == ("blocked", 0)


@pytest.mark.parametrize("how", [socket.SHUT_RDWR, socket.SHUT_WR], ids=["whole", "half"])
def test_a_client_that_leaves_before_its_client_hello_is_the_failure_of_its_tunnel(how: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, proxy() as p, Client(p.port) as client:
        client.send(connect(f"api.test:{listener.getsockname()[1]}"))
        assert client.head()[0] == 200
        client.transport.shutdown(how)
        outcome = only(p.recording)
    assert (outcome["status"], outcome["failure"], outcome["bytes_out"]) == (200, "client", 0)


def test_a_websocket_ends_with_its_last_byte() -> None:
    def handler(request: Received) -> None:
        request.connection.send(
            b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\nabc"
        )
        assert request.connection.read_exactly(2) == b"hi"
        raise Gone

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(HANDSHAKE)
        client.read_until(b"abc")
        assert p.recording.outcomes == []
        client.send(b"hi")
        while client.transport.recv(100):
            pass
        client.transport.close()
        outcome = only(p.recording)
    assert (outcome["status"], outcome["bytes_out"], outcome["bytes_in"]) == (101, 2, 3)


def test_a_stream_of_http2_has_an_outcome_of_its_own() -> None:
    with h2_stage() as (stage, _), stage.client() as client:
        assert client.post(b"hello", "/x", fields=[KEY]).status == 200
        outcome = only(stage.proxy.recording)
    assert (outcome["status"], outcome["bytes_out"], outcome["bytes_in"]) == (200, 5, 2)


def never(stream: Stream) -> None:
    stream.reset_by_client.wait(TIMEOUT_S)


def reset_stream(stream: Stream) -> None:
    stream.reset(ErrorCodes.INTERNAL_ERROR)


def close_all(stream: Stream) -> None:
    stream.connection.transport.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("handler", "failure"),
    [(never, "client"), (reset_stream, "reset"), (close_all, "closed")],
    ids=["client", "upstream", "its connection"],
)
def test_a_stream_that_breaks_off_says_by_whom(handler: Callable[[Stream], None], failure: str) -> None:
    with h2_stage(handler) as (stage, server), stage.client() as client:
        number = client.request("/x", fields=[KEY])
        wait_until(lambda: bool(server.streams))
        if failure == "client":
            client.h2.reset_stream(number)
            client.flush()
        assert only(stage.proxy.recording)["failure"] == failure


def test_a_token_that_nono_fetches_has_an_outcome() -> None:
    def handler(request: Received) -> None:
        request.read_body()
        request.connection.respond(400, b"invalid_client")

    post = TokenPost()
    with upstream(handler) as server, proxy(token_post=post) as p:
        p.running.serving()
        url = f"http://127.0.0.1:{server.port}/token"
        fetched = anyio.from_thread.run(post, url, b"grant", (), token=p._token)
        assert fetched.status == 400
        assert only(p.recording) == {"status": 400, "bytes_out": 5, "bytes_in": 14}
