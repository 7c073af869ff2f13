"""How long an intercepted connection lasts, and what it holds meanwhile."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import ExitStack

import pytest

from support.proxy.interception import intercepting
from support.proxy.localhost import BEARER, OWN_KEY, get, inside_localhost, intercepted_localhost
from support.proxy.thread import TIMEOUT_S, a_route, narrow_listener, wait_until
from support.servers.http1 import Received, upstream


def test_the_proxy_ends_beside_idle_or_busy_intercepted_clients() -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")
        request.connection.wait_gone()

    with upstream(handler) as server:
        with intercepting(a_route(server.port, host="localhost"), close_grace_s=0.05) as p:
            resting = p.inside("localhost", server.port)
            busy = p.inside("localhost", server.port)
            busy.send(get(server.port))
            busy.read_until(b"ab")
        with resting, busy:
            assert resting.rest() == b""
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                busy.read_exactly(3)


def test_counts_return_to_zero_after_large_bodies() -> None:
    def handler(request: Received) -> None:
        request.connection.respond(body=request.read_body())

    body = bytes(range(256)) * 8192
    with intercepted_localhost(handler) as (server, p):
        with p.inside("localhost", server.port) as client:
            head = get(server.port, fields=BEARER + b"Content-Length: %d\r\n" % len(body))
            client.send(head.replace(b"GET", b"POST") + body)  # all of it is read before anything comes back
            assert client.response().body == body
            assert p.running.client_connections == 1
        wait_until(lambda: p.running.client_connections == 0)


def test_a_client_inside_that_does_not_read_stops_the_upstream() -> None:
    sent = [0]

    def handler(request: Received) -> None:
        request.connection.transport.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (256 << 20))
        request.connection.transport.settimeout(1.0)
        try:
            while True:
                request.connection.transport.sendall(bytes(1 << 16))
                sent[0] += 1 << 16
        except OSError:
            stopped.set()

    stopped = threading.Event()
    with inside_localhost(handler) as (server, _, client):
        client.send(get(server.port))
        client.head()
        assert stopped.wait(TIMEOUT_S)
        assert sent[0] < 64 << 20


def test_a_refused_request_closes_where_the_connection_cannot_go_on() -> None:
    with inside_localhost() as (server, _, client):
        client.send(
            b"GET /v1 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: x\r\nContent-Length: 1\r\n\r\n"
        )
        response = client.response()
        assert (response.status, response.value("connection")) == (400, "close")
        assert client.rest() == b""
    assert server.connections == []


def test_many_wrong_keys_end_the_connection() -> None:
    with inside_localhost() as (server, _, client):
        for _ in range(5):
            client.send(get(server.port, fields=OWN_KEY))
            assert client.response().value("connection") is None
        client.send(get(server.port, fields=OWN_KEY))
        assert client.response().value("connection") == "close"
        assert client.rest() == b""
    assert server.connections == []


@pytest.mark.parametrize("field", [b"Connection: close\r\n", b""], ids=["that is closed", "that is kept"])
def test_a_slow_reader_gets_all_of_a_response(field: bytes) -> None:
    body = b"x" * 400_000  # more than the kernel holds here, and less than stops the upstream

    def handler(request: Received) -> None:
        request.connection.respond(body=body)
        answered.set()

    answered = threading.Event()
    with inside_localhost(handler, listener=narrow_listener(), receive_buffer=4096) as (server, _, client):
        client.send(get(server.port, fields=BEARER + field))
        assert answered.wait(TIMEOUT_S)
        threading.Event().wait(1.5)  # longer than a client that has it all is waited for
        assert client.response().body == body


@pytest.mark.parametrize("size", [20_000, 400_000], ids=["in the loop", "in TLS"])
def test_a_client_that_still_has_a_response_to_read_is_not_idle(size: int) -> None:
    body = b"x" * size

    def handler(request: Received) -> None:
        request.connection.respond(body=body if request.target == b"/large" else b"ok")
        answered.set()

    answered = threading.Event()
    slow = inside_localhost(handler, listener=narrow_listener(), receive_buffer=4096)
    with slow as (server, p, client):
        client.send(get(server.port, "/large"))
        assert answered.wait(TIMEOUT_S)
        p.let_pass(121)
        assert client.response().body == body
        client.send(get(server.port))
        assert client.response().body == b"ok"
        p.let_pass(121)
        wait_until(lambda: p.running.client_connections == 0)  # now it is


def test_a_client_that_does_not_answer_the_goodbye_holds_nobody_up() -> None:
    for field in (b"Connection: close\r\n", b""):
        with upstream() as server, ExitStack() as clients:
            with intercepting(a_route(server.port, host="localhost"), close_grace_s=TIMEOUT_S) as p:
                client = clients.enter_context(p.inside("localhost", server.port))
                client.send(get(server.port, fields=BEARER + field))
                assert client.response().status == 200
                began = time.monotonic()
            assert time.monotonic() - began < TIMEOUT_S / 2
