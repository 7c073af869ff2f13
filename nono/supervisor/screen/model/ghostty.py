"""Mirror the part of libghostty-vt (ghostty/vt.h) that draws a picture.

Names, layouts and values are those of the header. The library describes its own layouts (ghostty_type_json);
`load` compares them, because they were not stable before 1.0.
"""

from __future__ import annotations

import ctypes
import json
from ctypes import (
    POINTER,
    Structure,
    c_bool,
    c_char_p,
    c_int,
    c_size_t,
    c_uint16,
    c_uint32,
    c_uint64,
    c_void_p,
)
from typing import Any

GHOSTTY_SUCCESS = 0
GHOSTTY_FORMATTER_FORMAT_VT = 1
GHOSTTY_TERMINAL_SCREEN_ALTERNATE = 1
GHOSTTY_POINT_TAG_ACTIVE = 0
GHOSTTY_CELL_CONTENT_CODEPOINT = 0
GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE = 2
GHOSTTY_CELL_CONTENT_BG_COLOR_RGB = 3
_ENUMS = {
    "GhosttyResult": {"SUCCESS": GHOSTTY_SUCCESS},
    "GhosttyFormatterFormat": {"VT": GHOSTTY_FORMATTER_FORMAT_VT},
    "GhosttyTerminalScreen": {"ALTERNATE": GHOSTTY_TERMINAL_SCREEN_ALTERNATE},
    "GhosttyPointTag": {"ACTIVE": GHOSTTY_POINT_TAG_ACTIVE},
    "GhosttyCellContentTag": {
        "CODEPOINT": GHOSTTY_CELL_CONTENT_CODEPOINT,
        "BG_COLOR_PALETTE": GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE,
        "BG_COLOR_RGB": GHOSTTY_CELL_CONTENT_BG_COLOR_RGB,
    },
    "GhosttyTerminalOption": {
        "KITTY_IMAGE_STORAGE_LIMIT": 15,
        "KITTY_IMAGE_MEDIUM_FILE": 16,
        "KITTY_IMAGE_MEDIUM_TEMP_FILE": 17,
        "KITTY_IMAGE_MEDIUM_SHARED_MEM": 18,
        "APC_MAX_BYTES": 19,
        "SCROLLBACK_MAX_BYTES": 27,
        "SCROLLBACK_MAX_LINES": 28,
        "CONTINUATION_MAX_BYTES": 31,
    },
    "GhosttyTerminalData": {
        "ACTIVE_SCREEN": 6,
        "TITLE": 12,
        "TOTAL_ROWS": 14,
        "MODE": 37,
        "COLS": 1,
        "ROWS": 2,
    },
}
OPT, DATA = _ENUMS["GhosttyTerminalOption"], _ENUMS["GhosttyTerminalData"]


class GhosttyString(Structure):
    _fields_ = (("ptr", c_void_p), ("len", c_size_t))


class GhosttyTerminalModeConfig(Structure):
    _fields_ = (("mode", c_uint16), ("value", c_bool))


class GhosttyGridRef(Structure):
    """The position of a cell, valid until the terminal changes; other cells of its row differ in x only."""

    _fields_ = (("size", c_size_t), ("node", c_void_p), ("x", c_uint16), ("y", c_uint16))


class GhosttySelection(Structure):
    _fields_ = (
        ("size", c_size_t),
        ("start", GhosttyGridRef),
        ("end", GhosttyGridRef),
        ("rectangle", c_bool),
    )


class GhosttyPointCoordinate(Structure):
    _fields_ = (("x", c_uint16), ("y", c_uint32))


class GhosttyPointValue(Structure):
    """A union in the header.

    ctypes does not pass unions by value, so this is a structure of the same size.
    """

    _fields_ = (("coordinate", GhosttyPointCoordinate), ("_padding", c_uint64))


class GhosttyPoint(Structure):
    _fields_ = (("tag", c_int), ("value", GhosttyPointValue))


class GhosttyFormatterScreenExtra(Structure):
    _fields_ = (
        ("size", c_size_t),
        ("cursor", c_bool),
        ("style", c_bool),
        ("hyperlink", c_bool),
        ("protection", c_bool),
        ("kitty_keyboard", c_bool),
        ("charsets", c_bool),
    )


class GhosttyFormatterTerminalExtra(Structure):
    _fields_ = (
        ("size", c_size_t),
        ("palette", c_bool),
        ("modes", c_bool),
        ("scrolling_region", c_bool),
        ("tabstops", c_bool),
        ("pwd", c_bool),
        ("keyboard", c_bool),
        ("screen", GhosttyFormatterScreenExtra),
    )


class GhosttyFormatterTerminalOptions(Structure):
    _fields_ = (
        ("size", c_size_t),
        ("emit", c_int),
        ("unwrap", c_bool),
        ("trim", c_bool),
        ("extra", GhosttyFormatterTerminalExtra),
        ("selection", POINTER(GhosttySelection)),
    )


_STRUCTURES = (
    GhosttyString,
    GhosttyTerminalModeConfig,
    GhosttyGridRef,
    GhosttySelection,
    GhosttyPointCoordinate,
    GhosttyPoint,
    GhosttyFormatterScreenExtra,
    GhosttyFormatterTerminalExtra,
    GhosttyFormatterTerminalOptions,
)
_FUNCTIONS: dict[str, tuple[Any, ...]] = {
    "terminal_new": (c_void_p, POINTER(c_void_p), c_uint16, c_uint16),
    "terminal_resize": (c_void_p, c_uint16, c_uint16, c_uint32, c_uint32),
    "terminal_set": (c_void_p, c_int, c_void_p),
    "terminal_get": (c_void_p, c_int, c_void_p),
    "terminal_vt_write": (c_void_p, c_char_p, c_size_t),
    "terminal_free": (c_void_p,),
    "terminal_grid_ref": (c_void_p, GhosttyPoint, POINTER(GhosttyGridRef)),
    "grid_ref_cell": (POINTER(GhosttyGridRef), POINTER(c_uint64)),
    "grid_ref_hyperlink_uri": (POINTER(GhosttyGridRef), c_char_p, c_size_t, POINTER(c_size_t)),
    "terminal_continuation_buf": (c_void_p, c_char_p, c_size_t, POINTER(c_size_t)),
    "snapshot_encode_alloc": (c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_size_t)),
    "snapshot_decoder_new_buf": (c_void_p, POINTER(c_void_p), c_void_p, c_size_t),
    "snapshot_decoder_decode": (c_void_p, POINTER(c_void_p)),
    "snapshot_decoder_free": (c_void_p,),
    "formatter_terminal_new": (c_void_p, POINTER(c_void_p), c_void_p, GhosttyFormatterTerminalOptions),
    "formatter_format_alloc": (c_void_p, c_void_p, POINTER(c_void_p), POINTER(c_size_t)),
    "formatter_free": (c_void_p,),
    "free": (c_void_p, c_void_p, c_size_t),
}
# GhosttyCell, 64 bits: first bit and width of each part.
CELL_BITS = {
    "content_tag": (0, 2),
    "content": (2, 24),
    "style_id": (26, 16),
    "wide": (42, 2),
    "hyperlink": (45, 1),
}
_RETURN_NOTHING = ("terminal_vt_write", "terminal_free", "snapshot_decoder_free", "formatter_free", "free")


class Library:
    """The functions, without their prefix. Those that return a result raise OSError for a failure."""

    def __init__(self, shared_object: ctypes.CDLL) -> None:
        for name, arguments in _FUNCTIONS.items():
            function = shared_object[f"ghostty_{name}"]
            function.argtypes = arguments
            function.restype = None if name in _RETURN_NOTHING else c_int
            if function.restype is not None:
                function.errcheck = _checked  # type: ignore[assignment]  # typeshed wants ctypes objects back
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)  # reached only for functions that were not set

    def taken(self, pointer: c_void_p, length: c_size_t) -> bytes:
        """Copy a buffer that the library allocated, and free it."""
        copy = ctypes.string_at(pointer, length.value) if length.value else b""
        self.free(None, pointer, length)
        return copy


def load(path: str) -> Library:
    """Load the library. Raises OSError if its layouts differ from this mirror."""
    shared_object = ctypes.CDLL(path)
    try:
        described = shared_object.ghostty_type_json
        described.restype = c_char_p
        types = json.loads(described())["types"]
        if (differing := _differing(types)) is not None:
            raise OSError(f"{path}: {differing} is another one than nono knows")
        return Library(shared_object)
    except (AttributeError, ValueError, KeyError, TypeError) as error:
        raise OSError(f"{path}: {error}") from error


def _differing(types: dict[str, Any]) -> str | None:
    """Return the name of a structure or enumeration that differs from this mirror."""
    for structure in _STRUCTURES:
        described = types[structure.__name__]
        if described["size"] != ctypes.sizeof(structure):
            return structure.__name__
        for name, _ in structure._fields_:
            field, theirs = getattr(structure, name), described["fields"][name]
            if (field.offset, field.size) != (theirs["offset"], theirs["size"]):
                return f"{structure.__name__}.{name}"
    for name, values in _ENUMS.items():
        if any(types[name]["values"][key] != value for key, value in values.items()):
            return name
    cell = types["GhosttyCell"]["bits"]
    for name, place in CELL_BITS.items():
        if (cell[name]["lsb"], cell[name]["width"]) != place:
            return f"GhosttyCell.{name}"
    return None


def _checked(result: int, function: Any, _arguments: Any) -> int:
    if result != GHOSTTY_SUCCESS:
        raise OSError(f"{function.__name__}: {result}")
    return result
