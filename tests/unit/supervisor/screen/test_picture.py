"""nono.supervisor.screen.model.picture, compared with xterm.js, which has seen the whole output."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nono.sessions.modes import Modes
from nono.supervisor.screen.library import library_path
from nono.supervisor.screen.messages import Picture
from nono.supervisor.screen.model import ghostty
from nono.supervisor.screen.model.picture import Followed
from support.sessions.xterm import Xterm, Xterms, xterms

pytestmark = pytest.mark.fetched
ROWS, COLUMNS = 24, 80
CORPUS = Path(__file__).parents[3] / "corpus/terminal"
STREAMS = {path.stem: path.read_bytes() for path in sorted(CORPUS.glob("*.bytes"))}
# What recordings seldom have: each is cut at every byte.
STATES = {
    "history": b"".join(b"line %d\r\n" % number for number in range(60)) + b"\x1b[31mred",
    "saved cursor": b"one\r\n\x1b[1;32mtwo\x1b7\r\n\x1b[0mthree\x1b[10;10Hfour\x1b8five",
    "scrolling region": b"a\r\nb\r\nc\x1b[2;3r\x1b[3;1H\r\nd\r\ne\x1b[r",
    "origin mode": b"\x1b[5;10r\x1b[?6h\x1b[2;3Hinside\x1b[?6l\x1b[r",
    "insert mode": b"abcdef\x1b[3G\x1b[4hxyz\x1b[4l",
    "no wrapping": b"\x1b[?7l" + b"x" * 90 + b"\x1b[?7hy",
    "pending wrap": b"\x1b[7m" + b"x" * COLUMNS + b"yz",
    "line drawing": b"\x1b(0lqqk\x1b(Bx\x1b)0\x0elq\x0fx",
    "wide": "e\u0301 👩‍👩‍👧\r\n".encode() + "日本語".encode() * 14 + "\r\n→".encode(),
    "colours": b"\x1b[91;104mbright\x1b[38;5;200m256\x1b[38;2;1;2;3mrgb\x1b[4:3mcurly\x1b[9mstruck\x1b[0m",
    "gaps": b"\x1b[44mab\x1b[0m\x1b[9Gx\x1b[4mcd\x1b[0m\x1b[20G\x1b[1my\x1b[0m\r\n\x1b[41m\x1b[K\x1b[0m",
    "colours alone": b"a\r\n\x1b[44m\x1b[K\r\n\x1b[48;2;1;2;3m\x1b[2Kb\x1b[0m\r\n\r\n\x1b[41m\x1b[K\x1b[0m",
    "links": b"a \x1b]8;;http://one/\x1b\\one \x1b[1;44mbold\x1b[0m\x1b]8;id=x;http://two/\x07two\x1b]8;;\x07"
    b" z\r\n\x1b]8;;http://three/\x1b\\" + b"w" * 90 + b"\x1b]8;;\x1b\\.",
    "titles": b"\x1b]2;first\x07text\x1b]0;second\x1b\\",
    "alternate": b"before\x1b[?1049h\x1b[2;4r\x1b[Hwithin\x1b[r\x1b[?1049lafter",
    "old alternate": b"before\x1b[?47h\x1b[Hwithin\x1b[?47lafter",
    "modes": b"\x1b[?1h\x1b=\x1b[?1002;1006h\x1b[?2004h\x1b[?25l\x1b[?1004h\x1b[?1l\x1b>\x1b[?25h",
}
LAST_COLUMN = COLUMNS - 1


@pytest.fixture(scope="module")
def terminals() -> Iterator[Xterms]:
    with xterms() as made:
        yield made


@pytest.fixture
def library() -> ghostty.Library:
    path = library_path()
    if path is None:
        pytest.skip("there is no libghostty-vt")
    return ghostty.load(path)


class Session:
    """A modelled terminal, and the modes that the relay knows."""

    def __init__(self, library: ghostty.Library) -> None:
        self.terminal = Followed(library, ROWS, COLUMNS)
        self.modes = Modes()

    def write(self, output: bytes) -> None:
        self.terminal.write(output)
        self.modes.feed(output)

    def drawn(self) -> bytes:
        """Return what another terminal is given."""
        drawn: Picture = self.terminal.draw()
        assert drawn.is_alternate == self.modes.is_alternate
        screens = drawn.primary + self.modes.arm_screen() + drawn.alternate
        return screens + self.modes.arm_others() + drawn.tail


def seen(xterm: Xterm) -> dict[str, Any]:
    """Return what a person can see of a terminal; only the last of the lines above."""
    shown = xterm.show()
    shown["history"] = [line.rstrip() for line in shown["history"]]
    shown["cursor"][0] = min(shown["cursor"][0], LAST_COLUMN)  # or behind it; what is written next shows that
    shown["screen"] = [[look(cell, x) for x, cell in enumerate(row)] for row in shown["screen"]]
    return shown


def look(cell: list[Any], column: int) -> tuple[Any, ...]:
    """Return what a cell looks like: the colour and weight of a blank do not show."""
    text, width, underline, link, fg, fg_kind, bg, bg_kind, *styles = cell
    is_inverse = styles[4]
    if text == " ":
        if column == LAST_COLUMN:  # xterm.js erases it less often than terminals do
            return (" ",)
        fg, fg_kind = (fg, fg_kind) if is_inverse else (0, 0)
        styles = [is_inverse, styles[6]]
    return (text, width, underline, link, fg, fg_kind, bg, bg_kind, *styles)


def assert_same(ours: dict[str, Any], theirs: dict[str, Any], what: str) -> None:
    above, expected = ours.pop("history"), theirs.pop("history")
    assert not expected or above[-len(expected) :] == expected, what
    for row, (line, other) in enumerate(zip(ours.pop("screen"), theirs.pop("screen"), strict=True)):
        assert line == other, f"{what}, row {row}"
    assert ours == theirs, what


def assert_drawn_alike(
    stream: bytes, cuts: Iterable[int], library: ghostty.Library, terminals: Xterms
) -> None:
    """Leave and come back at each cut: the screen is the same then, and at the end of the stream."""
    session, always = Session(library), terminals.new(ROWS, COLUMNS)
    to_the_end = terminals.new(ROWS, COLUMNS)
    to_the_end.write(stream)
    at_the_end = seen(to_the_end)
    later = None
    done = 0
    shown = 0
    for cut in cuts:
        session.write(stream[done:cut])
        done = cut
        # xterm.js loses some characters that it is given byte by byte.
        whole = len(stream[:cut].decode(errors="ignore").encode())
        always.write(stream[shown:whole])
        shown = whole
        later = terminals.new(ROWS, COLUMNS, in_place_of=later)
        later.write(session.drawn())
        where = f"cut at {cut}, after {stream[max(cut - 30, 0) : cut]!r}"
        assert_same(seen(later), seen(always), where)
        later.write(stream[cut:])
        assert_same(seen(later), dict(at_the_end), f"the end, {where}")


@pytest.mark.parametrize("name", STREAMS)
def test_a_program_is_drawn_as_it_drew_itself(name: str, library: ghostty.Library, terminals: Xterms) -> None:
    stream = STREAMS[name]
    within = [match.start() + 1 + index % 3 for index, match in enumerate(re.finditer(b"\x1b", stream))]
    assert_drawn_alike(stream, [*within[:: len(within) // 20], len(stream)], library, terminals)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", STREAMS)
def test_a_program_is_drawn_as_it_drew_itself_at_every_byte(
    name: str, library: ghostty.Library, terminals: Xterms
) -> None:
    assert_drawn_alike(STREAMS[name], range(len(STREAMS[name]) + 1), library, terminals)


@pytest.mark.parametrize("name", STATES)
def test_a_state_of_the_terminal_is_kept_at_every_byte(
    name: str, library: ghostty.Library, terminals: Xterms
) -> None:
    stream = STATES[name]
    first = max(len(stream) - 70, 0)
    assert_drawn_alike(stream, range(first, len(stream) + 1), library, terminals)
