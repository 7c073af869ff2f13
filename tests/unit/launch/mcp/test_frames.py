"""Frames arrive whole however the stream is cut, and nothing else passes for one."""

from __future__ import annotations

from contextlib import suppress
from itertools import accumulate, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.launch.mcp.frames import (
    EXIT,
    PIECE_BYTES,
    STDERR,
    STDIN,
    STDOUT,
    BrokenError,
    Frame,
    framed,
    frames,
)

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


@given(
    st.lists(st.tuples(st.sampled_from([EXIT, STDOUT, STDERR, STDIN]), st.binary(max_size=20)), max_size=6),
    st.lists(st.integers(0, 120), max_size=6),
    st.integers(0, 200),
)
def test_whatever_is_complete_arrives_and_the_rest_is_an_error(
    sent: list[tuple[int, bytes]], cuts: list[int], left: int
) -> None:
    whole = [framed(*each) for each in sent]
    stream = b"".join(whole)[:left]
    edges = [0, *sorted(cut for cut in cuts if cut <= len(stream)), len(stream)]
    arrived, is_broken = list[Frame](), False
    try:
        arrived += frames(stream[start:end] for start, end in pairwise(edges))
    except BrokenError:
        is_broken = True
    ends = [*accumulate(map(len, whole))]
    assert is_broken is (len(stream) not in (0, *ends))
    assert is_broken or arrived == sent[: sum(end <= len(stream) for end in ends)]


def test_a_payload_has_a_bounded_length() -> None:
    longest = framed(STDOUT, bytes(PIECE_BYTES))
    assert [len(each.payload) for each in frames([longest])] == [PIECE_BYTES]
    with pytest.raises(BrokenError):
        list(frames([framed(STDOUT, bytes(PIECE_BYTES + 1))]))


@given(st.lists(st.binary(max_size=30), max_size=4))
def test_octets_are_frames_that_would_be_written_as_they_are_or_an_error(pieces: list[bytes]) -> None:
    with suppress(BrokenError):
        assert b"".join(framed(*each) for each in frames(pieces)) == b"".join(pieces)
