"""Mask the secret in a passing body, and hold back its end until the following octets are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nono.credentials.values.escapes import Span
from nono.credentials.values.holding import Hold, Mode
from nono.named_tuple import NamedTuple

_FIRST_RUN = 256  # octets of it; a longer one is looked for anew, with what precedes it
MASK = b"*"  # one for each octet, so that an announced body length stays true


class Occurrences(NamedTuple):
    """Where the secret occurs in a text."""

    spans: Sequence[Span]  # ascending, without overlap
    near: Sequence[int]  # where a long prefix of the secret begins that continues differently


Find = Callable[[bytes, Sequence[Span] | None], Occurrences]

NOWHERE = Occurrences((), ())


class LeakMask:
    """Searches one passing body. What it holds back depends on public octets alone: see `holding`."""

    __slots__ = ("_find", "_hold", "_mode", "found", "near")

    def __init__(self, find: Find, mode: Mode) -> None:
        self._find = find
        self._mode = mode
        self._hold = Hold(mode)
        self.found = 0  # occurrences of the secret so far
        self.near = False

    def feed(self, piece: bytes, runs: Sequence[Span] | None = None) -> bytes:
        """Return the bytes to pass on: every spelling masked, without an end that could become one."""
        held = self._hold.size
        text, clear = self._hold.feed(piece)
        if not text:
            return b""
        if held and runs is not None:
            runs = self._behind(held, piece, runs)
        found = self._find(text, runs)
        return text if found is NOWHERE and clear == len(text) else self._pass(text, clear, found)

    def _behind(self, held: int, piece: bytes, runs: Sequence[Span]) -> Sequence[Span] | None:
        """Return the long runs of what is held and `piece`, if those of `piece` are `runs`."""
        # What is held goes on in the piece's first run, which may be a short one.
        end = piece[:_FIRST_RUN].translate(self._mode.is_of_spelling).find(b"\0")
        return None if end < 0 else [(0, held + end), *((held + each[0], held + each[1]) for each in runs)]

    def finish(self) -> bytes:
        """Return the rest, which is complete."""
        text = self._hold.finish()
        return self._pass(text, len(text), self._find(text, None)) if text else b""

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
