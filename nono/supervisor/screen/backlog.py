"""Holds the newest output that the model has not read, in bounded memory."""

from __future__ import annotations

from collections import deque

from nono.sessions.wire import Size
from nono.supervisor.screen import messages

BYTES_MAX = 1 << 20  # a flood loses what is older; the picture then has no more history than this
_AFTER_GAP = b"\n"  # where to go on: what is before it may be the rest of a sequence


class Backlog:
    """The output of a terminal, its sizes, and gaps where it was lost, in their order."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[bytes, bool]] = deque()  # each with the screen it begins on
        self._sizes: dict[int, Size] = {}  # by the piece they stand before
        self._first = 0  # the number of the first piece
        self.has_gap = False  # output was lost before the first piece
        self.size = 0  # in bytes

    def add(self, output: bytes, *, is_alternate: bool) -> None:
        """Add output. is_alternate: The screen was the alternate one before it."""
        self._pieces.append((output, is_alternate))
        self.size += len(output)
        while self.size > BYTES_MAX:
            self._drop()

    def resize(self, size: Size) -> None:
        self._sizes[self._first + len(self._pieces)] = size

    def lose(self) -> None:
        """Go on behind a gap: whoever read so far is gone."""
        self.has_gap = True

    def take(self) -> bytes:
        """Return everything as messages, and forget it."""
        parts: list[bytes] = []
        while self._pieces:
            self._take_size(parts)
            output, is_alternate = self._pieces.popleft()
            self._first += 1
            if self.has_gap:
                parts.append(messages.switch(is_alternate))
                output = output[output.find(_AFTER_GAP) + 1 :]
                self.has_gap = False
            parts += (
                messages.message(messages.OUTPUT, output[at : at + messages.OUTPUT_BYTES_MAX])
                for at in range(0, len(output), messages.OUTPUT_BYTES_MAX)
            )
        self._take_size(parts)
        self.size = 0
        return b"".join(parts)

    def _take_size(self, parts: list[bytes]) -> None:
        if (size := self._sizes.pop(self._first, None)) is not None:
            parts.append(messages.message(messages.SIZE, messages.SIDES.pack(*size)))

    def _drop(self) -> None:
        output, _ = self._pieces.popleft()
        self.size -= len(output)
        size = self._sizes.pop(self._first, None)
        self._first += 1
        if size is not None:
            self._sizes.setdefault(self._first, size)
        self.has_gap = True
