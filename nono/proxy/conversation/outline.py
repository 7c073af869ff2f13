"""Read the outline of a request to a model as its JSON streams past, in memory independent of its size."""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from nono.named_tuple import NamedTuple
from nono.proxy.usage.json_picker import FLAT, PLAIN

MAX_TEXT_BYTES = 96  # kept of each text: its beginning, up to the first escape
MAX_KEPT_BYTES = 64 * 1024  # kept of one member, or one item of a list, with its texts shortened
MAX_HELD_BYTES = 2 * MAX_KEPT_BYTES  # of all members, until the object ends

# Kept unchanged: short texts without escapes, and everything that is neither text nor bracket.
_SHORT = re.compile(rb'(?:[^"{}\[\]]++|"[^"\\]{0,%d}+")*+' % MAX_TEXT_BYTES)
# From the model: a message, or a tool call, which is no message with OpenAI.
_ANSWER = re.compile(rb'"role"\s*:\s*"(?:assistant|model)"|"type"\s*:\s*"\w+_call"')
# Instructions and settings, which agents put anywhere; they are nobody's message.
_ASIDE = re.compile(
    rb'"role"\s*:\s*"(?:system|developer)"|"type"\s*:\s*"(?:configuration_update|additional_tools)"'
)
_QUOTE, _BACKSLASH = b'"\\'

Outline = dict[str, Any]  # members by name, as json.loads() returns them; a Listed for each list


class Wanted(NamedTuple):
    """The members of the root object to read; all others are skipped."""

    kept: frozenset[str]
    lists: frozenset[str] = frozenset()  # lists to read: their last object, and the number of objects
    counted: frozenset[str] = frozenset()  # lists to count only
    transparent: frozenset[str] = frozenset()  # objects whose members count as members of the root


class Listed(NamedTuple):
    """The objects of a list.

    last: The last item of the conversation, with its texts shortened; None if it is longer than
      MAX_KEPT_BYTES, or missing.
    answers: The number of items from the model.
    """

    size: int
    last: Any = None
    answers: int = 0


class OutlineReader:
    """Reads one JSON object without validating it: malformed text yields the outline of what it resembles."""

    __slots__ = (
        "_answers", "_count", "_depth", "_escaped", "_held", "_held_bytes", "_is_cut", "_keeps", "_kept",
        "_key", "_last", "_levels", "_quoted", "_room", "_wanted", "_where",
    )  # fmt: skip

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        # Of each member its text, and of each list that of its last item. Objects would take twenty times as
        # much, for as long as a client likes.
        self._held: dict[str, bytes | Listed] = {}
        self._held_bytes = 0
        self._where: Literal["start", "root", "list", "inside", "over"] = "start"
        self._levels = 0  # open objects whose members count as members of the root
        self._key: str | None = None  # of the member whose value follows; None before a key
        self._count: int | None = None  # objects in the open list; None: no list is open
        self._answers = 0  # of these, items from the model
        self._depth = 0  # open brackets inside the kept or skipped value
        self._keeps = False  # True: keep what is read
        self._kept = bytearray()
        self._last = b""  # last item of the list; empty if it was too long
        self._is_cut = False  # it would exceed MAX_KEPT_BYTES
        self._quoted = False  # inside a text
        self._escaped = False  # right after a backslash
        self._room = 0  # bytes of the text that may still be kept

    def feed(self, piece: bytes) -> None:
        at, end = 0, len(piece)
        while at < end:
            if self._quoted:
                at = self._in_text(piece, at)
            elif self._where == "inside":
                at = self._inside(piece, at)
            elif self._where == "over":
                return
            elif plain := PLAIN.match(piece, at):
                self._keep(plain[0])
                at = plain.end()
            else:
                self._token(piece[at : at + 1])
                at += 1

    @property
    def outline(self) -> Outline | None:
        """The outline; None until the object has ended."""
        if self._where != "over":
            return None
        return {
            name: held._replace(last=_parsed(held.last)) if isinstance(held, Listed) else _parsed(held)
            for name, held in self._held.items()
        }

    def _in_text(self, piece: bytes, start: int) -> int:
        end = _end_of_text(piece, start + 1 if self._escaped else start)
        if self._room:
            text = piece[start : min(end, start + self._room)]
            plain = text.partition(b"\\")[0]
            self._keep(plain)
            self._room = self._room - len(text) if plain == text else 0
        if end < len(piece):
            self._quoted = self._escaped = False
            self._keep(b'"')
            return end + 1
        # The piece may end between a backslash and the escaped character.
        self._escaped = _is_escaped(piece, end, start + 1 if self._escaped else start)
        return end

    def _begin_text(self) -> None:
        self._quoted = True
        self._room = MAX_TEXT_BYTES if self._keeps else 0
        self._keep(b'"')

    def _inside(self, piece: bytes, at: int) -> int:
        known = (_SHORT if self._keeps else FLAT).match(piece, at)
        if known is not None and known.end() > at:
            if self._keeps:
                self._keep(known[0])
            at = known.end()
        if at == len(piece):
            return at
        if piece[at] == _QUOTE:
            self._begin_text()
            return at + 1
        bracket = piece[at : at + 1]
        self._keep(bracket)
        self._depth += 1 if bracket in b"{[" else -1
        if not self._depth:
            self._end_of_value()
        return at + 1

    def _keep(self, raw: bytes) -> None:
        if self._keeps and not self._is_cut:
            self._is_cut = len(self._kept) + len(raw) > MAX_KEPT_BYTES
            if not self._is_cut:
                self._kept += raw

    def _token(self, token: bytes) -> None:
        if token == b'"':
            self._begin_text()
        elif self._where == "list":
            self._in_list(token)
        elif self._where == "root":
            self._in_root(token)
        else:
            self._where = "root" if token == b"{" else "over"
            self._levels = 1
            self._begin(keeps=True)  # a key follows

    def _in_root(self, token: bytes) -> None:
        match token:
            case b":":
                key = _parsed(self._taken())
                self._key = key if isinstance(key, str) else ""
                self._begin(keeps=self._key in self._wanted.kept)
            case b"{" if self._key in self._wanted.transparent:
                self._levels += 1
                self._next_member()
            case b"[" if self._key in self._wanted.lists | self._wanted.counted:
                self._where, self._count, self._answers = "list", 0, 0
                self._last = b""
                self._begin(keeps=False)
            case b"{" | b"[":
                self._where, self._depth = "inside", 1
                self._begin(keeps=self._key in self._wanted.kept)
                self._keep(token)
            case b",":
                self._end_of_member()
            case _:
                self._end_of_member()
                self._levels -= 1
                self._where = "root" if self._levels and token == b"}" else "over"

    def _in_list(self, token: bytes) -> None:
        match token:
            case b"{" | b"[":
                self._where, self._depth = "inside", 1
                self._begin(keeps=token == b"{" and self._key in self._wanted.lists)
                self._keep(token)
            case b"]":
                assert self._key is not None
                self._held[self._key] = Listed(self._count or 0, self._hold(self._last), self._answers)
                self._where, self._count = "root", None
                self._begin(keeps=False)

    def _end_of_value(self) -> None:
        if self._count is None:
            self._where = "root"  # its member ends with a comma or a brace
        else:
            self._where = "list"
            self._count += 1
            if self._keeps and _ASIDE.search(self._kept) is None:
                self._answers += _ANSWER.search(self._kept) is not None
                self._last = b"" if self._is_cut else bytes(self._kept)

    def _end_of_member(self) -> None:
        if self._key in self._wanted.kept and self._kept:
            self._held[self._key] = self._hold(self._taken())
        self._next_member()

    def _hold(self, raw: bytes) -> bytes:
        """Return `raw`, to be held until the object ends; nothing if too much is held already."""
        if self._held_bytes + len(raw) > MAX_HELD_BYTES:
            return b""
        self._held_bytes += len(raw)
        return raw

    def _next_member(self) -> None:
        self._key = None
        self._begin(keeps=True)

    def _begin(self, *, keeps: bool) -> None:
        self._keeps, self._is_cut = keeps, False
        self._kept.clear()

    def _taken(self) -> bytes:
        """Return the kept text; nothing if it is too long."""
        raw = b"" if self._is_cut else bytes(self._kept)
        self._begin(keeps=False)
        return raw


def _end_of_text(piece: bytes, start: int) -> int:
    """Return the position of the quote that ends a text; the length of the piece if it does not end there.

    Searches for quotes, because code contains fewer quotes than escapes.
    """
    at = piece.find(b'"', start)
    while at >= 0 and _is_escaped(piece, at, start):
        at = piece.find(b'"', at + 1)
    return len(piece) if at < 0 else at


def _is_escaped(piece: bytes, at: int, start: int) -> bool:
    """Return True if an odd number of backslashes precedes `at`."""
    before = at
    while before > start and piece[before - 1] == _BACKSLASH:
        before -= 1
    return bool((at - before) % 2)


def _parsed(raw: bytes) -> Any:
    """Return what the JSON stands for; None if there is none, or it is malformed."""
    try:
        return json.loads(raw.decode("utf-8", "replace")) if raw else None
    except (ValueError, RecursionError):
        return None
