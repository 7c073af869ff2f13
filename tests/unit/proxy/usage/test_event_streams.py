"""Events come out of a stream whole and in order, however it is cut."""

from __future__ import annotations

import binascii
import json
import struct
import time
import tracemalloc
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.usage.aws_event_stream import MAX_MESSAGE_BYTES, AwsEventStream
from nono.proxy.usage.event_data import EventData

_cuts = st.lists(st.integers(0, 120), max_size=6)
_lines = st.sampled_from(
    [
        b"",
        b"\r",
        b"data:",
        b"data: {}",
        b"data:[1]\r",
        b"data",
        b"dat",
        b"\rdata:x",
        b"event: data:",
        b": data:",
    ]
)


def pieces_of(stream: bytes, cuts: Sequence[int]) -> list[bytes]:
    edges = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


def events_in(parts: Iterable[bytes | None]) -> list[bytes]:
    """Join the parts of each event; what no event ends is the last one."""
    events, begun = list[bytes](), b""
    for part in parts:
        begun += part or b""
        if part is None:
            events.append(begun)
            begun = b""
    return [*events, begun]


def whole_events(stream: bytes) -> list[bytes]:
    """Read a stream of server-sent events at once, line by line."""
    events, begun = list[bytes](), b""
    *lines, last = stream.split(b"\n")
    for line in lines:
        begun += line.removeprefix(b"data:") if line.startswith(b"data:") else b""
        if line in (b"", b"\r") and begun:
            events.append(begun)
            begun = b""
    return [*events, begun + (last.removeprefix(b"data:") if last.startswith(b"data:") else b"")]


@given(st.lists(_lines, max_size=12), _cuts)
def test_the_data_of_events_is_that_of_their_lines(lines: list[bytes], cuts: list[int]) -> None:
    stream, reading = b"\n".join(lines), EventData()
    parts = [part for piece in pieces_of(stream, cuts) for part in reading.feed(piece)]
    assert events_in(parts) == whole_events(stream)


def _message(headers: bytes, payload: bytes) -> bytes:
    length = 12 + len(headers) + len(payload) + 4
    return struct.pack(">3I", length, len(headers), 0) + headers + payload + bytes(4)


@given(
    st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=20), st.booleans()), max_size=5),
    st.sampled_from([":", ": "]),
    _cuts,
)
def test_the_text_of_a_message_is_what_was_put_in(
    sent: list[tuple[bytes, bytes, bool]], colon: str, cuts: list[int]
) -> None:
    stream, expected = b"", list[bytes]()
    for headers, text, is_wrapped in sent:
        coded = binascii.b2a_base64(text).decode()
        text_of_object = json.dumps({"bytes": coded, "p": "abc"}, separators=(",", colon))
        wrapped = text_of_object.replace("/", "\\/").encode()
        stream += _message(headers, wrapped if is_wrapped else b" " + text)
        if text or not is_wrapped:
            expected.append(text if is_wrapped else b" " + text)
    reading = AwsEventStream()
    parts = [part for piece in pieces_of(stream, cuts) for part in reading.feed(piece)]
    assert events_in(parts) == [*expected, b""]
    assert not reading.is_broken


def test_no_message_beyond_the_limit_is_waited_for_and_nothing_is_read_after_it() -> None:
    for excess, is_broken in ((0, False), (1, True)):
        reading = AwsEventStream()
        assert reading.feed(struct.pack(">3I", MAX_MESSAGE_BYTES + excess, 0, 0)) == []
        assert reading.is_broken is is_broken
    assert reading.feed(_message(b"", b"{}")) == []


@pytest.mark.parametrize("begins", [b"", b'{"bytes":"'], ids=["bare", "wrapped"])
def test_a_message_that_does_not_end_takes_little_memory(begins: bytes) -> None:
    reading = AwsEventStream()
    tracemalloc.start()
    try:
        reading.feed(struct.pack(">3I", MAX_MESSAGE_BYTES, 0, 0) + begins)
        for _ in range(MAX_MESSAGE_BYTES // 4096 - 1):
            assert reading.feed(b"A" * 4096)
        assert tracemalloc.get_traced_memory()[0] < 4096
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("payload", [b"", b"1", b'{"bytes":"MQ=="}'], ids=["empty", "bare", "wrapped"])
def test_many_short_messages_at_once_hold_up_nobody(payload: bytes) -> None:
    message = _message(b"", payload)
    piece = message * (1024 * 1024 // len(message))
    began = time.thread_time()
    AwsEventStream().feed(piece)
    assert time.thread_time() - began < 0.5  # a copy of the rest for each of them took 2 s
