"""nono.proxy.http2.protocol.frames: frames as they arrive, in pieces."""

from __future__ import annotations

import pytest

from nono.proxy.http2.protocol.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    MAX_FRAME_BYTES,
    MAX_HEAD_BYTES,
    PING,
    Frame,
    FrameError,
    FrameReader,
    frame_bytes,
)


def frame(kind: int, flags: int) -> bytes:
    return frame_bytes(kind, flags, 1, b"abc")


@pytest.mark.parametrize(
    ("received", "in_head"),
    [
        (b"", False),
        (frame(HEADERS, END_HEADERS)[:-1], True),
        (frame(HEADERS, END_HEADERS), False),
        (frame(HEADERS, 0), True),
        (frame(HEADERS, 0) + frame(CONTINUATION, 0), True),
        (frame(HEADERS, 0) + frame(CONTINUATION, END_HEADERS), False),
        (frame(DATA, 0)[:-1], False),
    ],
)
def test_a_head_is_under_way_until_its_last_frame_is_there(received: bytes, in_head: bool) -> None:
    reader = FrameReader(preface=False)
    reader.feed(received, 0.0)
    assert reader.in_head is in_head


@pytest.mark.parametrize("beyond", [0, 1])
def test_a_head_may_be_as_long_as_its_limit_and_not_longer(beyond: int) -> None:
    reader = FrameReader(preface=False)
    reader.feed(frame_bytes(HEADERS, 0, 1, bytes(MAX_FRAME_BYTES)), 0.0)
    for _ in range(MAX_HEAD_BYTES // MAX_FRAME_BYTES - 1):
        reader.feed(frame_bytes(CONTINUATION, 0, 1, bytes(MAX_FRAME_BYTES)), 0.0)
    last = frame_bytes(CONTINUATION, END_HEADERS, 1, bytes(beyond))
    if not beyond:
        assert [each.kind for each in reader.feed(last, 0.0)] == [CONTINUATION]
        return
    with pytest.raises(FrameError, match="a header block is larger"):
        reader.feed(last, 0.0)


def test_of_frames_that_carry_nothing_a_thousand_are_read_in_a_second() -> None:
    reader = FrameReader(preface=False)
    ping = frame_bytes(PING, 0, 0, bytes(8))
    assert len(reader.feed(ping * 2000, 0.0)) == 2000  # at once
    assert len(reader.feed(ping * 1000, 1.0)) == 1000
    with pytest.raises(FrameError, match="carry nothing"):
        reader.feed(ping, 1.0)


def test_of_streams_that_are_reset_fifty_are_forgiven_in_a_second() -> None:
    reader = FrameReader(preface=False)
    for now, forgiven in ((0.0, 500), (1.0, 50)):  # 500 at once
        reader.feed(b"", now)
        for _ in range(forgiven):
            reader.stream_reset()
    with pytest.raises(FrameError, match="too many streams were reset"):
        reader.stream_reset()


def test_the_reserved_bit_of_a_stream_number_is_ignored() -> None:
    """RFC 9113 section 4.1."""
    reserved = frame_bytes(DATA, 0, 1 | 1 << 31, b"abc")
    assert FrameReader(preface=False).feed(reserved, 0.0) == [Frame(DATA, 0, 1, b"abc")]
