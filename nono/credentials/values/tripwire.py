"""Finds real secrets in an upstream's answer and masks them before the child reads it: the tripwire."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

from nono.secret import Secret

if TYPE_CHECKING:
    from ahocorasick_rs import BytesAhoCorasick

MASK = b"*"  # one for each octet, so that an announced body length stays true
MIN_WATCHED_CHARACTERS = 8  # shorter text occurs by chance in unrelated bodies
_SCHEMES = frozenset(("basic", "bearer", "token"))
# Quotes, as servers write them in HTML: html.escape() and Django; Go and Jinja; Ruby, Java and lodash; PHP.
_QUOTES_IN_HTML = (("&quot;", "&#x27;"), ("&#34;", "&#39;"), ("&quot;", "&#39;"), ("&quot;", "&#039;"))
# html.escape() itself is in a module that brings all named references along.
_IN_HTML = [
    str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': double, "'": single})
    for double, single in _QUOTES_IN_HTML
]
_FOR_PAGES = str.maketrans({"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"})  # Go and Rails, in JSON
_NOT_IN_DOTNET = re.compile("[^ -~]|[\"&'+<>`]")  # System.Text.Json escapes these, in upper-case digits
_GRAM = 4  # bytes at the end of a piece that rule out nearly every beginning of a secret


def tripwire_for(secrets: Sequence[Secret], *, basic: bool = False) -> Tripwire | None:
    """Build a watcher for secrets; None if each of them is too short to be told from other text.

    `basic`: each secret is the ``user:password`` of RFC 7617, and its password is watched for as well.
    """
    spellings = {spelling for text in _watched(secrets, basic) for spelling in _spellings(text)}
    return Tripwire(sorted(spellings)) if spellings else None


def unwatched_warning(secrets: Sequence[Secret], *, basic: bool = False) -> str | None:
    """Return a warning for the person if one of the secrets cannot be watched for, else None."""
    if all(len(text) >= MIN_WATCHED_CHARACTERS for text in _texts(secrets, basic)):
        return None
    return (
        f"the credential is shorter than {MIN_WATCHED_CHARACTERS} characters:"
        " responses are not searched for it, because they would hold it by chance"
    )


class Tripwire:
    """The spellings of one credential, ready to be searched for.

    Bodies are searched by an Aho-Corasick automaton whose vectorised prefilter costs the same for one
    spelling as for fifty (0.08 s per GiB; one bytes.find for each spelling takes seven times as long).
    """

    __slots__ = ("_beginnings", "_grams", "_octets", "_search", "_spellings")

    def __init__(self, spellings: Sequence[bytes]) -> None:
        """`spellings`: at least one, none of them empty or with a NUL."""
        self._spellings = spellings
        self._search: Callable[[bytes], list[tuple[int, int, int]]] = self._first_search
        self._beginnings = frozenset(spelling[:n] for spelling in spellings for n in range(1, _GRAM))
        self._grams = b"\0".join(spelling[:-1] for spelling in spellings)
        self._octets = frozenset(bytes((octet,)) for spelling in spellings for octet in spelling[:-1])

    def __repr__(self) -> str:
        return "Tripwire(...)"

    def _first_search(self, text: bytes) -> list[tuple[int, int, int]]:
        """Build the automaton on first use: a run whose credential is never used need not wait for it."""
        self._search = _automaton(self._spellings).find_matches_as_indexes
        return self._search(text)

    def stream(self) -> LeakMask:
        return LeakMask(self)

    def mask_text(self, value: bytes) -> bytes | None:
        """Return `value` without the secret; None if it was clean."""
        if not self._search(value):
            return None
        stream = self.stream()
        return stream.feed(value) + stream.finish()

    def occurs_in(self, text: bytes) -> bool:
        """Return True if `text`, a short one such as an environment, holds the secret in any spelling.

        Slower than the automaton and done before it would be built: nobody has to wait for it at a start.
        """
        return any(spelling in text for spelling in self._spellings)

    def matches(self, text: bytes) -> list[tuple[int, int, int]]:
        """Return leftmost-longest matches without overlap, as (index of the spelling, start, end)."""
        return self._search(text)

    def ends_clearly(self, text: bytes) -> bool:
        """Return True if no proper beginning of a spelling ends with the last octet of `text`."""
        return text[-1:] not in self._octets

    def unfinished(self, text: bytes, start: int) -> int:
        """Return the length of the longest end of text[start:] that is a proper beginning of a spelling."""
        gram = text[max(start, len(text) - _GRAM) :]
        longest = next((n for n in (3, 2, 1) if len(gram) >= n and gram[-n:] in self._beginnings), 0)
        if len(gram) < _GRAM or gram not in self._grams:
            return longest
        for spelling in self._spellings:
            end = len(spelling) - 1  # the whole of it would be a match
            while (end := spelling.rfind(gram, 0, end) + _GRAM) > max(longest, _GRAM - 1):
                if text.endswith(spelling[:end], start):
                    longest = end
                    break
                end -= 1
        return longest


class LeakMask:
    """Searches one body as it passes. Holds back only an end that may begin a spelling."""

    __slots__ = ("_held", "_watcher", "found")

    def __init__(self, tripwire: Tripwire) -> None:
        self._watcher = tripwire
        self._held = b""
        self.found = False

    def feed(self, piece: bytes) -> bytes:
        """Return the bytes that may go on: each spelling masked, and no end that could become one."""
        text = self._held + piece if self._held else piece
        tripwire = self._watcher
        if tripwire.ends_clearly(text) and not tripwire.matches(text):  # true of nearly every piece
            self._held = b""
            return text
        return self._pass(text, tripwire.unfinished)

    def finish(self) -> bytes:
        """Return the rest."""
        return self._pass(self._held, lambda text, start: 0) if self._held else b""

    def _pass(self, text: bytes, unfinished: Callable[[bytes, int], int]) -> bytes:
        """Return `text` masked, without its unfinished end, which is held.

        A match that begins before that end is final: if a longer one were possible there, the text from its
        start on would itself be unfinished.
        """
        clear = len(text) - unfinished(text, 0)
        passed, done = list[bytes](), 0
        for _, start, end in self._watcher.matches(text):
            if start >= clear:
                break
            passed += [text[done:start], MASK * (end - start)]
            done, self.found = end, True
            if end > clear:
                clear = len(text) - unfinished(text, end)
        self._held = text[clear:]
        if not passed:
            return text if clear == len(text) else text[:clear]
        return b"".join([*passed, text[done:clear]])


def _automaton(spellings: Sequence[bytes]) -> BytesAhoCorasick:
    # Imported here: a run without a credential has nothing to search for.
    from ahocorasick_rs import BytesAhoCorasick, MatchKind

    # Leftmost, because only such automata have the prefilter; longest, so that if one secret begins with
    # another, nothing of the longer one is left over.
    return BytesAhoCorasick(spellings, matchkind=MatchKind.LeftmostLongest)


def _texts(secrets: Sequence[Secret], basic: bool) -> Iterator[str]:
    for secret in secrets:
        text = secret.reveal()
        yield text
        if basic:
            yield text.partition(":")[2]
        # A whole field value, as a credential helper prints it: upstreams quote what follows the scheme.
        scheme, _, parameter = text.partition(" ")
        if scheme.lower() in _SCHEMES:
            yield parameter
        if scheme.lower() == "basic" and (pair := _decoded(parameter)):
            yield from (pair, pair.partition(":")[2])


def _decoded(parameter: str) -> str | None:
    try:
        return b64decode(parameter, validate=True).decode()
    except ValueError:
        return None


def _watched(secrets: Sequence[Secret], basic: bool) -> Iterator[str]:
    return (text for text in _texts(secrets, basic) if len(text) >= MIN_WATCHED_CHARACTERS)


def _spellings(text: str) -> Iterator[bytes]:
    """Yield `text` as upstreams echo it: verbatim, quoted for JSON, HTML and URLs, in base64 and in hex."""
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text).replace("/", "\\/")[1:-1].encode()
    yield _as_in_dotnet(text).encode()
    in_json = json.dumps(text, ensure_ascii=False)[1:-1]
    for written in {text, in_json, in_json.translate(_FOR_PAGES), *map(text.translate, _IN_HTML)}:
        yield from _encodings(written)
    for raw in _encodings(text):
        yield from _percent(raw)
        yield from _base64(raw)
        yield from (raw.hex().encode(), raw.hex().upper().encode())


def _as_in_dotnet(text: str) -> str:
    """Escape text as .NET does: in UTF-16 code units, like every JSON escape by number."""

    def escaped(found: re.Match[str]) -> str:
        units = found[0].encode("utf-16-be", "surrogatepass").hex().upper()
        return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))

    return _NOT_IN_DOTNET.sub(escaped, text.replace("\\", "\\\\"))


def _encodings(text: str) -> set[bytes]:
    """Encode in UTF-8, and in Latin-1 if possible, as a header carries it."""
    encoded = {text.encode("utf-8", "surrogatepass")}
    if all(ord(character) < 256 for character in text):
        encoded.add(text.encode("latin-1"))
    return encoded


def _percent(raw: bytes) -> Iterator[bytes]:
    """Yield percent-encodings (RFC 3986 section 2.1) of reserved octets, slash or not, and of every octet.

    A blank is also written as +.
    """
    every = "".join(f"%{octet:02X}" for octet in raw)
    for escaped in (quote_from_bytes(raw, safe=""), quote_from_bytes(raw), every):
        lowered = _lower_escapes(escaped)
        yield from (escaped.encode(), lowered.encode())
        yield from (escaped.replace("%20", "+").encode(), lowered.replace("%20", "+").encode())


def _lower_escapes(escaped: str) -> str:
    first, *others = escaped.split("%")
    return "%".join([first, *(other[:2].lower() + other[2:] for other in others)])


def _base64(raw: bytes) -> Iterator[bytes]:
    """Yield base64 (RFC 4648 sections 4 and 5) at each of the three offsets within a larger text.

    The result is cut to the characters that depend on `raw` alone.
    """
    for before in range(3):
        first, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        for encode in (b64encode, urlsafe_b64encode):
            yield encode(b"\0" * before + raw)[first:end]
