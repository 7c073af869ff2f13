"""nono.proxy.http2.protocol.frames: frames as they arrive, in pieces."""

from __future__ import annotations

import pytest

from nono.proxy.http2.protocol.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
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
