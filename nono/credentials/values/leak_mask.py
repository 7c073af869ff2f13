"""Mask the secret in a passing body, and hold back its end until the following octets are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nono.credentials.values.escapes import Span
from nono.credentials.values.holding import Hold, Mode
from nono.named_tuple import NamedTuple

MASK = b"*"  # one for each octet, so that an announced body length stays true


class Occurrences(NamedTuple):
    """Where the secret occurs in a text."""

    spans: Sequence[Span]  # ascending, without overlap
    near: Sequence[int]  # where a long prefix of the secret begins that continues differently


NOWHERE = Occurrences((), ())


class LeakMask:
    """Searches one passing body. What it holds back depends on public octets alone: see `holding`."""

    __slots__ = ("_find", "_hold", "found", "near")

    def __init__(self, find: Callable[[bytes], Occurrences], mode: Mode) -> None:
        self._find = find
        self._hold = Hold(mode)
        self.found = 0  # occurrences of the secret so far
        self.near = False

    def feed(self, piece: bytes) -> bytes:
        """Return the bytes to pass on: every spelling masked, without an end that could become one."""
        text, clear = self._hold.feed(piece)
        if not text:
            return b""
        found = self._find(text)
        return text if found is NOWHERE and clear == len(text) else self._pass(text, clear, found)

    def finish(self) -> bytes:
        """Return the rest, which is complete."""
        text = self._hold.finish()
        return self._pass(text, len(text), self._find(text)) if text else b""

    def _pass(self, text: bytes, clear: int, found: Occurrences) -> bytes:
        spans, near = found
        # What begins after `clear` may not be complete, and is searched again.
        if any(start < clear for start in near):
            self.near = True
        if spans:
            spans = [span for span in spans if span[0] < clear]
            self.found += len(spans)
            clear = max([clear, *(end for _, end in spans)])
            text = masked(text, spans)
        if clear == len(text):
            return text
        self._hold.keep(text[clear:])
        return text[:clear]


def masked(text: bytes, spans: Sequence[Span]) -> bytes:
    """Return `text` with MASK for each octet of `spans`."""
    parts, done = list[bytes](), 0
    for start, end in spans:
        parts += [text[done:start], MASK * (end - start)]
        done = end
    return b"".join([*parts, text[done:]])
