"""Draw the screens of a modelled terminal as output for another terminal."""

from __future__ import annotations

import re
from contextlib import closing

from nono.supervisor.screen.messages import PICTURE_BYTES_MAX, Picture
from nono.supervisor.screen.model.ghostty import Library
from nono.supervisor.screen.model.terminal import Terminal, new_terminal

HISTORY_LINES_MAX = 2000
HISTORY_BYTES_MAX = 4 << 20
CONTINUATION_BYTES_MAX = 1 << 16
_ABORT = b"\x18"  # CAN: ends an unfinished sequence
_RESTORE_CURSOR, _SAVE_CURSOR = b"\x1b8", b"\x1b7"
_CLEAR_HISTORY = b"\x1b[3J"
_PLAIN = b"\x1b[0m\x1b(B\x0f\x1b[r\x1b[H"
_LEAVE = {1049: b"\x1b[?1049l", 1047: b"\x1b[?1047l", 47: b"\x1b[?47l"}
_NO_REGION = b"\x1b7\x1b[r\x1b8"  # the region belongs to the visible screen; some terminals keep one for each
_ENTER = b"\x1b[?1049h"
_ORIGIN = 6
_UNKNOWN_STRING = b"\x1b]9999;"  # replaces the beginning of a string too long to repeat; terminals ignore it
_FILLING = b"\x1b[?6l\x1b[?69l\x1b[4l\x1b[?7h\x1b[r\x1b(B\x0f\x1b[0m"
_COLOUR = re.compile(rb"\x1b\[([34])8;5;([0-9]|1[0-5])m")
_REGION = re.compile(rb"\x1b\[(\d+);\d+r")
_POSITION = re.compile(rb"\x1b\[(\d+);(\d+)H")
_CONTROLS = bytes((*range(0x20), 0x7F))


class Followed:
    """A terminal that follows output and keeps some history, but no images."""

    def __init__(self, library: Library, rows: int, columns: int) -> None:
        self._terminal = terminal = new_terminal(library, rows, columns)
        self._begun = b""  # the bytes of an unfinished character
        terminal.set("SCROLLBACK_MAX_LINES", HISTORY_LINES_MAX)
        terminal.set("SCROLLBACK_MAX_BYTES", HISTORY_BYTES_MAX)
        terminal.set("CONTINUATION_MAX_BYTES", CONTINUATION_BYTES_MAX)
        terminal.set("KITTY_IMAGE_STORAGE_LIMIT", 0)
        for medium in ("FILE", "TEMP_FILE", "SHARED_MEM"):
            terminal.set(f"KITTY_IMAGE_MEDIUM_{medium}", False)

    def write(self, output: bytes) -> None:
        output = self._begun + output
        # Only whole characters: a copy of the terminal would show the beginning of one.
        whole = len(output) - _begun_character(output)
        self._begun = output[whole:]
        self._terminal.write(output[:whole])

    def resize(self, rows: int, columns: int) -> None:
        self._terminal.resize(rows, columns)

    def go_on(self, *, is_alternate: bool) -> None:
        """Resume after a gap in the output, on the screen shown there."""
        self._begun = b""
        self._terminal.write(_ABORT)
        if is_alternate != self._terminal.is_alternate:
            self._terminal.write(_ENTER if is_alternate else _leave(self._terminal))

    def draw(self) -> Picture:
        """Draw the terminal. Raises OSError."""
        terminal = self._terminal
        try:
            tail = terminal.continuation(CONTINUATION_BYTES_MAX)
        except OSError:
            tail = _UNKNOWN_STRING
        # Drawing switches screens and moves cursors, so draw from a copy.
        with closing(terminal.copy()) as copy:
            copy.write(_ABORT)
            is_alternate = copy.is_alternate
            alternate = b""
            if is_alternate:
                alternate = _screen(copy)
                copy.write(_leave(copy) + _NO_REGION)
            primary = _screen(copy)
            if len(primary) + len(alternate) > PICTURE_BYTES_MAX // 2:
                copy.write(_CLEAR_HISTORY)
                primary = _screen(copy)
        title = terminal.title.translate(None, _CONTROLS)
        if title:
            primary += b"\x1b]2;%b\x1b\\" % title
        return Picture(primary, alternate, is_alternate, tail + self._begun)


def _begun_character(output: bytes) -> int:
    """Return how many bytes at the end begin an unfinished UTF-8 character."""
    for count, byte in enumerate(reversed(output[-3:]), 1):
        if byte >= 0xC0:
            return count if count < 2 + (byte >= 0xE0) + (byte >= 0xF0) else 0
        if byte < 0x80:
            return 0
    return 0


def _leave(terminal: Terminal) -> bytes:
    return next((leave for mode, leave in _LEAVE.items() if terminal.has_mode(mode)), _LEAVE[47])


def _screen(terminal: Terminal) -> bytes:
    """Draw the active screen with its history, from the home position, with its state."""
    body = terminal.format()
    state = terminal.format(with_state=True)[len(body) :]
    with closing(terminal.copy()) as copy:
        copy.write(_RESTORE_CURSOR)
        saved = copy.format(with_state=True)[len(body) :]
        _fill_gaps(copy)
        body = copy.format()
    # The library omits blank lines at the end; rows must keep their position.
    blank = b"\r\n" * (terminal.total_rows - body.count(b"\r\n") - 1)
    drawn = b"".join((_PLAIN, body, blank, _links(terminal), saved, _SAVE_CURSOR, _PLAIN, state))
    return _COLOUR.sub(_basic_colour, drawn) + _origin(terminal, state)


def _links(terminal: Terminal) -> bytes:
    """Draw the links on the screen again as links: the library draws only their text."""
    drawn = []
    for link in terminal.links():
        target = link.target.translate(None, _CONTROLS)
        text = terminal.format(link=link)
        place = (link.y + 1, link.start.x + 1)
        drawn.append(b"\x1b[%d;%dH\x1b]8;;%b\x1b\\%b\x1b]8;;\x1b\\" % (*place, target, text))
    return b"".join(drawn)


def _fill_gaps(terminal: Terminal) -> None:
    """Write a blank into each cell without text.

    Otherwise the library would draw a cell that was never written in the preceding style, and omit a row that
    has only a colour.
    """
    filled = [_FILLING]
    place, style = (-1, -1), b"0"
    for y, x, colour in terminal.blanks():
        if place != (y, x):
            filled.append(b"\x1b[%d;%dH" % (y + 1, x + 1))
        if style != colour:
            filled.append(b"\x1b[0;%bm" % colour)
        filled.append(b" ")
        place, style = (y, x + 1), colour
    terminal.write(b"".join(filled))


def _basic_colour(match: re.Match[bytes]) -> bytes:
    """Write a basic colour in its short form: terminals brighten only that form when bold."""
    ground, number = int(match[1]), int(match[2])
    return b"\x1b[%dm" % (ground * 10 + number if number < 8 else ground * 10 + 60 + number - 8)


def _origin(terminal: Terminal, state: bytes) -> bytes:
    """Return the sequence that sets origin mode, if it is set, and restores the cursor, which that moves."""
    position = _POSITION.search(state)
    if position is None or not terminal.has_mode(_ORIGIN):
        return b""
    region = _REGION.search(state)
    row = int(position[1]) - (int(region[1]) - 1 if region is not None else 0)
    return b"\x1b[?6h\x1b[%d;%dH" % (max(row, 1), int(position[2]))
