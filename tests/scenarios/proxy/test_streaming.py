"""Bodies pass through as they arrive, in both directions, and nobody's slowness fills the memory."""

from __future__ import annotations

import threading

import pytest

from support.proxy.thread import PHANTOM, Client, ProxyUnderTest, a_route, bounded_growth, proxy, wait_until
from support.servers.http1 import Received, upstream

FIELDS = b"Host: 127.0.0.1\r\nX-Api-Key: " + PHANTOM.encode() + b"\r\n"
GET = b"GET /alpha/x HTTP/1.1\r\n" + FIELDS
POST = b"POST /alpha/x HTTP/1.1\r\n" + FIELDS
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BLOCK = bytes(range(256)) * 256  # 64 KiB
TIMEOUT_S = 20.0


def test_an_event_reaches_the_client_before_the_next_one_is_sent() -> None:
    proceed = threading.Event()

    def handler(request: Received) -> None:
        request.connection.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        request.connection.send(b"9\r\ndata: 1\n\n\r\n")
        assert proceed.wait(TIMEOUT_S)
        request.connection.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET + b"\r\n")
        client.head()
        assert client.chunk() == b"data: 1\n\n"
        proceed.set()
        assert client.chunk() == b"data: 2\n\n"
        assert client.chunk() == b""


def test_a_part_of_an_upload_reaches_the_upstream_before_the_rest_is_sent() -> None:
    arrived: list[bytes] = []

    def handler(request: Received) -> None:
        arrived.extend(request.pieces())
        request.connection.respond()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(POST + CHUNKED + b"5\r\nfirst\r\n")
        wait_until(lambda: arrived == [b"first"])
        client.send(b"6\r\nsecond\r\n0\r\n\r\n")
        assert client.response().status == 200
    assert arrived == [b"first", b"second"]


@pytest.mark.parametrize("size", [20_000, 400_000])
def test_a_body_of_blank_lines_in_the_read_of_its_head_arrives(size: int) -> None:
    body = b"\r\n\r\n" * (size // 4)
    arrived: list[bytes] = []

    def handler(request: Received) -> None:
        arrived.append(request.read_body())
        request.connection.respond()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + GET + b"\r\n")
        assert [client.response().status for _ in range(2)] == [200, 200]
    assert arrived == [body, b""]


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_large_upload_arrives_whole_in_bounded_memory(framing: str) -> None:
    count = 512  # 32 MiB
    good: list[bool] = []

    def handler(request: Received) -> None:
        total = 0
        for piece in request.pieces():
            expected = (BLOCK + BLOCK)[total % len(BLOCK) :][: len(piece)]
            good.append(piece == expected if len(piece) <= len(BLOCK) else True)
            total += len(piece)
            request.forget_body()
        request.connection.respond(body=str(total).encode())

    with (
        upstream(handler) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as client,
        bounded_growth(16),
    ):
        if framing == "length":
            client.send(POST + b"Content-Length: %d\r\n\r\n" % (count * len(BLOCK)))
            for _ in range(count):
                client.send(BLOCK)
        else:
            client.send(POST + CHUNKED)
            for _ in range(count):
                client.send(b"10000\r\n" + BLOCK + b"\r\n")
            client.send(b"0\r\n\r\n")
        assert client.response().body == str(count * len(BLOCK)).encode()
    assert all(good)


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
def test_a_large_download_arrives_whole_in_bounded_memory(framing: str) -> None:
    count = 512

    def handler(request: Received) -> None:
        head = {
            "length": b"Content-Length: %d\r\n\r\n" % (count * len(BLOCK)),
            "chunked": CHUNKED,
            "until close": b"Connection: close\r\n\r\n",
        }[framing]
        request.connection.send(b"HTTP/1.1 200 OK\r\n" + head)
        for _ in range(count):
            request.connection.send(b"10000\r\n" + BLOCK + b"\r\n" if framing == "chunked" else BLOCK)
        if framing == "chunked":
            request.connection.send(b"0\r\n\r\n")
        elif framing == "until close":
            request.connection.transport.shutdown(1)

    with (
        upstream(handler) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as client,
        bounded_growth(16),
    ):
        client.send(GET + b"\r\n")
        client.head()
        total = 0
        if framing == "length":
            while total < count * len(BLOCK):
                total += len(client.read_exactly(len(BLOCK)))
        else:
            while piece := client.chunk():
                total += len(piece)
        assert total == count * len(BLOCK)


def stalled_upload(p: ProxyUnderTest, client: Client) -> int:
    """Send until nothing more is taken. Returns the number of bytes that were."""
    client.transport.settimeout(0.5)
    sent = 0
    try:
        while sent < 256 * len(BLOCK):
            sent += client.transport.send(BLOCK)
    except TimeoutError:
        pass
    client.transport.settimeout(TIMEOUT_S)
    return sent


def test_an_upstream_that_does_not_read_stops_the_client() -> None:
    proceed = threading.Event()

    def handler(request: Received) -> None:
        assert proceed.wait(TIMEOUT_S)
        for _ in request.pieces():
            request.forget_body()
        request.connection.respond()

    length = 256 * len(BLOCK)
    with (
        upstream(handler) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as client,
        bounded_growth(12),
    ):
        client.send(POST + b"Content-Length: %d\r\n\r\n" % length)
        sent = stalled_upload(p, client)
        assert sent < length
        proceed.set()
        client.send(b"x" * (length - sent))
        assert client.response().status == 200


def test_a_client_that_does_not_read_stops_the_upstream() -> None:
    sent = [0]
    length = 512 * len(BLOCK)

    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
        while sent[0] < length:
            request.connection.send(BLOCK)
            sent[0] += len(BLOCK)

    with (
        upstream(handler) as server,
        proxy(a_route(server.port)) as p,
        Client(p.port) as client,
        bounded_growth(12),
    ):
        client.send(GET + b"\r\n")
        client.head()
        stood_still = threading.Event()
        last = -1
        while last != sent[0]:  # until it has not moved for a while
            last = sent[0]
            stood_still.wait(0.3)
        assert sent[0] < length
        total = 0
        while total < length:
            total += len(client.read_exactly(len(BLOCK)))


def test_only_steering_trailers_of_the_upstream_are_dropped() -> None:
    def handler(request: Received) -> None:
        request.connection.send(
            b"HTTP/1.1 200 OK\r\n"
            + CHUNKED
            + b"1\r\na\r\n0\r\nX-Checksum: 1\r\nSet-Cookie: session=1\r\n\r\n"
        )

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET + b"\r\n")
        client.head()
        assert client.chunk() == b"a"
        assert client.read_until(b"\r\n\r\n") == b"0\r\nX-Checksum: 1\r\n\r\n"


def test_the_body_follows_100_continue_from_the_upstream() -> None:
    def handler(request: Received) -> None:
        if request.value(b"expect") == b"100-continue":
            request.connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.read_body()
        request.connection.respond(body=request.body)

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(POST + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert client.head()[0] == 100
        client.send(b"abc")
        assert client.response().body == b"abc"
        client.send(GET + b"\r\n")  # the connection goes on
        assert client.head()[0] == 200


def test_a_refused_expectation_ends_the_connection_before_the_body() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(b"POST /alpha/x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        response = client.response()
        assert (response.status, response.value("connection")) == (401, "close")
    assert server.connections == []


def test_only_an_unexpected_100_is_dropped() -> None:
    def handler(request: Received) -> None:
        request.connection.send(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        )
        request.connection.respond()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(GET + b"\r\n")
        response = client.response()
    assert (response.status, response.interim) == (200, [103])


def test_an_early_response_is_relayed_before_the_connection_closes() -> None:
    def handler(request: Received) -> None:
        next(request.pieces())
        request.connection.respond(413, b"too large", reason="Content Too Large")
        for _ in request.pieces():
            request.forget_body()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(POST + b"Content-Length: %d\r\n\r\n" % (1 << 30))
        client.send(BLOCK)
        response = client.response()
        assert (response.status, response.body, response.value("connection")) == (413, b"too large", "close")
        assert client.is_closed()


def test_both_directions_stream_at_once() -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED)
        for piece in request.pieces():
            request.connection.send(b"%x\r\n%b\r\n" % (len(piece), piece))
        request.connection.send(b"0\r\n\r\n")

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(POST + CHUNKED)
        client.head()
        for word in (b"one", b"two", b"three"):
            client.send(b"%x\r\n%b\r\n" % (len(word), word))
            assert client.chunk() == word
        client.send(b"0\r\n\r\n")
        assert client.chunk() == b""


def test_a_connection_survives_a_refused_upload() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(b"POST /alpha/x HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc")
        assert client.response().status == 401
        client.send(b"def" + GET + b"\r\n")
        assert client.response().status == 200
    assert [request.method for request in server.requests] == [b"GET"]
