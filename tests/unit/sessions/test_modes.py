"""nono.sessions.modes: what sets the modes of a program in another terminal, and what undoes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.sessions.modes import Modes, is_seen

ALTERNATE = b"\x1b[?1049h"


def after(*pieces: bytes) -> Modes:
    modes = Modes()
    for piece in pieces:
        modes.feed(piece)
    return modes


@pytest.mark.parametrize(
    ("output", "armed", "disarmed"),
    [
        (b"plain text \x1b[31mred\x1b[0m", b"", b""),
        (b"\x1b[?1000h", b"\x1b[?1000h", b"\x1b[?1000l"),
        (b"\x1b[?25l", b"\x1b[?25l", b"\x1b[?25h"),
        (b"\x1b[?25h", b"", b""),
        (b"\x1b[?1000h\x1b[?1000l", b"", b""),
        (b"\x1b[?1002;1006h", b"\x1b[?1002h\x1b[?1006h", b"\x1b[?1002l\x1b[?1006l"),
        (b"\x1b[?2004h" + ALTERNATE, ALTERNATE + b"\x1b[?2004h", b"\x1b[?2004l\x1b[?1049l"),
        (b"\x1b[>1u\x1b[>5u", b"\x1b[>1u\x1b[>5u", b"\x1b[<2u"),
        (b"\x1b[>1u\x1b[<u", b"", b""),
        (b"\x1b[<9u", b"", b""),
        (b"\x1b[>4;2m", b"\x1b[>4;2m", b"\x1b[>4m"),
        (b"\x1b[>4;2m\x1b[>4m", b"", b""),
        (b"\x1b=", b"\x1b=", b"\x1b>"),
        (b"\x1b[?2026h", b"", b"\x1b[?2026l"),
        (b"\x1b[?1000h\x1bc", b"", b""),
        (b"\x1b[?12345h", b"", b""),
        (b"\x1b[?7l", b"\x1b[?7l", b"\x1b[?7h"),
        (b"\x1b[4h", b"\x1b[4h", b"\x1b[4l"),
        (b"\x1b[4h\x1b[4l", b"", b""),
        (b"\x1b[6 q", b"\x1b[6 q", b"\x1b[0 q"),
        (b"\x1b[6 q\x1b[0 q", b"", b""),
        (b"\x1b[2;10r", b"", b"\x1b[?6l\x1b7\x1b[r\x1b8"),
        (b"\x1b[2;10r\x1b[r", b"", b""),
        (b"\x1b(0", b"", b"\x1b(B\x0f"),
        (b"\x1b(0\x1b(B", b"", b""),
        (b"\x1b]11;#000000\x07", b"", b"\x1b]111\x1b\\"),
        (b"\x1b]11;?\x07", b"", b""),
        (b"\x1b]4;1;red\x1b\\", b"", b"\x1b]104\x1b\\"),
        (b"\x1b]4;1;red\x1b\\\x1b]104\x1b\\", b"", b""),
    ],
)
def test_modes_are_set_elsewhere_as_they_are_here(output: bytes, armed: bytes, disarmed: bytes) -> None:
    modes = after(output)
    assert (modes.arm(), modes.disarm()) == (armed, disarmed)


COLOURS = b"\x1b[31mred\x1b[0m \x1b[1;38;5;9m" * 20


@pytest.mark.parametrize("mode", [b"\x1b[4h", b"\x1b[>4;2m", b"\x1b[?1000h", b"\x1b=", b"\x1b[6 q"])
@pytest.mark.parametrize("cut", range(9))
def test_a_mode_is_found_among_colours(mode: bytes, cut: int) -> None:
    assert after(COLOURS + mode[:cut], mode[cut:] + COLOURS).arm() == mode


FRAGMENTS = [b"\x1b", b"[", b"1;3", b"m", b"\x1b[31m", b"\x1b[m", b"4h", b"4l", b"?25l", b"\x1b=", b"x"]


@given(st.lists(st.sampled_from(FRAGMENTS), max_size=30))
def test_output_sets_at_once_what_it_sets_byte_by_byte(fragments: list[bytes]) -> None:
    output = b"".join(fragments)
    assert after(output).arm() == after(*(bytes([byte]) for byte in output)).arm()


WHOLE = b"a\x1b[?1049hb\x1b[?1002;1006hc\x1b[>7ud\x1b[?25le\x1b=f\x1b[>4;1mg\x1b[?2004hh\x1b[4hi\x1b[3 q"


@pytest.mark.parametrize("cut", range(len(WHOLE)))
def test_a_sequence_may_be_split_anywhere(cut: int) -> None:
    assert after(WHOLE[:cut], WHOLE[cut:]).arm() == after(WHOLE).arm()


def test_a_sequence_may_come_byte_by_byte() -> None:
    assert after(*(bytes([byte]) for byte in WHOLE)).arm() == after(WHOLE).arm()


@given(st.lists(st.binary(max_size=40) | st.sampled_from([ALTERNATE, b"\x1b[?1000h", b"\x1b[>1u", b"\x1b="])))
def test_what_is_disarmed_is_as_at_the_start(pieces: list[bytes]) -> None:
    modes = after(*pieces, b"x")
    modes.feed(modes.disarm())
    assert (modes.arm(), modes.disarm()) == (b"", b"")


@given(st.lists(st.binary(max_size=200), max_size=30))
def test_what_is_kept_is_bounded(pieces: list[bytes]) -> None:
    modes = after(*pieces, b"\x1b[>1u" * 100, *[b"\x1b[?" + b"1;" * 5000])
    assert len(modes.arm()) < 1000
    assert len(modes._carried) <= 80


@pytest.mark.parametrize(
    ("output", "seen"),
    [
        (b"", False),
        (b" \r\n\t", False),
        (b"\x1b[?25l\x1b[2J\x1b[H", False),
        (b"\x1b]0;a title\x07\x1b(B\x1b=", False),
        (b"\x1b]0;a title without an end", False),
        (b"\x1b[1m \x1b[0m", False),
        (b"\x1b[2J.", True),
        (b"\x1b]0;a title\x1b\\$ ", True),
    ],
)
def test_only_text_is_seen(output: bytes, seen: bool) -> None:
    assert is_seen(output) is seen
