"""A client's bytes become requests in order; one read with many heads, a share at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytest

from nono.proxy.client.intake import Intake
from nono.proxy.http.request_reader import FirstHeads, Incoming, Unreadable

SHARE = 8 * 1024
CONNECT = b"CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n"


def head(number: int) -> bytes:
    return f"GET /{number} HTTP/1.1\r\nHost: a.test\r\nX: {'x' * 200}\r\n\r\n".encode()


def heads(count: int) -> bytes:
    return b"".join(map(head, range(count)))


def numbers(requests: Iterable[Incoming | Unreadable]) -> list[int]:
    return [int(each.head.target[1:]) for each in requests if isinstance(each, Incoming)]


def taken(intake: Intake) -> list[int]:
    """Take every request as a connection does: those in the queue, then more of the read."""
    found = list[int]()
    while intake.has_more:
        intake.parse_more(math.inf)
        assert intake.queue
        found += numbers(intake.queue)
        intake.queue.clear()
    return found


@pytest.mark.parametrize("count", [1, 32, 33, 500])
def test_every_request_of_a_read_is_taken_in_order(count: int) -> None:
    intake = Intake(FirstHeads())
    intake.feed(heads(count))
    assert taken(intake) == [*range(count)]
    assert intake.has_read_all


def test_a_read_with_many_heads_is_parsed_a_share_at_a_time() -> None:
    intake = Intake(FirstHeads())
    intake.feed(heads(500))
    assert (len(intake.queue), intake.has_unparsed) == (0, True)
    intake.parse_more(math.inf)
    assert 0 < len(intake.queue) <= SHARE // len(head(0)) + 1
    assert intake.has_unparsed


def test_a_read_with_few_heads_is_parsed_whole() -> None:
    intake = Intake(FirstHeads())
    intake.feed(heads(32))
    assert (len(intake.queue), intake.has_unparsed) == (32, False)


def test_bytes_that_follow_a_long_read_do_not_overtake_it() -> None:
    intake = Intake(FirstHeads())
    intake.feed(heads(500))
    intake.feed(head(500))
    assert taken(intake) == [*range(501)]


def test_what_follows_a_connect_belongs_to_its_tunnel() -> None:
    intake = Intake(FirstHeads())
    intake.feed(CONNECT + heads(500))
    intake.parse_more(math.inf)
    assert len(intake.queue) == 1
    assert intake.leftover == heads(500)


def test_what_follows_a_refused_connect_is_the_next_request() -> None:
    intake = Intake(FirstHeads())
    intake.feed(CONNECT + heads(2))
    intake.queue.clear()
    intake.resume_after_connect()
    assert taken(intake) == [0, 1]


def test_nothing_is_left_once_it_has_stopped() -> None:
    intake = Intake(FirstHeads())
    intake.feed(heads(500))
    intake.stop()
    assert (intake.has_more, intake.leftover) == (False, b"")
    intake.feed(head(0))
    assert not intake.queue


CHUNKED = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("is_one_read", [True, False], ids=["with its head", "behind its head"])
def test_a_read_of_tiny_chunks_is_parsed_a_share_at_a_time(is_one_read: bool) -> None:
    intake = Intake(FirstHeads())
    chunks = b"1\r\nx\r\n" * 20_000 + b"0\r\n\r\n"
    for read in [CHUNKED + chunks] if is_one_read else [CHUNKED, chunks]:
        intake.feed(read)
    intake.parse_more(math.inf)
    request = intake.queue.popleft()
    assert isinstance(request, Incoming)
    shares = 0
    while intake.has_unparsed:
        intake.parse_more(0.0)
        shares += 1
    assert shares > len(chunks) // SHARE - 2
    assert request.complete
    assert b"".join(request.pieces) == b"x" * 20_000
