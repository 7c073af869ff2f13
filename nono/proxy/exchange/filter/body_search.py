"""Search one body for the secret, and return what may be passed on: masked, withheld or cut off."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nono.credentials.values.credential import LeakDetector, LeakStream
from nono.credentials.values.escapes import Span
from nono.proxy.exchange.filter.message_ends import MalformedMessageError, MessageEnds

_MAX_WITHHELD_BYTES = 256 * 1024  # of a body that could be a list of candidates, until it was searched whole
_MAX_MASKED = 8  # occurrences in one body; more are not an echo but a list, whose members masks would reveal

_HOLDS = "the body holds the credential"
_WHOLE = "the body goes on after its end"

# Called with the place where the secret was found; returns True if another answer has held it before.
OnLeak = Callable[[str], object]


class LeakError(ValueError):
    """The body holds the secret in such a way that a mask would reveal more of it."""


class BodySearch:
    """The search of one body for the secret."""

    __slots__ = (
        "_ended", "_ends", "_is_near", "_masked", "_on_leak", "_on_near", "_stream", "_tripwire",
        "_whole_bytes", "_withheld",
    )  # fmt: skip

    def __init__(
        self,
        tripwire: LeakDetector,
        ends: MessageEnds | None,
        on_leak: OnLeak,
        on_near: Callable[[], object],
        whole_bytes: int,
        *,
        withholds: bool,
    ) -> None:
        """whole_bytes: the length of the body as it is searched; 0 if it is not known."""
        self._tripwire = tripwire
        self._whole_bytes = whole_bytes
        self._withheld: bytearray | None = bytearray() if withholds else None
        self._stream: LeakStream | None = None  # created on first use
        self._ended = ""  # why nothing more may pass
        self._ends = ends
        self._on_leak = on_leak
        self._on_near = on_near
        self._masked = 0
        self._is_near = False

    def long_runs(self, piece: bytes) -> Sequence[Span]:
        return self._tripwire.long_runs(piece)

    def feed(self, piece: bytes, runs: Sequence[Span] | None) -> bytes:
        """Return the octets that may be passed on. Raises LeakError, then again for every further piece."""
        if self._whole_bytes:
            is_whole, self._whole_bytes = len(piece) == self._whole_bytes, 0
            if is_whole and self._is_clean(piece, runs):
                return piece
        stream = self._stream or self._open()
        # Pass a complete message on at once: no secret continues after the prefix of the next one.
        if self._ends is not None and (cut := self._message_end(self._ends, piece)):
            passed = stream.feed(piece[:cut]) + stream.finish()
            if stream.near and not self._is_near:
                self._report(stream)
                self._end(_HOLDS)
                raise LeakError("a message ends within the credential")
            passed += stream.feed(piece[cut:])
        else:
            passed = stream.feed(piece, runs)
        if stream.found != self._masked or stream.near is not self._is_near:
            self._report(stream)
        if self._withheld is None:
            return passed
        self._withheld += passed
        return self._released() if len(self._withheld) > _MAX_WITHHELD_BYTES else b""

    def _is_clean(self, body: bytes, runs: Sequence[Span] | None) -> bool:
        """Search a body that arrived in one piece, as most do. Nothing follows, so nothing is held back.

        Returns False if the body holds the secret; feed() then masks it like any other.
        """
        found = self._tripwire.find(body, runs)
        if found.spans:
            return False
        if found.near:
            self._is_near = True
            self._on_near()
        self._end(_WHOLE)
        return True

    def _message_end(self, ends: MessageEnds, piece: bytes) -> int:
        """Return where the last message in `piece` ends; 0 if none does. Raises LeakError."""
        try:
            return ends.last_in(piece)
        except MalformedMessageError:
            self._end(_HOLDS)
            raise LeakError("messages do not follow each other as their type says") from None

    def _released(self) -> bytes:
        """Return the withheld octets, and stop withholding."""
        withheld, self._withheld = self._withheld, None
        return b"" if withheld is None else bytes(withheld)

    def finish(self) -> bytes:
        """Return the rest of the body. Raises LeakError."""
        if self._ended is _WHOLE:
            return b""
        stream = self._stream or self._open()
        rest = stream.finish()
        if stream.found != self._masked or stream.near is not self._is_near:
            self._report(stream)
        return rest if self._withheld is None else self._released() + rest

    def _open(self) -> LeakStream:
        if self._ended:
            raise LeakError(self._ended)
        self._stream = self._tripwire.stream()
        return self._stream

    def _end(self, why: str) -> None:
        """Stop passing the body on. `why` is the reason of the LeakError that follows."""
        self._stream = None
        self._ended = why

    def _report(self, stream: LeakStream) -> None:
        if stream.near and not self._is_near:
            self._is_near = True
            self._on_near()
        if stream.found == self._masked:
            return
        is_one_of_many = self._tripwire.guessable or stream.found > _MAX_MASKED
        if not self._masked and self._on_leak("a response body"):
            is_one_of_many = True
        self._masked = stream.found
        if is_one_of_many:
            self._end(_HOLDS)
            raise LeakError(_HOLDS)
