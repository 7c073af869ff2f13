"""The ends of messages with a length before them are found however the body is cut."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.exchange.filter.message_ends import MalformedMessageError, message_ends

ENVELOPE = b"application/grpc"
EVENTS = b"application/vnd.amazon.eventstream"


def _message(kind: bytes, content: bytes) -> bytes:
    if kind == ENVELOPE:
        return b"\0" + len(content).to_bytes(4) + content
    return (len(content) + 4).to_bytes(4) + content


@pytest.mark.parametrize("kind", [ENVELOPE, EVENTS], ids=["envelope", "event"])
@given(st.lists(st.binary(max_size=12), max_size=6), st.lists(st.integers(0, 100), max_size=8))
def test_the_last_end_in_each_piece_is_found(kind: bytes, contents: list[bytes], cuts: list[int]) -> None:
    messages = [_message(kind, content) for content in contents]
    body = b"".join(messages)
    ends = {0} | {sum(map(len, messages[:n])) for n in range(1, len(messages) + 1)}
    follower = message_ends(kind)
    assert follower is not None
    edges = [0, *sorted(cut for cut in cuts if cut <= len(body)), len(body)]
    for start, end in pairwise(edges):
        inside = [each - start for each in ends if start < each <= end]
        assert follower.last_in(body[start:end]) == max(inside, default=0)


@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/grpc-web-text", b""])
def test_other_bodies_have_no_such_messages(kind: bytes) -> None:
    assert message_ends(kind) is None


@pytest.mark.parametrize("kind", [b"application/grpc-web+proto", b"Application/Connect+JSON; charset=utf-8"])
def test_envelopes_have_several_names(kind: bytes) -> None:
    assert message_ends(kind) is not None


def test_an_event_shorter_than_its_length_ends_at_once() -> None:
    follower = message_ends(EVENTS)
    assert follower is not None
    assert follower.last_in(b"\0\0\0\0") == 4


def _is_refused(kind: bytes, *pieces: bytes) -> bool:
    follower = message_ends(kind)
    assert follower is not None
    try:
        for piece in pieces:
            follower.last_in(piece)
    except MalformedMessageError:
        return True
    return False


@pytest.mark.parametrize("kind", [ENVELOPE, EVENTS], ids=["envelope", "event"])
@pytest.mark.parametrize("octets", ["sk-proj-Ab", "ä-key-€-ö", 'x y "z" w'])
@pytest.mark.parametrize("cut", [0, 1, 2, 3])
def test_no_message_ends_within_a_key(kind: bytes, octets: str, cut: int) -> None:
    first = _message(kind, b"text")
    for encoding in ("utf-8", "utf-16-le", "utf-16-be") if kind == ENVELOPE else ("utf-8",):
        key = octets.encode(encoding)
        for start in range(1, len(key) - 4):
            assert _is_refused(kind, first + key[start : start + cut], key[start + cut :])


def test_a_body_that_begins_with_no_prefix_has_no_ends() -> None:
    follower = message_ends(ENVELOPE)
    assert follower is not None
    assert follower.last_in(b'{"error": "gone"}') == 0
    assert follower.last_in(_message(ENVELOPE, b"text")) == 0
