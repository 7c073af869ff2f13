"""Filter a response on its way to the command: decode it if needed, search it for the secret, feed taps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from nono.credentials.values.credential import LeakDetector
from nono.credentials.values.escapes import Span, is_dense
from nono.named_tuple import NamedTuple
from nono.proxy.exchange.filter.body_search import BodySearch, OnLeak
from nono.proxy.exchange.filter.message_ends import message_ends
from nono.proxy.http.charset import unsearchable_charset
from nono.proxy.http.content_coding import Budget, Decoder, decoder
from nono.proxy.http.message import Body, BodyKind, Header, ResponseHead, WithheldError

# Fields that describe the coded body and would be wrong for the decoded one.
_OF_THE_CODED_BODY = frozenset((b"content-encoding", b"content-length", b"content-md5", b"digest"))
_CODING = b"content-encoding"
_OF_MESSAGES = frozenset((b"grpc-encoding", b"connect-content-encoding"))  # of each message in the body
_PLAIN = frozenset((b"", b"identity"))
_UNTIL_CLOSE = Body(BodyKind.UNTIL_CLOSE)
_KIND = b"content-type"
_STEP_BYTES = 2 * 1024  # read by the taps before the loop gets a turn; they take up to 1 µs per byte
_SHOWN_BYTES = 64  # shown of a header name, which the upstream chooses
_SEARCHED_BYTES = 64 * 1024  # at a time
_UNDONE_BYTES = 8 * 1024  # at a time, if it may be full of escapes: locating a secret in them takes 5 ms


class Tap(Protocol):
    """Reads a body as it passes, without changing it."""

    def feed(self, piece: bytes) -> object: ...
    def finish(self) -> object: ...


class Filtered(NamedTuple):
    """The head to relay and the filter for its body; None if the body passes unchanged."""

    head: ResponseHead
    body: BodyFilter | None


def filtered(
    head: ResponseHead,
    tripwire: LeakDetector | None,
    taps: Sequence[Tap],
    on_leak: OnLeak,
    on_near: Callable[[], object],
    budget: Budget,
) -> Filtered:
    """Clean `head` and build the filter for its body.

    head: the head from the upstream.
    tripwire: finds the secret; None if there is nothing to find.
    taps: also read the body.
    on_leak: called with the place where the secret was found, before the bytes around it are passed on.
    on_near: called if the body holds a long beginning of the secret that goes on differently.
    budget: where the memory to decode the body is taken from, until the filter is closed.

    Raises WithheldError if the body cannot be searched, or the head must not be relayed.
    """
    if tripwire is not None:
        head = clean_head(head, tripwire, on_leak)
    if head.body.kind is BodyKind.NONE or (tripwire is None and not taps):
        return Filtered(head, None)
    codings = [value for name, value in head.headers if len(name) == 16 and name.lower() == _CODING]
    search = None
    if tripwire is not None:
        search = _search(head, tripwire, on_leak, on_near, is_coded=bool(codings))
    decode = None
    if codings:
        decode = decoder(b", ".join(codings), budget)
        if decode is None:
            if tripwire is not None:
                raise WithheldError(
                    "it has a content coding in which the body cannot be searched for the credential"
                )
            return Filtered(head, BodyFilter(None, None, taps))
        kept = tuple(field for field in head.headers if field[0].lower() not in _OF_THE_CODED_BODY)
        body = head.body if head.body.kind is BodyKind.CHUNKED else _UNTIL_CLOSE
        head = head._replace(headers=kept, body=body)
    return Filtered(head, BodyFilter(decode, search, taps))


def _search(
    head: ResponseHead,
    tripwire: LeakDetector,
    on_leak: OnLeak,
    on_near: Callable[[], object],
    *,
    is_coded: bool,
) -> BodySearch:
    """Build the search of a body. Raises WithheldError if the body cannot be searched."""
    kinds = [value for name, value in head.headers if len(name) == 12 and name.lower() == _KIND]
    if kinds and (charset := unsearchable_charset(kinds)) is not None:
        raise WithheldError(
            f"it has the charset {charset}, in which the body cannot be searched for the credential"
        )
    if any(
        len(name) in (13, 24) and name.lower() in _OF_MESSAGES and value.strip().lower() not in _PLAIN
        for name, value in head.headers
    ):
        raise WithheldError("it has compressed messages, which cannot be searched for the credential")
    # The place where a list is cut would tell which member is the secret, so the body is withheld. One
    # without a length is not: it may be a stream.
    withholds = tripwire.guessable and head.body.kind is BodyKind.LENGTH
    ends = message_ends(kinds[0]) if kinds else None
    whole_bytes = head.body.length if ends is None and not is_coded else 0
    return BodySearch(tripwire, ends, on_leak, on_near, whole_bytes, withholds=withholds)


def clean_head(head: ResponseHead, tripwire: LeakDetector, on_leak: OnLeak) -> ResponseHead:
    """Return `head` without the secret; the same object if it is clean.

    Raises WithheldError if a mask would reveal which of many candidates is the secret.
    """
    # One search for the whole head, since nearly every head is clean; a head with a match is rebuilt.
    if tripwire.mask_text(b"\n".join([head.reason, *map(b"\n".join, head.headers)])) is None:
        return head
    if tripwire.guessable:
        on_leak("the head of a response")
        raise WithheldError("the credential is in its head")
    headers = masked(head.headers, tripwire, on_leak)
    reason = tripwire.mask_text(head.reason)
    if reason is not None:
        on_leak("the reason phrase of a response")
        return head._replace(reason=reason, headers=tuple(headers))
    return head if headers is head.headers else head._replace(headers=tuple(headers))


def masked(headers: Sequence[Header], tripwire: LeakDetector, on_leak: OnLeak) -> Sequence[Header]:
    """Return the fields without the secret; the same object if they are clean."""
    if tripwire.mask_text(b"\n".join(map(b"\n".join, headers))) is None:
        return headers
    if tripwire.guessable:
        on_leak("the fields of a response")
        return ()
    fields = []
    for name, value in headers:
        found = tripwire.mask_text(name), tripwire.mask_text(value)
        clean_name, clean_value = found[0] or name, found[1] or value
        if any(each is not None for each in found):
            shown = clean_name[:_SHOWN_BYTES].decode("ascii")  # goes to the person's terminal
            on_leak(f"the response header {shown}")
        fields.append((clean_name, clean_value))
    return fields


class BodyFilter:
    """The filter of one body. Output is pulled step by step, so a body waits for its reader and its turn.

    is_slow: decoding may expand the body, or taps parse it: use `feed`, step by step, and not `pass_on`.
    """

    __slots__ = ("_decode", "_search", "_taps", "is_slow")

    def __init__(self, decode: Decoder | None, search: BodySearch | None, taps: Sequence[Tap]) -> None:
        self._decode = decode
        self._search = search
        self._taps = taps
        self.is_slow = decode is not None or bool(taps)

    def long_runs(self, piece: bytes) -> Sequence[Span] | None:
        """Return the parts of `piece` that are searched; None if that does not take long."""
        if self._search is None or len(piece) <= _UNDONE_BYTES:
            return None
        return self._search.long_runs(piece)

    def takes_long(self, piece: bytes, runs: Sequence[Span] | None) -> bool:
        """Return True if `piece`, of which `runs` are searched, must be processed step by step as well."""
        return runs is not None and is_dense(piece, runs)

    def pass_on(self, piece: bytes, runs: Sequence[Span] | None = None) -> bytes:
        """Return the part of a body that may be passed on now, if it is not slow. Raises LeakError."""
        return piece if self._search is None else self._search.feed(piece, runs)

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the pieces that may be passed on now, one after each step of the work; some are empty.

        Lazy. Raises ContentCodingError or LeakError.
        """
        for step in (piece,) if self._decode is None else self._decode.feed(piece):
            runs = self.long_runs(step)
            size = _UNDONE_BYTES if runs is not None and is_dense(step, runs) else _SEARCHED_BYTES
            for at in range(0, len(step), size):
                passed = self.pass_on(step[at : at + size], runs if len(step) <= size else None)
                yield from self._tapped(passed)
                yield passed

    def _tapped(self, passed: bytes) -> Iterator[bytes]:
        """Feed the taps step by step. Yields an empty piece between two steps."""
        if not self._taps:
            return
        for start in range(0, len(passed), _STEP_BYTES):
            for tap in self._taps:
                tap.feed(passed[start : start + _STEP_BYTES])
            if start + _STEP_BYTES < len(passed):
                yield b""

    def rest(self) -> bytes:
        """Return the rest of a body that is not slow. Raises LeakError."""
        return b"" if self._search is None else self._search.finish()

    def finish(self) -> Iterator[bytes]:
        """Yield the rest, as `feed` does. Raises ContentCodingError also if the body was cut off."""
        if self._decode is not None:
            self._decode.finish()
        rest = self.rest()
        yield from self._tapped(rest)
        for tap in self._taps:
            tap.finish()
        yield rest

    def close(self) -> None:
        """Give back the memory that decoding takes: nothing more is fed."""
        if self._decode is not None:
            self._decode.close()
