"""nono.launch.around.editor.front: the lines of a stream."""

from __future__ import annotations

import pytest

from nono.launch.around.editor.front import cut_lines


@pytest.mark.parametrize(
    ("pieces", "lines"),
    [
        ([], []),
        ([b"a\nb\n"], [b"a\n", b"b\n"]),
        ([b"a", b"b", b"\nc\n"], [b"ab\n", b"c\n"]),
        ([b"a\r\nb\rc\n"], [b"a\r\n", b"b\rc\n"]),
        ([b"a\nrest"], [b"a\n", b"rest"]),
        ([b"1234\n12345\n6\n"], [b"1234\n", b"\n", b"6\n"]),
        ([b"123", b"456", b"7", b"8\n9\n"], [b"\n", b"9\n"]),
        ([b"12345"], []),
    ],
    ids=[
        "nothing",
        "two",
        "in pieces",
        "carriage return",
        "no end",
        "too long",
        "too long in pieces",
        "no end at all",
    ],
)
def test_a_stream_is_cut_into_its_lines_without_those_that_are_too_long(
    pieces: list[bytes], lines: list[bytes]
) -> None:
    assert list(cut_lines(iter(pieces), 4)) == lines
