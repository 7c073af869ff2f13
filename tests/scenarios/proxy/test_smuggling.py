"""Requests that two parsers would cut differently: 400, the connection ends, the upstream sees nothing."""

from __future__ import annotations

import pytest

from support.proxy.thread import PHANTOM, Client, a_route, proxy, wait_until
from support.servers.http1 import Received, upstream

FIELDS = b"Host: 127.0.0.1\r\nX-Api-Key: " + PHANTOM.encode() + b"\r\n"
START = b"POST /alpha/x HTTP/1.1\r\n" + FIELDS
SMUGGLED = b"GET /alpha/smuggled HTTP/1.1\r\n" + FIELDS + b"\r\n"

CORPUS = {
    "CL and TE": START + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": START + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "CL twice, same": START + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "CL twice, different": START + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "CL list": START + b"Content-Length: 3, 3\r\n\r\nabc",
    "CL signed": START + b"Content-Length: +3\r\n\r\nabc",
    "CL negative": START + b"Content-Length: -3\r\n\r\nabc",
    "CL hex": START + b"Content-Length: 0x3\r\n\r\nabc",
    "CL empty": START + b"Content-Length:\r\n\r\n",
    "CL overflow": START + b"Content-Length: 18446744073709551619\r\n\r\nabc",
    "TE tab": START + b"Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n",
    "TE identity": START + b"Transfer-Encoding: identity\r\n\r\n",
    "TE gzip": START + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE not last": START + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE twice": START + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE twice in a list": START + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "TE quoted": START + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "TE in 1.0": START.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "space before colon": START + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "tab before colon": START + b"Content-Length\t: 3\r\n\r\nabc",
    "obs-fold": START + b"X: 1\r\n Content-Length: 3\r\n\r\n",
    "obs-fold at the start": b"POST /alpha/x HTTP/1.1\r\n X: 1\r\n" + FIELDS + b"\r\n",
    "bare LF": START + b"X: 1\nContent-Length: 3\r\n\r\nabc",
    "bare LF at the end": START + b"X: 1\r\n\nabc",
    "bare CR": START + b"X: 1\rContent-Length: 3\r\n\r\nabc",
    "NUL in value": START + b"X: a\x00b\r\n\r\n",
    "NUL in name": START + b"X\x00: a\r\n\r\n",
    "control in value": START + b"X: a\x01b\r\n\r\n",
    "no name": START + b": a\r\n\r\n",
    "no colon": START + b"X\r\n\r\n",
    "Host twice": START + b"Host: evil.test\r\n\r\n",
    "no Host": b"GET /alpha/x HTTP/1.1\r\nX-Api-Key: " + PHANTOM.encode() + b"\r\n\r\n",
    "tab in the request line": b"GET\t/alpha/x HTTP/1.1\r\n" + FIELDS + b"\r\n",
    "blank after the version": b"GET /alpha/x HTTP/1.1 \r\n" + FIELDS + b"\r\n",
    "lower-case method": b"get /alpha/x HTTP/1.1\r\n" + FIELDS + b"\r\n",
    "unknown method": b"SMUGGLE /alpha/x HTTP/1.1\r\n" + FIELDS + b"\r\n",
    "target not ASCII": b"GET /alpha/\xff HTTP/1.1\r\n" + FIELDS + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x00\x05hello\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", CORPUS.values(), ids=CORPUS)
@pytest.mark.parametrize("split", [False, True], ids=["whole", "byte by byte"])
def test_an_ambiguous_request_never_reaches_the_upstream(request_bytes: bytes, split: bool) -> None:
    with upstream() as server, proxy(a_route(server.port)) as p:
        with Client(p.port) as client:
            everything = request_bytes + SMUGGLED
            if split:
                for start in range(len(request_bytes)):
                    client.send(request_bytes[start : start + 1])
                client.send(SMUGGLED)
            else:
                client.send(everything)
            response = client.response()
            assert response.status == 400
            assert response.value("connection") == "close"
            assert client.rest() == b""
        assert server.connections == []
        assert p.recording.decisions() == [("deny", None)]
        with Client(p.port) as client:
            client.send(SMUGGLED)
            assert client.response().status == 200
    assert len(server.requests) == 1


def test_a_request_line_with_two_blanks_goes_out_with_one() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(b"GET /alpha/x  HTTP/1.1\r\n" + FIELDS + b"\r\n")
        assert client.response().status == 200
    assert server.requests[0].request_line == b"GET /x HTTP/1.1"


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.2"])
def test_another_version_is_refused(version: bytes) -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(b"GET /alpha/x " + version + b"\r\n" + FIELDS + b"\r\n")
        assert client.response().status in (400, 505)
        assert client.is_closed()
    assert server.connections == []


BAD_CHUNKS = {
    "no number": b"xyz\r\n",
    "negative": b"-1\r\n",
    "0x": b"0x3\r\nabc\r\n",
    "bare LF": b"3\nabc\n0\n\n",
    "blank after the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "too long": b"3\r\nabcd\r\n0\r\n\r\n",
    "overflow": b"ffffffffffffffff1\r\n",
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS)
def test_a_body_that_is_not_well_formed_never_ends_well_upstream(chunks: bytes) -> None:
    complete: list[bytes] = []

    def handler(request: Received) -> None:
        complete.append(request.read_body())
        request.connection.respond()

    with upstream(handler) as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(START + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" + chunks + SMUGGLED)
        assert client.response().status == 400
        client.rest()
        wait_until(lambda: p.running.upstream_connections == 0)
    assert complete == []
    assert all(b"smuggled" not in connection.raw for connection in server.connections)


def test_chunks_are_cut_anew_without_extensions_or_trailers() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(
            START
            + b"Transfer-Encoding: chunked\r\n\r\n00003;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Api-Key: x\r\n\r\n"
        )
        assert client.response().status == 200
    (request,) = server.requests
    assert request.body == b"abcde"
    assert request.wire_body in (b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"5\r\nabcde\r\n0\r\n\r\n")


def test_bytes_after_connection_close_belong_to_nothing() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(START + b"Connection: close\r\n\r\n" + SMUGGLED)
        assert client.response().status == 200
        assert client.rest() == b""
    assert len(server.requests) == 1


LIMITS = {
    "one long line": (b"X: " + b"a" * 9000 + b"\r\n", 431),
    "a head beyond 64 KiB": ((b"X: " + b"a" * 8000 + b"\r\n") * 9, 431),
    "more than 100 fields": (b"X: 1\r\n" * 100, 431),
    "a name without end": (b"X" * 70_000, 431),
    "a value without end": (b"X: " + b"a" * 70_000, 431),
}


@pytest.mark.parametrize(("fields", "status"), LIMITS.values(), ids=LIMITS)
def test_a_head_beyond_its_limit_is_refused(fields: bytes, status: int) -> None:
    within = b"X: " + b"a" * 8000 + b"\r\n" + b"Y: 1\r\n" * 50
    with upstream() as server, proxy(a_route(server.port)) as p:
        with Client(p.port) as client:
            client.send(START + fields + (b"\r\n" if fields.endswith(b"\n") else b""))
            assert client.response().status == status
        assert server.connections == []
        with Client(p.port) as client:
            client.send(START + within + b"\r\n")
            assert client.response().status == 200


def test_a_target_beyond_8_kib_is_refused() -> None:
    with upstream() as server, proxy(a_route(server.port)) as p, Client(p.port) as client:
        client.send(b"GET /alpha/" + b"a" * 8192 + b" HTTP/1.1\r\n" + FIELDS + b"\r\n")
        assert client.response().status == 414
    assert server.connections == []


@pytest.mark.parametrize(
    "tail", [b"X: " + b"a" * 400_000, b"X: 1\r\n" * 110, b"X" * 400_000], ids=["value", "count", "name"]
)
def test_trailers_beyond_their_limit_end_the_request(tail: bytes) -> None:
    with upstream() as server, proxy(a_route(server.port)) as p:
        with Client(p.port) as client:
            client.send(START + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n")
            server.received(1)
            client.send(tail)
            assert client.response().status == 400
        wait_until(lambda: p.running.upstream_connections == 0)
        assert not server.requests[0].body_complete
        with Client(p.port) as client:
            client.send(START + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: 1\r\n\r\n")
            assert client.response().status == 200
