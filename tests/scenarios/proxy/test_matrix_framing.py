"""Where one message ends and the next begins, over every transport on which the proxy reads messages."""

from __future__ import annotations

import pytest

from support.proxy.thread import Client, Hosts, wait_until
from support.proxy.transports import (
    READABLE,
    TEXTUAL,
    WITH_CREDENTIAL,
    FiveTransports,
    Transport,
    five_transports,
    statuses,
)
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


def with_another_behind(stage: FiveTransports, transport: Transport, rest: bytes) -> bytes:
    return (
        stage.head(transport, "/first", method="POST") + rest + stage.head(transport, "/smuggled") + b"\r\n"
    )


@pytest.mark.parametrize("transport", TEXTUAL)
@pytest.mark.parametrize("rest", AMBIGUOUS.values(), ids=AMBIGUOUS)
def test_an_ambiguous_request_is_the_last_of_its_connection(transport: Transport, rest: bytes) -> None:
    with five_transports() as stage:
        assert statuses(stage.raw(transport, with_another_behind(stage, transport, rest))) == [400]
        assert stage.is_untouched
        assert [event["status"] for event in stage.denials] == [400]
        assert stage.ask(transport).status == 200
        assert len(stage.requests) == 1


BAD_CHUNKS = {
    "no number": b"xyz\r\n",
    "negative": b"-1\r\n",
    "0x": b"0x3\r\nabc\r\n",
    "bare LF": b"3\nabc\n0\n\n",
    "too long": b"3\r\nabcd\r\n0\r\n\r\n",
    "beyond 64 bits": b"ffffffffffffffff1\r\n",
}


@pytest.mark.parametrize("transport", TEXTUAL)
def test_nothing_behind_a_malformed_body_is_a_request(transport: Transport) -> None:
    complete: list[bytes] = []

    def handler(request: Received) -> None:
        complete.append(request.read_body())
        request.connection.respond()

    for name, chunks in BAD_CHUNKS.items():
        with five_transports(handler) as stage:
            rest = b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + chunks
            assert statuses(stage.raw(transport, with_another_behind(stage, transport, rest))) == [400], name
            wait_until(lambda stage=stage: stage.proxy.running.upstream_connections == 0)  # type: ignore[misc]  # a default binds it
            assert b"smuggled" not in stage.sent
    assert complete == []


@pytest.mark.parametrize("transport", TEXTUAL)
def test_requests_in_a_row_are_as_many_upstream_in_their_order(transport: Transport) -> None:
    with five_transports() as stage:
        chunked = b"transfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\n\r\n"
        three = (
            stage.head(transport, "/1", method="POST") + b"content-length: 3\r\n\r\nabc",
            stage.head(transport, "/2", method="POST") + chunked,
            stage.head(transport, "/3") + b"connection: close\r\n\r\n",
        )
        assert statuses(stage.raw(transport, b"".join(three))) == [200, 200, 200]
        assert [request.target for request in stage.requests] == [b"/1", b"/2", b"/3"]
        assert [request.body for request in stage.requests] == [b"abc", b"abc", b""]


@pytest.mark.parametrize("transport", TEXTUAL)
@pytest.mark.parametrize("framing", ["length", "chunked", "expectation"])
def test_the_body_of_a_refused_request_is_no_request(transport: Transport, framing: str) -> None:
    with five_transports(hosts=Hosts(only_routes=True)) as stage:
        body = stage.head(transport, "/smuggled") + b"connection: close\r\n\r\n"
        refused = stage.head(transport, "/refused", method="POST", key=False, logins=())
        if framing == "chunked":
            refused += b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        else:
            expect = b"expect: 100-continue\r\n" if framing == "expectation" else b""
            refused += expect + b"content-length: %d\r\n\r\n" % len(body) + body
        last = (
            stage.head(transport, "/last", method="POST", key=False, logins=()) + b"connection: close\r\n\r\n"
        )
        answered = statuses(stage.raw(transport, refused + last))
        assert answered in ([401, 401], [401], [407, 407], [407])
        assert stage.is_untouched
        assert len(stage.denials) == len(answered)


UNREAD = b"GET /smuggled HTTP/1.1\r\nHost: x\r\nX-Rest: "


def answer_unread(request: Received) -> None:
    """Answer as servers do that take a request without a meaning for its body to have none."""
    request.body_complete = True
    request.connection.respond()


@pytest.mark.parametrize("transport", TEXTUAL)
@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_no_request_follows_a_body_that_may_be_left_unread(transport: Transport, method: str) -> None:
    with five_transports(answer_unread, drains=True) as stage:
        assert stage.ask(transport, "/first", method=method, body=UNREAD).status == 200
        assert stage.ask(transport, "/second").status == 200
        assert [request.target for request in stage.requests] == [b"/first", b"/second"]


@pytest.mark.parametrize("transport", TEXTUAL)
@pytest.mark.parametrize(("method", "body"), [("POST", UNREAD), ("GET", None), ("DELETE", b"")])
def test_behind_every_other_request_the_connection_is_used_again(
    transport: Transport, method: str, body: bytes | None
) -> None:
    with five_transports(drains=True) as stage:
        assert stage.ask(transport, "/first", method=method, body=body).status == 200
        assert stage.ask(transport, "/second").status == 200
        first, second = stage.requests
        assert first.connection is second.connection


def test_a_stream_whose_length_belies_its_body_never_looks_complete() -> None:
    complete: list[bytes] = []

    def handler(request: Received) -> None:
        complete.append(request.read_body())
        request.connection.respond()

    for stated in ("1", "9", "-1", "+5", "5, 5"):
        with five_transports(handler) as stage:
            answer = stage.ask(
                Transport.HTTP2, method="POST", fields=[("content-length", stated)], body=b"hello"
            )
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


@pytest.mark.parametrize("transport", READABLE)
def test_a_response_that_could_be_read_in_two_ways_is_a_502(transport: Transport) -> None:
    for name, response in BAD_RESPONSES.items():

        def handler(request: Received, response: bytes = response) -> None:
            if request.target == b"/x":
                answer_ok(request)
                return
            request.connection.send(response)
            request.connection.wait_gone()

        with five_transports(handler) as stage:
            assert stage.ask(transport, "/bad").status == 502, name
            assert [event["denial_category"] for event in stage.denials] == ["upstream_connect_failed"]
            assert stage.ask(transport).status == 200


@pytest.mark.parametrize("transport", READABLE)
def test_a_response_that_breaks_off_never_looks_whole(transport: Transport) -> None:
    cut = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n",
    }
    for name, response in cut.items():

        def handler(request: Received, response: bytes = response) -> None:
            request.connection.send(response)
            request.connection.reset()

        with five_transports(handler) as stage:
            answer = stage.ask(transport)
            assert not answer.is_whole or answer.status == 502, name


HANDSHAKE = [
    ("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
]  # fmt: skip


@pytest.mark.parametrize("transport", [Transport.INSIDE, Transport.REVERSE])
@pytest.mark.parametrize("ending", [b"", b"\r\n\r\n"], ids=["no end", "an end"])
def test_an_endless_line_in_the_answer_to_a_handshake_is_a_502(transport: Transport, ending: bytes) -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 101 S\r\nX: " + b"a" * 80_000 + ending)
        request.connection.wait_gone()

    with five_transports(handler) as stage:
        assert stage.ask(transport, fields=HANDSHAKE).status == 502
        assert [event["denial_category"] for event in stage.denials] == ["upstream_connect_failed"]


@pytest.mark.parametrize("transport", READABLE)
@pytest.mark.parametrize(("method", "status"), [("GET", 204), ("GET", 304), ("HEAD", 200)])
def test_a_body_on_a_response_that_has_none_answers_no_other_request(
    transport: Transport, method: str, status: int
) -> None:
    def handler(request: Received) -> None:
        if request.target == b"/bodiless":
            request.connection.send(b"HTTP/1.1 %d X\r\n\r\n" % status + OK.replace(b"ok", b"no"))
        else:
            answer_ok(request)

    with five_transports(handler) as stage:
        assert stage.ask(transport, "/bodiless", method=method).status == status
        assert stage.ask(transport).body == b"ok"


@pytest.mark.parametrize("transport", READABLE)
def test_a_line_end_in_a_reason_of_an_upstream_writes_no_header(transport: Transport) -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 Fine\tX-Injected: 1\r\nContent-Length: 2\r\n\r\nok")

    with five_transports(handler) as stage:
        answer = stage.ask(transport)
        assert answer.status in (200, 502)
        assert answer.values("x-injected") == []


@pytest.mark.parametrize("transport", [Transport.TUNNEL, *TEXTUAL])
def test_a_head_that_never_ends_is_given_up(transport: Transport) -> None:
    with five_transports() as stage:
        if transport is Transport.TUNNEL:
            with Client(stage.proxy.port) as client:
                client.send(b"CONNECT site.test:443 HTTP/1.1\r\nhost:")
                stage.proxy.let_pass(31)
                assert client.response().status == 408
                assert client.is_closed()
        else:
            assert statuses(stage.raw(transport, stage.head(transport), silent_s=31)) == [408]
        assert stage.is_untouched
        assert stage.denials[-1]["status"] == 408


def test_a_connection_of_http2_without_a_word_is_given_up() -> None:
    with five_transports() as stage, stage.http2(start=False) as client:
        stage.proxy.let_pass(31)
        client.wait_closed()
        assert stage.is_untouched


@pytest.mark.parametrize("transport", TEXTUAL)
def test_a_head_beyond_its_limits_is_refused(transport: Transport) -> None:
    with five_transports() as stage:
        for more in (b"x: " + b"a" * 9000, b"x: 1\r\n" * 120, (b"x: " + b"a" * 8000 + b"\r\n") * 10):
            assert statuses(stage.raw(transport, stage.head(transport) + more + b"\r\n\r\n")) == [431]
        assert statuses(stage.raw(transport, stage.head(transport, "/" + "a" * 9000) + b"\r\n"))[0] in (
            414,
            431,
        )
        assert stage.is_untouched
        assert len(stage.denials) == 4


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_line_end_in_a_field_of_a_request_writes_no_other(transport: Transport) -> None:
    with five_transports() as stage:
        for value in ("a\nx-injected: 1", "a\rx-injected: 1", "a\x00b", "a\r\n x-injected: 1"):
            assert stage.ask(transport, fields=[("x-a", value)]).status == 400
        assert stage.is_untouched
        assert len(stage.denials) == 4
