"""Filter a response on its way to the child: decode it if needed, search it for the secret, feed taps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Protocol

from nono.credentials.values.credential import LeakDetector, LeakStream
from nono.named_tuple import NamedTuple
from nono.proxy.http.content_coding import Decoder, decoder
from nono.proxy.http.message import Body, BodyKind, Header, MessageError, ResponseHead

# Fields that describe the coded body and would be wrong for the decoded one.
_OF_THE_CODED_BODY = frozenset((b"content-encoding", b"content-length", b"content-md5", b"digest"))
_CODING = b"content-encoding"
_UNTIL_CLOSE = Body(BodyKind.UNTIL_CLOSE)
_SHOWN_BYTES = 64  # of a header name, which the upstream chooses


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
    on_leak: Callable[[str], None],
) -> Filtered:
    """Clean `head` and build the filter for its body.

    head: the head from the upstream.
    watcher: finds the secret; None if there is nothing to find.
    taps: read the body in addition.
    on_leak: called with the place where the secret was found, before the bytes around it are passed on.

    Raises MessageError if the body is in a content coding that cannot be searched.
    """
    if tripwire is not None:
        head = clean_head(head, tripwire, on_leak)
    if head.body.kind is BodyKind.NONE or (tripwire is None and not taps):
        return Filtered(head, None)
    codings = [value for name, value in head.headers if len(name) == 16 and name.lower() == _CODING]
    decode = None
    if codings:
        decode = decoder(b", ".join(codings))
        if decode is None:
            if tripwire is not None:
                raise MessageError("a content coding in which the body cannot be searched for the credential")
            return Filtered(head, BodyFilter(None, None, taps, on_leak))
        kept = tuple(field for field in head.headers if field[0].lower() not in _OF_THE_CODED_BODY)
        body = head.body if head.body.kind is BodyKind.CHUNKED else _UNTIL_CLOSE
        head = head._replace(headers=kept, body=body)
    return Filtered(head, BodyFilter(decode, tripwire.stream() if tripwire else None, taps, on_leak))


def clean_head(head: ResponseHead, tripwire: LeakDetector, on_leak: Callable[[str], None]) -> ResponseHead:
    """Return `head` without the secret; the same object if it is clean."""
    # One search for the whole head, since nearly every head is clean; a head with a match is rebuilt.
    if tripwire.mask_text(b"\n".join([head.reason, *chain.from_iterable(head.headers)])) is None:
        return head
    headers = masked(head.headers, tripwire, on_leak)
    reason = tripwire.mask_text(head.reason)
    if reason is not None:
        on_leak("the reason phrase of a response")
        return head._replace(reason=reason, headers=tuple(headers))
    return head if headers is head.headers else head._replace(headers=tuple(headers))


def masked(
    headers: Sequence[Header], tripwire: LeakDetector, on_leak: Callable[[str], None]
) -> Sequence[Header]:
    """Return the fields without the secret; the same object if they are clean."""
    if tripwire.mask_text(b"\n".join(chain.from_iterable(headers))) is None:
        return headers
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
    """The filter of one body. Output is pulled piece by piece, so an expanding body waits for its reader."""

    def __init__(
        self,
        decode: Decoder | None,
        leaks: LeakStream | None,
        taps: Sequence[Tap],
        on_leak: Callable[[str], None],
    ) -> None:
        self._decode = decode
        self._leaks = leaks
        self._taps = taps
        self._on_leak = on_leak
        self._told = False

    @property
    def expands(self) -> bool:
        """True if the body may grow here; use `feed` to take it piece by piece, otherwise `pass_on`."""
        return self._decode is not None

    def pass_on(self, piece: bytes) -> bytes:
        """Return the part of a body that does not expand which may be passed on now."""
        return self._seen(piece if self._leaks is None else self._leaks.feed(piece))

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the pieces that may be passed on now; lazy. Raises ContentCodingError."""
        for each in (piece,) if self._decode is None else self._decode.feed(piece):
            if passed := self.pass_on(each):
                yield passed

    def finish(self) -> bytes:
        """Return the rest. Raises ContentCodingError if the body was cut off."""
        if self._decode is not None:
            self._decode.finish()
        rest = b"" if self._leaks is None else self._seen(self._leaks.finish())
        for tap in self._taps:
            tap.finish()
        return rest

    def _seen(self, piece: bytes) -> bytes:
        """Report a leak found so far, feed the taps, and return `piece`."""
        if self._leaks is not None and self._leaks.found and not self._told:
            self._told = True
            self._on_leak("a response body")
        if piece:
            for tap in self._taps:
                tap.feed(piece)
        return piece
