"""Where one message ends and the next begins, by every way on which the proxy reads messages."""

from __future__ import annotations

import pytest

from support.proxy.thread import Client, Hosts, wait_until
from support.proxy.transports import READABLE, TEXTUAL, WITH_CREDENTIAL, FiveWays, Way, five_ways, statuses
from support.servers.http1 import Received, answer_ok

AMBIGUOUS = {
    "CL and TE": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "TE spaced": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE with a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE identity": b"Transfer-Encoding: identity\r\n\r\n",
    "TE twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CL twice, same": b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "CL twice, different": b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "CL list": b"Content-Length: 3, 3\r\n\r\nabc",
    "CL negative": b"Content-Length: -3\r\n\r\nabc",
    "CL signed": b"Content-Length: +3\r\n\r\nabc",
    "CL hexadecimal": b"Content-Length: 0x3\r\n\r\nabc",
    "CL beyond 64 bits": b"Content-Length: 18446744073709551619\r\n\r\nabc",
    "bare LF": b"X: 1\nContent-Length: 3\r\n\r\nabc",
    "bare CR": b"X: 1\rContent-Length: 3\r\n\r\nabc",
    "folded": b"X: 1\r\n Content-Length: 3\r\n\r\n",
    "space before a colon": b"X : 1\r\n\r\n",
    "NUL": b"X: a\x00b\r\n\r\n",
    "no colon": b"X\r\n\r\n",
    "Host twice": b"Host: evil.test\r\n\r\n",
}


def with_another_behind(ways: FiveWays, way: Way, rest: bytes) -> bytes:
    return ways.head(way, "/first", method="POST") + rest + ways.head(way, "/smuggled") + b"\r\n"


@pytest.mark.parametrize("way", TEXTUAL)
@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_an_ambiguous_request_reaches_nobody_and_is_the_last_of_its_connection(way: Way, rest: bytes) -> None:
    with five_ways() as ways:
        assert statuses(ways.raw(way, with_another_behind(ways, way, rest))) == [400]
        assert ways.is_untouched
        assert [event["status"] for event in ways.denials] == [400]
        assert ways.ask(way).status == 200
        assert len(ways.requests) == 1


BAD_CHUNKS = {
    "no number": b"xyz\r\n",
    "negative": b"-1\r\n",
    "0x": b"0x3\r\nabc\r\n",
    "bare LF": b"3\nabc\n0\n\n",
    "too long": b"3\r\nabcd\r\n0\r\n\r\n",
    "beyond 64 bits": b"ffffffffffffffff1\r\n",
}


@pytest.mark.parametrize("way", TEXTUAL)
def test_a_malformed_body_never_ends_well_and_nothing_behind_it_is_a_request(way: Way) -> None:
    complete: list[bytes] = []

    def handler(request: Received) -> None:
        complete.append(request.read_body())
        request.connection.respond()

    for name, chunks in BAD_CHUNKS.items():
        with five_ways(handler) as ways:
            rest = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + chunks
            assert statuses(ways.raw(way, with_another_behind(ways, way, rest))) == [400], name
            wait_until(lambda ways=ways: ways.proxy.running.upstream_connections == 0)  # type: ignore[misc]  # a default binds it
            assert b"smuggled" not in ways.sent
    assert complete == []


@pytest.mark.parametrize("way", TEXTUAL)
def test_requests_in_a_row_are_as_many_upstream_in_their_order(way: Way) -> None:
    with five_ways() as ways:
        chunked = b"transfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"
        three = (
            ways.head(way, "/1", method="POST") + b"content-length: 3\r\n\r\nabc",
            ways.head(way, "/2", method="POST") + chunked,
            ways.head(way, "/3") + b"connection: close\r\n\r\n",
        )
        assert statuses(ways.raw(way, b"".join(three))) == [200, 200, 200]
        assert [request.target for request in ways.requests] == [b"/1", b"/2", b"/3"]
        assert [request.body for request in ways.requests] == [b"abc", b"abc", b""]


@pytest.mark.parametrize("way", TEXTUAL)
@pytest.mark.parametrize("framing", ["length", "chunked", "expectation"])
def test_the_body_of_a_refused_request_is_no_request(way: Way, framing: str) -> None:
    with five_ways(hosts=Hosts(only_routes=True)) as ways:
        body = ways.head(way, "/smuggled") + b"connection: close\r\n\r\n"
        refused = ways.head(way, "/refused", method="POST", key=False, logins=())
        if framing == "chunked":
            refused += b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            expect = b"expect: 100-continue\r\n" if framing == "expectation" else b""
            refused += expect + b"content-length: %d\r\n\r\n" % len(body) + body
        last = ways.head(way, "/last", method="POST", key=False, logins=()) + b"connection: close\r\n\r\n"
        answered = statuses(ways.raw(way, refused + last))
        assert answered in ([401, 401], [401], [407, 407], [407])
        assert ways.is_untouched
        assert len(ways.denials) == len(answered)


UNREAD = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nX-Rest: "


def answer_unread(request: Received) -> None:
    """As servers do that take a request without a meaning for its body to have none."""
    request.body_complete = True
    request.connection.respond()


@pytest.mark.parametrize("way", TEXTUAL)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_a_body_that_an_upstream_may_leave_unread_stands_before_no_request(way: Way, method: str) -> None:
    with five_ways(answer_unread) as ways:
        assert ways.ask(way, "/first", method=method, body=UNREAD).status == 200
        assert ways.ask(way, "/second").status == 200
        assert [request.target for request in ways.requests] == [b"/first", b"/second"]


@pytest.mark.parametrize("way", TEXTUAL)
@pytest.mark.parametrize(("method", "body"), [("POST", UNREAD), ("GET", None), ("DELETE", b"")])
def test_behind_every_other_request_the_connection_is_used_again(
    way: Way, method: str, body: bytes | None
) -> None:
    with five_ways() as ways:
        assert ways.ask(way, "/first", method=method, body=body).status == 200
        assert ways.ask(way, "/second").status == 200
        first, second = ways.requests
        assert first.connection is second.connection


def test_a_stream_whose_length_belies_its_body_never_looks_complete() -> None:
    complete: list[bytes] = []

    def handler(request: Received) -> None:
        complete.append(request.read_body())
        request.connection.respond()

    for stated in ("1", "9", "-1", "+5", "5, 5"):
        with five_ways(handler) as ways:
            answer = ways.ask(Way.HTTP2, method="POST", fields=[("content-length", stated)], body=b"hello")
            assert answer.status != 200, stated
    assert complete == []


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
FORGED = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
BAD_RESPONSES = {
    "CL twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "CL and TE": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "status 999": b"HTTP/1.1 999 X\r\nContent-Length: 0\r\n\r\n",
    "a body of an interim response": b"HTTP/1.1 199 OK\r\nContent-Length: 44\r\n\r\n" + FORGED,
    "chunks of an interim response": b"HTTP/1.1 199 OK\r\nTransfer-Encoding: chunked\r\n\r\n2c\r\n" + FORGED,
    "trailers of an interim response": (
        b"HTTP/1.1 199 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Forged: 1\r\n\r\n" + OK
    ),
    "flood of interim responses": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 17 + OK,
    "head without end": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 80_000,
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 101 + b"Content-Length: 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "bare CR in the reason": b"HTTP/1.1 200 O\rX-Injected: 1\r\nContent-Length: 0\r\n\r\n",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n\r\n",
    "a switch that nobody asked for": b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfree",
}


@pytest.mark.parametrize("way", READABLE)
def test_a_response_that_could_be_read_in_two_ways_is_a_502(way: Way) -> None:
    for name, response in BAD_RESPONSES.items():

        def handler(request: Received, response: bytes = response) -> None:
            if request.target == b"/x":
                answer_ok(request)
                return
            request.connection.send(response)
            request.connection.wait_gone()

        with five_ways(handler) as ways:
            assert ways.ask(way, "/bad").status == 502, name
            assert [event["denial_category"] for event in ways.denials] == ["upstream_connect_failed"]
            assert ways.ask(way).status == 200


@pytest.mark.parametrize("way", READABLE)
def test_a_response_that_breaks_off_never_looks_whole_and_has_one_status_line(way: Way) -> None:
    cut = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
    }
    for name, response in cut.items():

        def handler(request: Received, response: bytes = response) -> None:
            request.connection.send(response)
            request.connection.reset()

        with five_ways(handler) as ways:
            answer = ways.ask(way)
            assert not answer.is_whole or answer.status == 502, name


HANDSHAKE = [
    ("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
]  # fmt: skip


@pytest.mark.parametrize("way", [Way.INSIDE, Way.REVERSE])
@pytest.mark.parametrize("ending", [b"", b"\r\n\r\n"], ids=["no end", "an end"])
def test_an_endless_line_in_the_answer_to_a_handshake_is_a_502(way: Way, ending: bytes) -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 101 S\r\nX: " + b"a" * 80_000 + ending)
        request.connection.wait_gone()

    with five_ways(handler) as ways:
        assert ways.ask(way, fields=HANDSHAKE).status == 502
        assert [event["denial_category"] for event in ways.denials] == ["upstream_connect_failed"]


@pytest.mark.parametrize("way", READABLE)
@pytest.mark.parametrize(("method", "status"), [("GET", 204), ("GET", 304), ("HEAD", 200)])
def test_a_body_on_a_response_that_has_none_answers_no_other_request(
    way: Way, method: str, status: int
) -> None:
    def handler(request: Received) -> None:
        if request.target == b"/bodiless":
            request.connection.send(b"HTTP/1.1 %d X\r\n\r\n" % status + OK.replace(b"ok", b"no"))
        else:
            answer_ok(request)

    with five_ways(handler) as ways:
        assert ways.ask(way, "/bodiless", method=method).status == status
        assert ways.ask(way).body == b"ok"


@pytest.mark.parametrize("way", READABLE)
def test_a_line_end_in_a_reason_of_an_upstream_writes_no_header(way: Way) -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 Fine\tX-Injected: 1\r\nContent-Length: 2\r\n\r\nok")

    with five_ways(handler) as ways:
        answer = ways.ask(way)
        assert answer.status in (200, 502)
        assert answer.values("x-injected") == []


@pytest.mark.parametrize("way", [Way.TUNNEL, *TEXTUAL])
def test_a_head_that_never_ends_is_given_up(way: Way) -> None:
    with five_ways(options={"head_timeout_s": 1.0}) as ways:
        if way is Way.TUNNEL:
            with Client(ways.proxy.port) as client:
                client.send(b"CONNECT site.test:443 HTTP/1.1\r\nhost:")
                assert client.response().status == 408
                assert client.is_closed()
        else:
            assert statuses(ways.raw(way, ways.head(way))) == [408]
        assert ways.is_untouched
        assert ways.denials[-1]["status"] == 408


def test_a_connection_of_http2_without_a_word_is_given_up() -> None:
    with five_ways(options={"head_timeout_s": 1.0}) as ways, ways.http2(start=False) as client:
        client.wait_closed()
        assert ways.is_untouched


@pytest.mark.parametrize("way", TEXTUAL)
def test_a_head_beyond_its_limits_is_refused(way: Way) -> None:
    with five_ways() as ways:
        for more in (b"x: " + b"a" * 9000, b"x: 1\r\n" * 120, (b"x: " + b"a" * 8000 + b"\r\n") * 10):
            assert statuses(ways.raw(way, ways.head(way) + more + b"\r\n\r\n")) == [431]
        assert statuses(ways.raw(way, ways.head(way, "/" + "a" * 9000) + b"\r\n"))[0] in (414, 431)
        assert ways.is_untouched
        assert len(ways.denials) == 4


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
def test_a_line_end_in_a_field_of_a_request_writes_no_other(way: Way) -> None:
    with five_ways() as ways:
        for value in ("a\nx-injected: 1", "a\rx-injected: 1", "a\x00b", "a\r\n x-injected: 1"):
            assert ways.ask(way, fields=[("x-a", value)]).status == 400
        assert ways.is_untouched
        assert len(ways.denials) == 4
