"""nono.proxy.http.response_reader: one response after another, and what is none."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from nono.proxy.http.message import MAX_HEAD_BYTES, MAX_HEADERS, MessageError
from nono.proxy.http.response_reader import MAX_INTERIM_RESPONSES, ResponseReader

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
INTERIM = b"HTTP/1.1 103 Early Hints\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def reader(method: bytes = b"GET", *, may_switch: bool = False) -> ResponseReader:
    reading = ResponseReader()
    reading.begin(method, may_switch=may_switch)
    return reading


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_a_response_is_read_from_pieces_of_any_size(size: int) -> None:
    reading, wire = reader(), INTERIM + OK
    for at in range(0, len(wire), size):
        reading.feed(wire[at : at + size])
    assert [head.status for head in reading.heads] == [103, 200]
    assert reading.take_body() == b"hi"
    assert (reading.is_complete, reading.finish()) == (True, ((), True))


def test_another_response_follows_on_the_same_connection() -> None:
    reading = reader(b"HEAD")
    reading.feed(OK[:-2])
    assert reading.finish() == ((), True)
    reading.begin(b"GET", may_switch=False)
    reading.feed(OK)
    assert reading.take_body() == b"hi"
    assert reading.finish() == ((), True)


def test_what_nobody_took_of_a_response_is_not_the_next_one() -> None:
    reading = reader()
    reading.feed(INTERIM + OK)
    assert reading.finish() == ((), True)
    reading.begin(b"GET", may_switch=False)
    reading.feed(OK.replace(b"hi", b"ho"))
    assert ([head.status for head in reading.heads], reading.take_body()) == ([200], b"ho")


@pytest.mark.parametrize("rest", [OK, b"HTTP/1.1 204 No\r\n\r\n", b"HTTP", b"x"])
def test_none_follows_bytes_behind_the_end(rest: bytes) -> None:
    reading = reader()
    reading.feed(OK + rest)
    assert [head.status for head in reading.heads] == [200]
    assert (reading.has_excess, reading.finish()) == (True, ((), False))


def test_trailer_fields_that_may_not_be_relayed_are_dropped() -> None:
    reading = reader()
    reading.feed(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: b\r\nHost: c\r\n\r\n"
    )
    fields, may_follow = reading.finish()
    assert ([name for name, _ in fields], may_follow) == ([b"A"], True)


def test_a_switch_of_protocols_leaves_the_bytes_after_it() -> None:
    reading = reader(may_switch=True)
    reading.feed(SWITCH + b"frame")
    assert (reading.is_complete, reading.after_switch, reading.heads) == (True, b"frame", [])
    assert reading.head is not None
    assert reading.head.status == 101


@pytest.mark.parametrize(
    ("wire", "may_switch", "reason"),
    [
        pytest.param(b"<html>\r\n\r\n", False, "Expected HTTP/", id="no HTTP"),
        pytest.param(SWITCH, False, "a switch of protocols that was not asked for", id="unasked switch"),
        pytest.param(
            SWITCH.replace(b"Upgrade: websocket\r\n", b""),
            True,
            "a status 101 that names no protocol",
            id="switch to nothing",
        ),
        pytest.param(
            INTERIM * (MAX_INTERIM_RESPONSES + 1), False, "too many interim responses", id="interim responses"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nA: " + b"a" * MAX_HEAD_BYTES,
            False,
            f"the head is larger than {MAX_HEAD_BYTES} bytes",
            id="head without an end",
        ),
    ],
)
def test_what_is_no_response_is_refused_with_a_reason(wire: bytes, may_switch: bool, reason: str) -> None:
    with pytest.raises(MessageError) as caught:
        reader(may_switch=may_switch).feed(wire)
    assert reason in caught.value.reason


def test_a_response_has_a_bounded_number_of_trailer_fields() -> None:
    start = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    for excess in (0, 1):
        reading = reader()
        with pytest.raises(MessageError, match="trailer fields") if excess else nullcontext():
            reading.feed(start + b"A: b\r\n" * (MAX_HEADERS + excess) + b"\r\n")
        assert reading.is_complete is (not excess)


def test_what_came_before_a_fault_can_be_taken() -> None:
    reading = reader()
    with pytest.raises(MessageError):
        reading.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\nno chunk\r\n")
    assert ([head.status for head in reading.heads], reading.take_body()) == ([200], b"x")
