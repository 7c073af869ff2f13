"""Undo the escapes in which frameworks write text: percent, character references, backslashes, NULs.

Enumerating the spellings of a secret would miss mixtures ("%2F" beside "+") and differences between
frameworks. So the text is brought into plain form instead, one layer after the other.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from itertools import accumulate
from zlib import adler32

from nono.named_tuple import NamedTuple

Span = tuple[int, int]  # start and end

_DEPTH = 3  # "%2526%252343%253B" is "+" escaped once for HTML and twice for URLs
DENSE = 16  # octets for each that may begin an escape, below which looking for the escapes is no gain
_LEADS = (b"%", b"\\", b"&", b"=")  # what escapes begin with, but for NULs
_PERCENT, _BACKSLASH, _AND, _EQUALS = b"".join(_LEADS)
IS_LEAD = bytes(octet in b"".join(_LEADS) for octet in range(256))
_SPARSE = 64  # octets for each NUL, above which NULs are replaced one by one
_SUMMED = 32 * 1024
_HEX = "[0-9A-Fa-f]"
# HTML Standard section 13.5, names of ASCII punctuation; &amp;, &lt;, &gt; and &quot; also in upper case.
_NAMES = {
    "amp": "&", "AMP": "&", "lt": "<", "LT": "<", "gt": ">", "GT": ">", "quot": '"', "QUOT": '"', "apos": "'",
    "excl": "!", "num": "#", "dollar": "$", "percnt": "%", "lpar": "(", "rpar": ")", "ast": "*",
    "midast": "*", "plus": "+", "comma": ",", "period": ".", "sol": "/", "colon": ":", "semi": ";",
    "equals": "=", "quest": "?", "commat": "@", "lsqb": "[", "lbrack": "[", "bsol": "\\", "rsqb": "]",
    "rbrack": "]", "Hat": "^", "lowbar": "_", "UnderBar": "_", "grave": "`", "DiacriticalGrave": "`",
    "lcub": "{", "lbrace": "{", "verbar": "|", "vert": "|", "VerticalLine": "|", "rcub": "}", "rbrace": "}",
}  # fmt: skip
# ASCII only. Without \" and \', which fill JSON: text without quotes does not need them undone.
_IN_TOKENS = (
    f"%(?:[2-7]{_HEX}|00)",
    rf"\\(?:u00(?:[2-7]{_HEX}|00)|U000000(?:[2-7]{_HEX}|00)|x(?:[2-7]{_HEX}|00)"
    rf"|[01][0-7]{{2}}|[!#-&(-/:-@\[-`{{-~])",
    rf"&(?:#0{{0,5}}(?:3[2-9]|[4-9][0-9]|1[01][0-9]|12[0-6]);|#[xX]0{{0,4}}[2-7]{_HEX};|(?:{'|'.join(_NAMES)});)",
)
_IN_TEXT = (
    f"%{_HEX}{{2}}",
    rf"\\(?:u[dD][89aAbB]{_HEX}{{2}}\\u[dD][c-fC-F]{_HEX}{{2}}|u{_HEX}{{4}}|u\{{{_HEX}{{1,6}}\}}|U{_HEX}{{8}}"
    rf"|x{_HEX}{{2}}|[0-3][0-7]{{2}}|[ -/:-@\[-`{{-~])",
    rf"&(?:#[0-9]{{1,7}};|#[xX]{_HEX}{{1,6}};|(?:{'|'.join(_NAMES)});)",
)


class _Layer(NamedTuple):
    """One kind of escape: what is replaced, in a group, and by what."""

    pattern: re.Pattern[bytes]
    plain: Callable[[bytes], bytes]
    quick: Callable[[bytes], bytes] | None = None  # replaces everything at once

    def undone(self, text: bytes) -> bytes:
        """Return `text` without these escapes; the same object if there are none."""
        if self.quick is not None:
            return self.quick(text)
        parts = self.pattern.split(text)
        if len(parts) == 1:
            return text
        parts[1::2] = map(self.plain, parts[1::2])
        return b"".join(parts)

    def edges(self, text: bytes) -> tuple[list[int], list[int]]:
        """Return the edges of the escapes, alternating start and end: in undone(text), and in `text`."""
        parts = self.pattern.split(text)
        before = [0, *accumulate(map(len, parts))]
        parts[1::2] = map(self.plain, parts[1::2])
        return [0, *accumulate(map(len, parts))], before


class _Step:
    """A text from which one layer was removed. It caches the edges of the escapes, which are slow to find."""

    __slots__ = ("_edges", "layer", "text")

    def __init__(self, layer: _Layer, text: bytes) -> None:
        self.layer, self.text = layer, text
        self._edges: tuple[list[int], list[int]] | None = None

    def origin(self, spans: Sequence[Span]) -> list[Span]:
        """Map spans of the undone text to this one. A partly covered escape is included as a whole."""
        if self._edges is None:
            self._edges = self.layer.edges(self.text)
        at, before = self._edges

        def mapped(position: int, *, is_end: bool) -> int:
            index = bisect_right(at, position) - 1
            if index % 2 == 0:  # between escapes
                return before[index] + position - at[index]
            return before[index + 1] if is_end and position > at[index] else before[index]

        return [(mapped(start, is_end=False), mapped(end, is_end=True)) for start, end in spans]


class _Offset(NamedTuple):
    """A text of which a part was taken."""

    at: int

    def origin(self, spans: Sequence[Span]) -> list[Span]:
        return [(start + self.at, end + self.at) for start, end in spans]


class Form(NamedTuple):
    """A text with some escapes undone."""

    text: bytes
    steps: tuple[_Step | _Offset, ...]  # from the original text to this one

    def origin(self, spans: Sequence[Span]) -> Sequence[Span]:
        """Map spans of this form to those of the original text."""
        for step in reversed(self.steps):
            spans = step.origin(spans)
        return spans

    def part(self, span: Span) -> Form:
        """Return the form of a part of this text."""
        return Form(self.text[span[0] : span[1]], (*self.steps, _Offset(span[0])))

    def without_nuls(self) -> Form:
        """Return the form without NULs, which UTF-16 and UTF-32 have."""
        return self if 0 not in self.text else self.through(_nuls()) or self

    def undone(self, *, tokens: bool) -> Iterator[Form]:
        """Yield this text with its escapes undone once, twice and so on, and quoted-printable as well.

        tokens: Only ASCII without quotes and blanks matters, which is faster.
        """
        yield from _peeled(self, _escaped(tokens))
        # Separate from the other layers: in "?key=AB%2F" the equals sign begins no escape.
        if (printable := self.through(_quoted(tokens))) is not None:
            yield printable
            yield from _peeled(printable, _escaped(tokens))

    def through(self, layer: _Layer) -> Form | None:
        """Return the form with one more layer undone; None if there is nothing to undo."""
        undone = layer.undone(self.text)
        if undone is self.text:
            return None
        return Form(undone, (*self.steps, _Step(layer, self.text)))


def has_escapes(text: bytes) -> bool:
    """Return False if `text` holds no octet that an escape begins with, as many texts do not."""
    # By number: to search for an octet string takes eight times as long.
    return _PERCENT in text or _BACKSLASH in text or _AND in text or _EQUALS in text


def is_dense(text: bytes, parts: Sequence[Span]) -> bool:
    """Return True if escapes in `parts` may make up much of `text`, so that undoing them takes long."""
    joined = b"".join([text[start:end] for start, end in parts])
    if not has_escapes(joined):
        return False
    # bytes.count takes a nanosecond for each octet and lead. The low half of an Adler-32 (RFC 1950) is the
    # sum of the octets plus one, while that is below 65521.
    flags = joined.translate(IS_LEAD)
    sums = ((adler32(flags[at : at + _SUMMED]) & 0xFFFF) - 1 for at in range(0, len(flags), _SUMMED))
    return DENSE * sum(sums) > len(text)


def forms(text: bytes, *, tokens: bool) -> Iterator[Form]:
    """Yield `text` without NULs if it has any, and then as `Form.undone` does."""
    form = Form(text, ()).without_nuls()
    if form.text is not text:
        yield form
    if has_escapes(form.text):
        yield from form.undone(tokens=tokens)


def without_nuls(text: bytes) -> bytes:
    """Return `text` without its NULs."""
    if 0 not in text:
        return text
    # To replace takes time for each NUL, to translate for each octet.
    if text.count(b"\0") * _SPARSE < len(text):
        return text.replace(b"\0", b"")
    return text.translate(None, b"\0")


def _peeled(form: Form, layer: _Layer) -> Iterator[Form]:
    for _ in range(_DEPTH):
        peeled = form.through(layer)
        if peeled is None:
            return
        yield peeled
        form = peeled


# Compiled on first use, not at a start.
@cache
def _nuls() -> _Layer:
    return _Layer(re.compile(rb"(\0+)"), lambda nuls: b"", without_nuls)


@cache
def kinds(tokens: bool) -> list[tuple[bytes, re.Pattern[bytes]]]:
    """Return patterns by their first octet, which is searched much faster than a character class."""
    kinds = [re.compile(each.encode()) for each in (_IN_TOKENS if tokens else _IN_TEXT)]
    return [*zip((b"%", b"\\", b"&"), kinds, strict=True), (b"=", _quoted(tokens).pattern)]


@cache
def _escaped(tokens: bool) -> _Layer:
    return _Layer(re.compile(f"({'|'.join(_IN_TOKENS if tokens else _IN_TEXT)})".encode()), _plain)


@cache
def _quoted(tokens: bool) -> _Layer:
    pattern = rb"(=(?:[2-7][0-9A-F]|00|\r?\n))" if tokens else rb"(=(?:[0-9A-F]{2}|\r?\n))"
    return _Layer(re.compile(pattern), _unquoted)


@lru_cache(1024)
def _unquoted(escape: bytes) -> bytes:
    """Undo an escape of quoted-printable (RFC 2045 section 6.7), a soft line break included."""
    return b"" if escape[1:2] in b"\r\n" else bytes.fromhex(escape[1:].decode()).strip(b"\0")


@lru_cache(8192)
def _plain(escape: bytes) -> bytes:
    # NULs are left out here too: text in UTF-16 is escaped by whoever takes it for another.
    return _replacement(escape).strip(b"\0")


def _replacement(escape: bytes) -> bytes:
    lead, rest = escape[:1], escape[1:].decode("ascii")
    if lead == b"%":
        return bytes.fromhex(rest)
    if lead == b"&":
        if rest[0] != "#":
            return _NAMES[rest[:-1]].encode()
        return _utf8(int(rest[2:-1], 16) if rest[1] in "xX" else int(rest[1:-1]))
    match rest[0]:
        case "u" if len(rest) == 11:  # a surrogate pair
            high, low = int(rest[1:5], 16), int(rest[7:], 16)
            return _utf8(0x10000 + ((high & 0x3FF) << 10) + (low & 0x3FF))
        case "u" | "U":
            return _utf8(int(rest[1:].strip("{}"), 16))
        case "x":
            return bytes.fromhex(rest[1:])
        case "0" | "1" | "2" | "3":
            return bytes((int(rest, 8),))
        case _:
            return rest.encode()


def _utf8(number: int) -> bytes:
    return chr(number).encode("utf-8", "surrogatepass") if number <= 0x10FFFF else b""
