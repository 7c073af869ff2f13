"""Pick a few values out of a JSON text as it streams past, in memory independent of its size."""

from __future__ import annotations

import json
import re
from collections.abc import Collection

# Keys from the root. EACH stands for each object of an array, whose integers are added up. An array at the
# root is transparent; other arrays are skipped.
Path = tuple[str, ...]
EACH = "*"

MAX_VALUE_BYTES = 512  # of a key or value; longer ones are ignored

_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
# Texts, and objects and arrays without nested ones: skipped as a whole, because a step for each bracket or
# quote of an unwanted value takes a hundred times as long.
_TEXT = rb'"(?:[^"\\]++|\\.)*+"'
_OTHER = rb'[^"{}\[\]]++'
FLAT = re.compile(
    b"(?:%b|%b|%b(?:%b|%b)*+%b)*+" % (_OTHER, _TEXT, rb"[{\[]", _OTHER, _TEXT, rb"[}\]]"), re.DOTALL
)
_QUOTE = ord('"')
PLAIN = re.compile(rb'[^"{}\[\]:,]+')  # numbers, literals and blanks


class JsonPicker:
    """Parses one JSON text and keeps the last string or integer at each wanted path.

    Nothing is validated: from a text that is not JSON it keeps whatever looks like such a value, or nothing.
    """

    __slots__ = ("_depth", "_escaped", "_key", "_keys", "_quoted", "_raw", "_skipped", "_wanted", "values")

    def __init__(self, wanted: Collection[Path]) -> None:
        self.values: dict[Path, str | int] = {}
        self._wanted = wanted
        self._depth = 0  # open objects on the way to a wanted value
        self._keys: Path = ()  # the path of the innermost of them
        self._key: str | None = None  # of the member whose value comes next; None before a key
        self._skipped = 0  # open brackets inside an unwanted value
        self._quoted = False  # inside a string
        self._escaped = False  # right after a backslash
        self._raw = bytearray()  # the key or value being read, at most MAX_VALUE_BYTES + 1

    def feed(self, piece: bytes) -> None:
        at = 0
        while at < len(piece):
            if self._quoted:
                at = self._in_string(piece, at)
            elif self._skipped:
                at = self._in_skipped(piece, at)
            elif plain := PLAIN.match(piece, at):
                self._keep(plain[0])
                at = plain.end()
            else:
                self._token(piece[at : at + 1])
                at += 1

    def _in_string(self, piece: bytes, start: int) -> int:
        at = start + 1 if self._escaped else start
        self._escaped = False
        found = _STRING_REST.match(piece, at)
        at = found.end() if found else at
        if piece[at : at + 1] == b'"':
            self._quoted = False
            at += 1
        elif at < len(piece):  # the piece ends between a backslash and the escaped character
            self._escaped = True
            at += 1
        if not self._skipped:
            self._keep(piece[start:at])
        return at

    def _in_skipped(self, piece: bytes, at: int) -> int:
        flat = FLAT.match(piece, at)
        at = flat.end() if flat else at
        if at < len(piece):
            if piece[at] == _QUOTE:
                self._quoted = True
            else:
                self._skipped += 1 if piece[at] in b"{[" else -1
        return at + 1

    def _keep(self, raw: bytes) -> None:
        self._raw += raw[: MAX_VALUE_BYTES + 1 - len(self._raw)]

    def _token(self, token: bytes) -> None:
        match token:
            case b'"':
                self._quoted = True
                self._raw[:] = token
            case b":":
                key = self._taken()
                self._key = key if isinstance(key, str) else ""
            case b",":
                self._end_of_member()
            case b"{":
                self._open()
            case b"[" if self._depth:
                self._open()
            case b"}" | b"]" if self._depth:
                self._end_of_member()
                self._depth -= 1
                self._keys = self._keys[:-1]

    def _open(self) -> None:
        """Enter an object or array if something in it is wanted."""
        path = (*self._keys, EACH if self._key is None else self._key) if self._depth else ()
        if any(wanted[: len(path)] == path for wanted in self._wanted):
            self._depth += 1
            self._keys = path
            self._key = None
            self._raw.clear()
        else:
            self._skipped = 1

    def _end_of_member(self) -> None:
        value = self._taken()
        if self._key is not None and value is not None:
            path = (*self._keys, self._key)
            if path in self._wanted:
                before = self.values.get(path) if EACH in path else None
                self.values[path] = (
                    before + value if isinstance(before, int) and isinstance(value, int) else value
                )
        self._key = None

    def _taken(self) -> str | int | None:
        """Return the value read last if it is a string or an integer, otherwise None."""
        raw = bytes(self._raw)
        self._raw.clear()
        if not raw or len(raw) > MAX_VALUE_BYTES:
            return None
        try:
            value: object = json.loads(raw)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, str | int) and not isinstance(value, bool) else None
