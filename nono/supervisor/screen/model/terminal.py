"""Drive one terminal of libghostty-vt: write to it, query it, copy it, format its screen."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from ctypes import byref, c_bool, c_int, c_size_t, c_uint16, c_uint64, c_void_p

from nono.named_tuple import NamedTuple
from nono.supervisor.screen.model.ghostty import (
    CELL_BITS,
    DATA,
    GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE,
    GHOSTTY_CELL_CONTENT_BG_COLOR_RGB,
    GHOSTTY_CELL_CONTENT_CODEPOINT,
    GHOSTTY_FORMATTER_FORMAT_VT,
    GHOSTTY_POINT_TAG_ACTIVE,
    GHOSTTY_TERMINAL_SCREEN_ALTERNATE,
    OPT,
    GhosttyFormatterTerminalOptions,
    GhosttyGridRef,
    GhosttyPoint,
    GhosttyPointCoordinate,
    GhosttyPointValue,
    GhosttySelection,
    GhosttyString,
    GhosttyTerminalModeConfig,
    Library,
)

TARGET_BYTES_MAX = 4096


class Link(NamedTuple):
    """Cells of one row that form a link; valid until the terminal changes."""

    y: int
    target: bytes
    start: GhosttyGridRef
    end: GhosttyGridRef


class Terminal:
    """One terminal of the library; freed by close()."""

    def __init__(self, library: Library, handle: c_void_p) -> None:
        self._library = library
        self._handle = handle

    def close(self) -> None:
        self._library.terminal_free(self._handle)

    def set(self, option: str, value: int) -> None:
        """Set an option; its type follows from the value: bool or size_t."""
        typed = c_bool(value) if isinstance(value, bool) else c_size_t(value)
        self._library.terminal_set(self._handle, OPT[option], byref(typed))

    def write(self, output: bytes) -> None:
        self._library.terminal_vt_write(self._handle, output, len(output))

    def resize(self, rows: int, columns: int) -> None:
        self._library.terminal_resize(self._handle, columns, rows, 8, 16)

    def blanks(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield row and column, from 0, of each cell without text, with its colour as SGR.

        Colour b"0": nothing was written there.
        """
        for place, y, cell in self._cells():
            if (colour := _colour_without_text(cell)) is not None:
                yield y, place.x, colour

    def links(self) -> Iterator[Link]:
        """Yield the links on the screen, row by row."""
        link: Link | None = None
        for place, y, cell in self._cells():
            target = self._target(place) if _part(cell, "hyperlink") else b""
            if link is not None and (target, y) == (link.target, link.y):
                link.end.x = place.x
                continue
            if link is not None:
                yield link
            link = Link(y, target, _copied(place), _copied(place)) if target else None
        if link is not None:
            yield link

    def _cells(self) -> Iterator[tuple[GhosttyGridRef, int, int]]:
        """Yield the position of each cell (one reused object), its row and its content."""
        library, cell = self._library, c_uint64()
        place = GhosttyGridRef(size=ctypes.sizeof(GhosttyGridRef))
        columns = range(self._number("COLS"))
        for y in range(self._number("ROWS")):
            point = GhosttyPoint(GHOSTTY_POINT_TAG_ACTIVE, GhosttyPointValue(GhosttyPointCoordinate(0, y)))
            library.terminal_grid_ref(self._handle, point, byref(place))
            for x in columns:
                place.x = x
                library.grid_ref_cell(byref(place), byref(cell))
                yield place, y, cell.value

    def _target(self, place: GhosttyGridRef) -> bytes:
        buffer, length = ctypes.create_string_buffer(TARGET_BYTES_MAX), c_size_t()
        try:
            self._library.grid_ref_hyperlink_uri(byref(place), buffer, TARGET_BYTES_MAX, byref(length))
        except OSError:  # too long
            return b""
        return buffer.raw[: length.value]

    def _number(self, what: str) -> int:
        number = c_uint16()
        self._library.terminal_get(self._handle, DATA[what], byref(number))
        return number.value

    @property
    def is_alternate(self) -> bool:
        screen = c_int()
        self._library.terminal_get(self._handle, DATA["ACTIVE_SCREEN"], byref(screen))
        return screen.value == GHOSTTY_TERMINAL_SCREEN_ALTERNATE

    @property
    def total_rows(self) -> int:
        """The number of rows of the screen and its history."""
        rows = c_size_t()
        self._library.terminal_get(self._handle, DATA["TOTAL_ROWS"], byref(rows))
        return rows.value

    @property
    def title(self) -> bytes:
        text = GhosttyString()
        self._library.terminal_get(self._handle, DATA["TITLE"], byref(text))
        return ctypes.string_at(text.ptr, text.len) if text.ptr and text.len else b""

    def has_mode(self, number: int) -> bool:
        mode = GhosttyTerminalModeConfig(number, False)
        self._library.terminal_get(self._handle, DATA["MODE"], byref(mode))
        return bool(mode.value)

    def continuation(self, bytes_max: int) -> bytes:
        """Return the unfinished sequence at the end of the output. Raises OSError if it is too long."""
        buffer, length = ctypes.create_string_buffer(bytes_max), c_size_t()
        self._library.terminal_continuation_buf(self._handle, buffer, bytes_max, byref(length))
        return buffer.raw[: length.value]

    def copy(self) -> Terminal:
        """Return another terminal with the same screens, modes and cursors."""
        library, pointer, length = self._library, c_void_p(), c_size_t()
        library.snapshot_encode_alloc(self._handle, None, byref(pointer), byref(length))
        try:
            decoder, handle = c_void_p(), c_void_p()
            library.snapshot_decoder_new_buf(None, byref(decoder), pointer, length)
            try:
                library.snapshot_decoder_decode(decoder, byref(handle))
            finally:
                library.snapshot_decoder_free(decoder)
        finally:
            library.free(None, pointer, length)
        return Terminal(library, handle)

    def format(self, *, with_state: bool = False, link: Link | None = None) -> bytes:
        """Return the screen with its history as terminal output.

        with_state: Add the scrolling region, the cursor, its style and character sets.
        link: Return only its text.
        """
        options = GhosttyFormatterTerminalOptions(emit=GHOSTTY_FORMATTER_FORMAT_VT, trim=True)
        for sized in (options, options.extra, options.extra.screen):
            sized.size = ctypes.sizeof(sized)
        options.extra.scrolling_region = with_state
        for name in ("cursor", "style", "hyperlink", "protection", "charsets"):
            setattr(options.extra.screen, name, with_state)
        if link is not None:
            selection = GhosttySelection(ctypes.sizeof(GhosttySelection), link.start, link.end, False)
            options.selection = ctypes.pointer(selection)
        library, formatter = self._library, c_void_p()
        pointer, length = c_void_p(), c_size_t()
        library.formatter_terminal_new(None, byref(formatter), self._handle, options)
        try:
            library.formatter_format_alloc(formatter, None, byref(pointer), byref(length))
        finally:
            library.formatter_free(formatter)
        return library.taken(pointer, length)


def new_terminal(library: Library, rows: int, columns: int) -> Terminal:
    handle = c_void_p()
    library.terminal_new(None, byref(handle), columns, rows)
    return Terminal(library, handle)


def _part(cell: int, name: str) -> int:
    first, width = CELL_BITS[name]
    return cell >> first & (1 << width) - 1


def _colour_without_text(cell: int) -> bytes | None:
    """Return the colour of a cell without text, b"0" if it has none; None if it has text."""
    tag, content = cell & 3, _part(cell, "content")
    if tag == GHOSTTY_CELL_CONTENT_CODEPOINT:
        is_blank = not content and not _part(cell, "style_id") and not _part(cell, "wide")
        return b"0" if is_blank else None
    if tag == GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE:
        return b"48;5;%d" % (content & 0xFF)
    if tag == GHOSTTY_CELL_CONTENT_BG_COLOR_RGB:
        return b"48;2;%d;%d;%d" % (content & 0xFF, content >> 8 & 0xFF, content >> 16)
    return None


def _copied(place: GhosttyGridRef) -> GhosttyGridRef:
    return GhosttyGridRef(place.size, place.node, place.x, place.y)
