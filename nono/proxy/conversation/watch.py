"""Read a request to a model while it is sent, and have a turn that it begins recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING

from nono.proxy.conversation.outline import OutlineReader
from nono.proxy.http.coded_streams import ContentCodingError
from nono.proxy.http.content_coding import Budget, Decoder, DecoderMemoryError

if TYPE_CHECKING:
    from nono.proxy.conversation.outline import Outline
    from nono.proxy.transport.turns import Turns

SLICE_BYTES = 1024  # read at once: a body made only of brackets takes two microseconds for each


class TurnWatch:
    """Reads the body of one request.

    budget: Where the bytes are counted that wait to be read.
    judge: Takes the outline, or None and the reason why there is none. Returns False if the end of the body
      must wait for go_on().
    may_hold: The end of the body waits until it is judged.
    unread: Why the body cannot be read, which is judged once it is sent; "" if it can.
    """

    __slots__ = (
        "_budget", "_coded", "_decoder", "_has_ended", "_is_judged", "_is_open", "_judge", "_may_hold",
        "_reader", "_slices", "_then", "_turns", "_unread", "_waits", "request", "turn",
    )  # fmt: skip

    def __init__(
        self,
        reader: OutlineReader,
        decoder: Decoder | None,
        turns: Turns,
        budget: Budget,
        judge: Callable[[TurnWatch, Outline | None, str], bool],
        *,
        may_hold: bool,
        unread: str = "",
    ) -> None:
        self.turn: int | None = None  # the request's turn, once judged
        self.request: int | None = None  # its record number
        self._reader = reader
        self._decoder = decoder
        self._turns = turns
        self._budget = budget
        self._judge = judge
        self._may_hold = may_hold
        self._unread = unread
        self._coded: deque[bytes] = deque()
        self._slices: Iterator[bytes] = iter(())
        self._waits = False  # for a turn of the loop
        self._has_ended = False
        self._is_judged = False
        self._is_open = False  # the end of the body may be sent
        self._then: Callable[[], None] | None = None

    def holds(self, piece: bytes, *, is_last: bool, then: Callable[[], None]) -> bool:
        """Read the next piece. Returns True if it must not be sent before `then` is called.

        A repeated call with the same piece does not read it again: only the last piece is ever held.
        """
        if self._unread and not self._is_judged:
            self._decide(None, self._unread)
        if not self._has_ended and not self._is_judged:
            self._has_ended = is_last
            self._take(piece)
        if not is_last or not self._may_hold or self._is_open:
            return False
        self._then = then
        return True

    def _take(self, piece: bytes) -> None:
        if piece and self._budget.take(len(piece)):
            self._coded.append(piece)
        elif piece:
            self._decide(None, "its body comes faster than it can be read")
            return
        if not self._waits and self._turns.start(self._work):
            self._waits = True
            self._turns.add(self._turn)

    def pass_on(self) -> None:
        """Read nothing, because the request is known to begin no turn."""
        self._is_judged = self._is_open = True

    def go_on(self) -> None:
        """Let the end of the body be sent."""
        self._is_open = True
        then, self._then = self._then, None
        if then is not None:
            then()

    def stop(self) -> None:
        """Forget the exchange, which is over. A body that was sent completely is still read to its end."""
        self._then = None
        if not self._has_ended:
            self._is_judged = True
            self._forget()

    def _turn(self, until: float) -> bool:
        self._waits = self._work(until)
        return self._waits

    def _work(self, until: float) -> bool:
        """Read until that time. Returns True if there is more to read."""
        try:
            while not self._is_judged:
                piece = next(self._slices, None)
                if piece is not None:
                    self._reader.feed(piece)
                elif self._coded:
                    self._slices = _sliced(self._decoder, self._next())
                else:
                    break
                if perf_counter() >= until:
                    return True
        except DecoderMemoryError as fault:
            self._decide(None, str(fault))
        except ContentCodingError:
            self._decide(None, "its body is not what its Content-Encoding says")
        if self._has_ended and not self._is_judged:
            self._decide(self._reader.outline, "its body is not JSON")
        return False

    def _next(self) -> bytes:
        piece = self._coded.popleft()
        self._budget.give_back(len(piece))
        return piece

    def _decide(self, outline: Outline | None, reason: str) -> None:
        self._is_judged = True
        self._forget()
        if self._judge(self, outline, reason):
            self.go_on()

    def _forget(self) -> None:
        self._budget.give_back(sum(map(len, self._coded)))
        self._coded.clear()
        self._slices = iter(())
        if self._decoder is not None:
            self._decoder.close()


def _sliced(decoder: Decoder | None, piece: bytes) -> Iterator[bytes]:
    for decoded in decoder.feed(piece) if decoder is not None else ():
        for start in range(0, len(decoded), SLICE_BYTES):
            yield decoded[start : start + SLICE_BYTES]
