"""nono.proxy.http.request_reader: a head that is known from its bytes means what the parser says it means."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.http.message import MAX_HEADERS, RequestHead, request_head
from nono.proxy.http.request_reader import (
    MAX_FIRST_HEADS,
    MAX_REPEATED_BYTES,
    FirstHeads,
    Incoming,
    RequestReader,
)

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
CONNECT = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"
STATING = b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\ncontent-length: 0\r\n\r\n"
PIECES = [
    GET, POST + b"12345", POST + b"67890", POST, b"12345", POST + b"123", b"45", POST + b"\r\n\r\nx",
    GET + GET, GET + POST + b"12345", GET[:10], GET[10:], b"\r\n" + GET, b"\r\n", b"G", b"ET /b HTTP/1.1\r\n",
    b"Host: b\r\n\r\n", LAST, CHUNKED + b"3\r\nabc\r\n0\r\n\r\n", CHUNKED, b"3\r\nabc\r\n", b"0\r\n\r\n",
    b"GET /a HTTP/1.0\r\n\r\n", b"GET /x HTTP/1.1\r\nHost: a\r\nUpgrade: h\r\nConnection: upgrade\r\n\r\n",
    CONNECT, CONNECT + b"\x16\x03", CONNECT + GET, b"CONNECT b:1 HTTP/1.1\r\nHost: b:1\r\n",
    STATING, STATING + GET,
    b"no http\r\n\r\n",
    b"POST /e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nok",
]  # fmt: skip


class Forgetful(RequestReader):
    """One that knows no head, and has each parsed."""

    def feed(self, data: bytes) -> None:
        self._repeated = None
        super().feed(data)


def said(reader: RequestReader) -> list[object]:
    return [
        (each.head, b"".join(each.pieces), each.complete, each.fault and each.fault.reason)
        if isinstance(each, Incoming)
        else each.fault.reason
        for each in reader.queue
    ]


def heads_of(*readers: RequestReader) -> list[RequestHead]:
    return [each.head for reader in readers for each in reader.queue if isinstance(each, Incoming)]


CONNECTED = [request_head(b"CONNECT", b"a:1", "1.1", [(b"Host", b"a:1")])]


@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_a_repetition_is_read_as_the_parser_reads_it(pieces: list[bytes]) -> None:
    reader, forgetful = RequestReader(), Forgetful()
    for piece in pieces:
        reader.feed(piece)
        forgetful.feed(piece)
        assert said(reader) == said(forgetful)
        states = [(each.in_head, each.is_deaf, each.leftover) for each in (reader, forgetful)]
        assert states[0] == states[1]


@given(st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=6), min_size=2, max_size=6))
def test_a_connection_reads_what_another_began_with_as_the_parser_reads_it(wires: list[list[bytes]]) -> None:
    heads = FirstHeads()
    for pieces in wires:
        reader, forgetful = RequestReader(heads), Forgetful()
        for piece in pieces:
            for each in (reader, forgetful):
                each.feed(piece)
                if len(each.queue) % 2 and heads_of(each)[-1:] == CONNECTED:
                    each.resume_after_connect()  # it was refused
            assert said(reader) == said(forgetful)
            states = [(each.in_head, each.is_deaf, each.leftover) for each in (reader, forgetful)]
            assert states[0] == states[1]


@pytest.mark.parametrize("wire", [GET, POST + b"12345", CONNECT], ids=["no body", "body", "CONNECT"])
def test_the_head_that_another_connection_began_with_is_not_parsed_again(wire: bytes) -> None:
    heads = FirstHeads()
    readers = [RequestReader(heads) for _ in range(2)]
    for reader in readers:
        reader.feed(wire)
    first, second = heads_of(*readers)
    assert second is first
    assert readers[1].is_deaf is (wire == CONNECT)


def test_only_the_last_heads_of_a_bounded_number_are_kept() -> None:
    heads = FirstHeads()
    for number in range(MAX_FIRST_HEADS + 1):
        RequestReader(heads).feed(GET.replace(b"/a", b"/%d" % number))
    assert heads.of(GET.replace(b"/a", b"/0")) is None
    assert heads.of(GET.replace(b"/a", b"/1")) is not None


@pytest.mark.parametrize("wire", [GET, POST + b"12345"], ids=["no body", "body"])
def test_the_same_bytes_are_the_same_head(wire: bytes) -> None:
    reader = RequestReader()
    for _ in range(3):
        reader.feed(wire)
    first, *others = (each.head for each in reader.queue if isinstance(each, Incoming))
    assert [each is first for each in others] == [True, True]


def test_nothing_follows_a_request_that_ends_the_connection() -> None:
    reader = RequestReader()
    for wire in (GET, LAST, GET):
        reader.feed(wire)
    assert len(reader.queue) == 2


def test_a_long_head_is_not_kept() -> None:
    long = GET.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * MAX_REPEATED_BYTES + b"\r\n\r\n")
    reader = RequestReader()
    reader.feed(long)
    reader.feed(long)
    first, second = (each.head for each in reader.queue if isinstance(each, Incoming))
    assert first == second
    assert first is not second


@pytest.mark.parametrize("excess", [0, 1])
def test_a_request_has_a_bounded_number_of_trailer_fields_and_none_becomes_a_header(excess: int) -> None:
    reader = RequestReader()
    reader.feed(CHUNKED + b"0\r\n" + b"A: b\r\n" * (MAX_HEADERS + excess) + b"\r\n")
    [request] = reader.queue
    assert isinstance(request, Incoming)
    assert (b"A", b"b") not in request.head.headers
    assert (request.fault and request.fault.reason) == (
        f"more than {MAX_HEADERS} trailer fields" if excess else None
    )
