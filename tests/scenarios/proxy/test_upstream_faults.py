"""An upstream that misbehaves: one status line or none, no byte in the wrong response, no harmful retry."""

from __future__ import annotations

import random
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import cast

import pytest

from support.proxy.thread import PHANTOM, TIMEOUT_S, Client, a_route, narrow_listener, proxy, wait_until
from support.servers.http1 import Authority, Gone, Received, upstream

FIELDS = b"Host: 127.0.0.1\r\nX-Api-Key: " + PHANTOM.encode() + b"\r\n"
GET = b"GET /alpha/x HTTP/1.1\r\n" + FIELDS + b"\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

BAD_HEADS = {
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "CL twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE unknown": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "status 999": b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    "status 1000": b"HTTP/1.1 1000 X\r\nContent-Length: 0\r\n\r\n",
    "HTTP/2": b"HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "101 unasked": b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\nfree bytes",
    "101 without Upgrade": b"HTTP/1.1 101 Switching\r\n\r\nfree bytes",
    "1xx flood": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17 + OK,
    "head without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 80_000,
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 101 + b"Content-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", BAD_HEADS.values(), ids=BAD_HEADS)
def test_a_response_head_that_is_not_well_formed_becomes_a_502(answer: bytes) -> None:
    def handler(request: Received) -> None:
        request.connection.send(OK if request.target == b"/x" else answer)
        request.connection.wait_gone()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET.replace(b"/alpha/x", b"/alpha/bad"))
        response = client.response()
        assert response.status == 502
        assert p.recording.decisions() == [("allow", None), ("deny", "upstream_connect_failed")]
        client.send(GET)
        assert client.response().status == 200
    assert len(server.connections) == 2


CUT_BODIES = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
    "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
}


@pytest.mark.parametrize("answer", CUT_BODIES.values(), ids=CUT_BODIES)
def test_a_truncated_body_ends_the_connection_without_a_second_status(
    answer: bytes,
) -> None:
    def handler(request: Received) -> None:
        request.connection.send(answer)
        request.connection.reset()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET)
        received = b""
        try:
            while piece := client.receive():
                received += piece
        except ConnectionResetError:
            pass
    assert received.count(b"HTTP/1.1") <= 1
    assert b"0\r\n\r\n" not in received


def test_a_tls_response_until_close_needs_the_close_to_be_authentic(tmp_path: Path) -> None:
    authority = Authority(str(tmp_path / "ca.pem"))

    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc")
        if request.target == b"/x":
            request.connection.transport.unwrap()  # type: ignore[attr-defined]  # an SSLSocket: close_notify
        raise Gone  # closes below TLS, which an attacker on the path could do as well

    with (
        upstream(handler, authority.server_context("api.test")) as server,
        proxy(a_route(server.port, host="api.test", scheme="https", tls_ca=authority.ca_file)) as p,
    ):
        with Client(p.port) as client:
            client.send(GET)
            assert client.response().body == b"abc"
        with Client(p.port) as client:
            client.send(GET.replace(b"/alpha/x", b"/alpha/cut"))
            received = b""
            try:
                while piece := client.receive():
                    received += piece
            except ConnectionResetError:
                pass
        assert b"0\r\n\r\n" not in received


@pytest.mark.parametrize("last_word", ["close_notify", "nothing"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_slow_client_gets_a_whole_answer_of_a_tls_upstream_that_is_gone(
    framing: str, last_word: str, tmp_path: Path
) -> None:
    """nginx closes so. What TLS had not handed on by then was lost, up to 256 KB."""
    body = random.Random(1).randbytes(600_000)
    authority = Authority(str(tmp_path / "ca.pem"))

    def handler(request: Received) -> None:
        if framing == "length":
            request.connection.respond(body=body)
        else:
            chunks = b"".join(b"1000\r\n%b\r\n" % body[at : at + 4096] for at in range(0, 589_824, 4096))
            head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            request.connection.send(head + chunks + b"0\r\n\r\n")
        transport = cast(ssl.SSLSocket, request.connection.transport)
        if last_word == "close_notify":
            transport.setblocking(False)
            with suppress(ssl.SSLWantReadError):  # it waits for nobody else's
                transport.unwrap()
        transport.close()
        gone.set()
        raise Gone

    gone = threading.Event()
    with (
        upstream(handler, authority.server_context("api.test")) as server,
        proxy(
            a_route(server.port, host="api.test", scheme="https", tls_ca=authority.ca_file),
            listener=narrow_listener(),
        ) as p,
        Client(p.port, receive_buffer=4096) as client,
    ):
        client.send(GET)
        assert gone.wait(TIMEOUT_S)
        for _ in range(10):  # turns in which the proxy may see that it is gone
            p.on_loop(int)
        is_whole = client.response().body == body[: 589_824 if framing == "chunked" else None]
        assert is_whole  # pytest would look for the difference for minutes


@pytest.mark.parametrize(
    "surplus",
    [b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged", b"garbage", b"\x00"],
    ids=["response", "text", "NUL"],
)
def test_bytes_behind_a_response_never_answer_the_next_request(surplus: bytes) -> None:
    def handler(request: Received) -> None:
        request.connection.send(OK + surplus)

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET + GET)
        for _ in range(2):
            assert client.response().body == b"ok"
    assert len(server.connections) == 2


def test_bytes_that_come_unasked_on_a_resting_connection_end_it() -> None:
    def handler(request: Received) -> None:
        request.connection.send(OK)
        if request.target == b"/first":
            wait_until(lambda: first_read == [True])
            request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
            request.connection.wait_gone()

    first_read: list[bool] = []
    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET.replace(b"/alpha/x", b"/alpha/first"))
        assert client.response().body == b"ok"
        first_read.append(True)
        wait_until(lambda: p.running.upstream_connections == 0)
        client.send(GET)
        assert client.response().body == b"ok"


def test_unread_bytes_of_an_idle_connection_are_not_the_next_response() -> None:
    def handler(request: Received) -> None:
        request.connection.send(OK)
        if request.target == b"/first":
            asked.wait()
            request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged")
            sent.set()
            request.connection.wait_gone()

    asked, sent = threading.Event(), threading.Event()
    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET.replace(b"/alpha/x", b"/alpha/first"))
        assert client.response().body == b"ok"
        with p.standing_still():
            client.send(GET)  # is there first, so that the loop takes it up first
            asked.set()
            sent.wait()
        assert client.response().body == b"ok"


def test_a_body_on_a_response_that_has_none_is_not_the_next_response() -> None:
    def handler(request: Received) -> None:
        # In one piece: after the first response alone the connection is at rest, and what comes then is
        # the claim of the test above.
        request.connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Length: 46\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
        )

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET.replace(b"GET", b"HEAD"))
        assert client.response(to_head=True).status == 200
        client.send(GET.replace(b"GET", b"HEAD"))
        assert client.response(to_head=True).value("content-length") == "46"


@pytest.mark.parametrize(
    ("method", "body", "tries", "status"),
    [
        pytest.param(b"GET", b"", 2, 200, id="GET"),
        pytest.param(b"PUT", b"", 2, 200, id="PUT without body"),
        pytest.param(b"POST", b"", 1, 502, id="POST without body"),
        pytest.param(b"POST", b"abc", 1, 502, id="POST with body"),
        pytest.param(b"PUT", b"abc", 1, 502, id="PUT whose body was sent"),
    ],
)
def test_a_dead_idle_connection_is_replaced_only_where_that_is_harmless(
    method: bytes, body: bytes, tries: int, status: int
) -> None:
    def handler(request: Received) -> None:
        request.read_body()
        if request.connection.number == 0 and len(server.requests) == 2:
            request.connection.reset()
        else:
            request.connection.respond()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET)
        assert client.response().status == 200
        length = b"Content-Length: %d\r\n" % len(body) if body else b""
        client.send(method + b" /alpha/x HTTP/1.1\r\n" + FIELDS + length + b"\r\n" + body)
        assert client.response().status == status
    assert [request.method for request in server.requests[1:]] == [method] * tries


def test_a_fresh_connection_that_dies_is_not_tried_again() -> None:
    def handler(request: Received) -> None:
        request.connection.reset()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET)
        assert client.response().status == 502
    assert len(server.requests) == 1


def test_a_resting_connection_that_the_upstream_closed_is_not_used() -> None:
    def handler(request: Received) -> None:
        request.connection.respond()
        if request.connection.number == 0:
            request.connection.reset()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET)
        assert client.response().status == 200
        wait_until(lambda: p.running.upstream_connections == 0)
        client.send(GET.replace(b"GET", b"POST"))
        assert client.response().status == 200


def test_a_connection_that_rested_too_long_is_closed() -> None:
    with (
        upstream() as server,
        proxy(a_route(server.port), pool_idle_timeout_s=0.05) as p,
        Client(p.port) as client,
    ):
        client.send(GET)
        assert client.response().status == 200
        wait_until(lambda: p.running.upstream_connections == 0)
        client.send(GET)
        assert client.response().status == 200
    assert len(server.connections) == 2


def test_no_more_connections_rest_than_the_limit() -> None:
    with upstream() as server, proxy(a_route(server.port, drains=True), pool_max_idle=2) as p:
        clients = [Client(p.port) for _ in range(6)]
        try:
            for client in clients:
                client.send(GET.replace(b"GET", b"POST").removesuffix(b"\r\n") + b"Content-Length: 1\r\n\r\n")
            server.received(6)
            for client in clients:
                client.send(b"x")
            for client in clients:
                assert client.response().status == 200
            wait_until(lambda: p.running.upstream_connections == 2)
        finally:
            for client in clients:
                client.transport.close()
