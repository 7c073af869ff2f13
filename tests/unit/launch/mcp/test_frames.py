"""Frames arrive whole however the stream is cut, and nothing else passes for one."""

from __future__ import annotations

import pytest

from nono.launch.mcp.frames import EXIT, PIECE_BYTES, STDERR, STDIN, STDOUT, BrokenError, framed, frames

SENT = [(STDOUT, b"answer"), (STDERR, b""), (STDIN, bytes(PIECE_BYTES)), (STDIN, b""), (EXIT, b"\x07")]
STREAM = b"".join(framed(*each) for each in SENT)


@pytest.mark.parametrize("size", [1, 5, 7, 65536, len(STREAM)])
def test_frames_arrive_whole_however_the_stream_is_cut(size: int) -> None:
    pieces = [STREAM[at : at + size] for at in range(0, len(STREAM), size)]
    assert [tuple(each) for each in frames(pieces)] == SENT


@pytest.mark.parametrize(
    "stream",
    [STREAM[:-1], STREAM[:3], framed(4, b"x"), b"\x01\x00\x01\x00\x01"],
    ids=["cut payload", "cut head", "unknown kind", "too long"],
)
def test_what_is_no_sequence_of_frames_is_an_error(stream: bytes) -> None:
    with pytest.raises(BrokenError):
        list(frames([stream]))
