"""Hold the newest output that the model has not read, in bounded memory."""

from __future__ import annotations

from collections import deque

from nono.sessions.wire import Size
from nono.supervisor.screen import messages

BYTES_MAX = 1 << 20  # a flood loses older output; the picture then has no more history than this
PIECE_BYTES = 1 << 12  # shorter pieces are joined: many commands write a few bytes at a time
_AFTER_GAP = b"\n"  # where to resume: the bytes before may be the rest of a sequence


class Backlog:
    """The output of a terminal, its sizes, and gaps where output was lost, in order."""

    def __init__(self, size: Size) -> None:
        self._pieces: deque[tuple[bytearray | bytes, bool]] = deque()  # each with the screen it begins on
        self._sizes: dict[int, Size] = {}  # by the piece they stand before
        self._first = 0  # the number of the first piece
        self._is_closed = False
        self.began = self.now = size  # size of the terminal at the first piece, and now
        self.has_gap = False  # output was lost before the first piece
        self.held_bytes = 0
        self.drops = 0  # how often output was lost so far

    def add(self, output: bytes, *, is_alternate: bool) -> None:
        """Add output. is_alternate: The screen was the alternate one before it."""
        if self._is_closed:
            return
        self.held_bytes += len(output)
        joined = self._joined(output, is_alternate)
        if joined is not None:
            joined += output
        else:
            is_short = len(output) < PIECE_BYTES
            self._pieces.append((bytearray(output) if is_short else output, is_alternate))
        while self.held_bytes > BYTES_MAX:
            self._drop()

    def _joined(self, output: bytes, is_alternate: bool) -> bytearray | None:
        """Return the piece that the output belongs to; None if it begins one."""
        if not self._pieces or self._first + len(self._pieces) in self._sizes:
            return None
        piece, was_alternate = self._pieces[-1]
        is_room = len(piece) + len(output) <= PIECE_BYTES and is_alternate == was_alternate
        return piece if is_room and isinstance(piece, bytearray) else None

    def resize(self, size: Size) -> None:
        self.now = size
        if not self._is_closed:
            self._sizes[self._first + len(self._pieces)] = size

    def close(self) -> None:
        """Drop everything: nobody will read it."""
        self._is_closed = True
        self._pieces.clear()
        self._sizes.clear()
        self.held_bytes = 0

    def lose(self) -> None:
        """Resume after a gap: the reader so far is gone."""
        self.has_gap = True

    def take(self) -> bytes:
        """Return everything as messages, and remove it."""
        parts: list[bytes] = []
        while self._pieces:
            self._take_size(parts)
            piece, is_alternate = self._pieces.popleft()
            output = bytes(piece)
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
        self.held_bytes = 0
        self.began = self.now
        return b"".join(parts)

    def _take_size(self, parts: list[bytes]) -> None:
        if (size := self._sizes.pop(self._first, None)) is not None:
            parts.append(messages.message(messages.SIZE, messages.SIDES.pack(*size)))

    def _drop(self) -> None:
        output, _ = self._pieces.popleft()
        self.held_bytes -= len(output)
        size = self._sizes.pop(self._first, None)
        self._first += 1
        if size is not None:
            self._sizes.setdefault(self._first, size)
        self.has_gap = True
        self.drops += 1
