"""Decide how much of a passing body is held back, from octets and lengths alone: never from a secret.

If the decision depended on the secret, the boundaries of chunks would show whether the end of a response
agrees with it, and the secret could be guessed one character at a time (docs/adr/0030-non-interference.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from nono.credentials.values.shapes import BASE62
from nono.named_tuple import NamedTuple

# Of keys in every spelling, NULs of UTF-16 included. Not those that end a document or an event: brackets,
# quotes, blanks and line ends.
TOKEN_OCTETS = (BASE62 + "+/=_.~:@!$*^?|`%&#;\\-\0").encode()
# Of anything else, such as a password of many words. An event still ends with a line.
TEXT_OCTETS = bytes(octet for octet in range(256) if octet not in b"\r\n")

_WIDTH = 16  # the longest spelling of one character: "%26%23x0041%3B"
_BOUNDS = (4 * 1024, 64 * 1024, 1024 * 1024)
_BREAK = 16  # octets that a soft line break seldom exceeds: "=\r\n" in UTF-32
_LINE_ENDS = (b"=\r", b"=\n", b"=\r\n")  # the first may go on


class Mode(NamedTuple):
    """How to hold back for one credential.

    It reveals only the kind of its octets and its approximate length.
    """

    octets: bytes  # octets of a spelling, besides soft line breaks
    is_of_run: bytes  # translates `octets` to 1, all others to 0
    is_of_spelling: bytes  # the same with line ends, which soft line breaks have
    bound_bytes: int  # length of the longest spelling

    @property
    def tokens(self) -> bool:
        return self.octets is TOKEN_OCTETS


def mode_for(texts: Sequence[str]) -> Mode:
    """Return the mode that holds every spelling of `texts` until it is complete."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    is_token = not any(each.translate(None, TOKEN_OCTETS) or b"\0" in each for each in raw)
    octets = TOKEN_OCTETS if is_token else TEXT_OCTETS
    longest = max(map(len, raw)) * _WIDTH
    bound = next((each for each in _BOUNDS if longest <= each), longest)
    is_of_run, is_of_spelling = (
        bytes(octet in some for octet in range(256)) for some in (octets, octets + b"\r\n")
    )
    return Mode(octets, is_of_run, is_of_spelling, bound)


def run_start(text: bytes, mode: Mode) -> int:
    """Return where the run at the end of `text` begins; if far longer than the bound, a place within it."""
    if text[-1:] not in mode.octets and _break_start(text, len(text)) == len(text):
        return len(text)
    window, widest = 256, 2 * mode.bound_bytes + _BREAK + 1
    while True:
        low = max(len(text) - window, 0)
        start = _start_in(text[low:] if low else text, mode)
        if start > _BREAK or not low or window == widest:
            return low + start
        window = min(window * 16, widest)


def _start_in(text: bytes, mode: Mode) -> int:
    flags = text.translate(mode.is_of_run)
    end = _break_start(text, len(text))
    while True:
        end = flags.rfind(b"\0", 0, end) + 1
        start = _break_start(text, end)
        if start == end:
            return end
        end = start


def _break_start(text: bytes | bytearray, end: int, endings: tuple[bytes, ...] = _LINE_ENDS) -> int:
    """Return where a soft line break begins that ends in one of `endings` at `end`; `end` if none does.

    NULs may stand anywhere in it.
    """
    tail = text[max(end - _BREAK, 0) : end]
    plain = tail.translate(None, b"\0")
    if plain.endswith(endings):
        return end - len(tail) + tail.rfind(b"=")
    if len(tail) == _BREAK and not plain.strip(b"\r\n"):  # its beginning is out of sight
        at = text.rfind(b"=", 0, end)
        if b"=" + text[at + 1 : end].translate(None, b"\0") in endings:
            return max(at, 0)
    return end


class Hold:
    """The held-back end of a passing body: at most twice the bound."""

    __slots__ = ("_held", "_mode")

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._held = bytearray()

    @property
    def size(self) -> int:
        return len(self._held)

    def feed(self, piece: bytes) -> tuple[bytes, int]:
        """Return what to search now, and how much of it may be passed on; give `keep` the rest.

        The octet after a run cannot be part of a spelling in it, so only complete runs are passed on. Of an
        endless run, the last bound_bytes are kept, in steps of the same size, so that no octet is searched
        more than twice.
        """
        held, bound = self._held, self._mode.bound_bytes
        if held and piece[:1] in (b"\r", b"\n", b"\0"):
            at = _break_start(held, len(held), (b"=", b"=\r"))
            piece = bytes(held[at:]) + piece
            del held[at:]
        start = run_start(piece, self._mode)
        if start == 0:
            held += piece
            if len(held) <= 2 * bound:
                return b"", 0
            whole = self.finish()
            return whole, len(whole) - bound
        clear = len(held) + start
        whole = self.finish() + piece if held else piece
        if len(whole) - clear > 2 * bound:
            return whole, len(whole) - bound
        if clear == len(whole):
            return whole, clear
        held += whole[clear:]
        return whole[:clear], clear

    def keep(self, rest: bytes) -> None:
        """Hold `rest`, the end of the data from feed() that must not be passed on."""
        self._held += rest

    def finish(self) -> bytes:
        """Return what is held, and hold nothing."""
        held = bytes(self._held)
        self._held.clear()
        return held
