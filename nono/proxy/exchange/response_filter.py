"""A response body on its way to the child: decoded where it has to be, searched for the secret, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Protocol

from nono.credentials.values.credential import LeakDetector, LeakStream
from nono.named_tuple import NamedTuple
from nono.proxy.http.content_coding import Decoder, decoder
from nono.proxy.http.message import Body, BodyKind, Header, MessageError, ResponseHead

# What describes the coded body, and would be wrong for the decoded one.
_OF_THE_CODED_BODY = frozenset((b"content-encoding", b"content-length", b"content-md5", b"digest"))
_CODING = b"content-encoding"
_UNTIL_CLOSE = Body(BodyKind.UNTIL_CLOSE)
_SHOWN_BYTES = 64  # of the name of a header, which is the upstream's to choose


class Tap(Protocol):
    """Reads a body as it passes, and leaves it as it is."""

    def feed(self, piece: bytes) -> object: ...
    def finish(self) -> object: ...


class Filtered(NamedTuple):
    """The head to relay, and what the body goes through; None for a body nobody looks at."""

    head: ResponseHead
    body: BodyFilter | None


def filtered(
    head: ResponseHead,
    watcher: LeakDetector | None,
    taps: Sequence[Tap],
    on_leak: Callable[[str], None],
) -> Filtered:
    """on_leak: told where the secret was found, each time before what held it goes on.

    MessageError: the body is coded in a way in which it cannot be searched.
    """
    if watcher is not None:
        head = clean_head(head, watcher, on_leak)
    if head.body.kind is BodyKind.NONE or (watcher is None and not taps):
        return Filtered(head, None)
    codings = [value for name, value in head.headers if len(name) == 16 and name.lower() == _CODING]
    decode = None
    if codings:
        decode = decoder(b", ".join(codings))
        if decode is None:
            if watcher is not None:
                raise MessageError("a content coding in which the body cannot be searched for the credential")
            return Filtered(head, BodyFilter(None, None, taps, on_leak))
        kept = tuple(field for field in head.headers if field[0].lower() not in _OF_THE_CODED_BODY)
        body = head.body if head.body.kind is BodyKind.CHUNKED else _UNTIL_CLOSE
        head = head._replace(headers=kept, body=body)
    return Filtered(head, BodyFilter(decode, watcher.stream() if watcher else None, taps, on_leak))


def clean_head(head: ResponseHead, watcher: LeakDetector, on_leak: Callable[[str], None]) -> ResponseHead:
    """head without the secret; the very same one when it is clean."""
    # One search for all of it, since nearly every head is clean; one that holds something is made anew.
    if watcher.mask_text(b"\n".join([head.reason, *chain.from_iterable(head.headers)])) is None:
        return head
    headers = masked(head.headers, watcher, on_leak)
    reason = watcher.mask_text(head.reason)
    if reason is not None:
        on_leak("the reason phrase of a response")
        return head._replace(reason=reason, headers=tuple(headers))
    return head if headers is head.headers else head._replace(headers=tuple(headers))


def masked(
    headers: Sequence[Header], watcher: LeakDetector, on_leak: Callable[[str], None]
) -> Sequence[Header]:
    """The fields without the secret; the very same ones when they are clean."""
    if watcher.mask_text(b"\n".join(chain.from_iterable(headers))) is None:
        return headers
    fields = []
    for name, value in headers:
        found = watcher.mask_text(name), watcher.mask_text(value)
        clean_name, clean_value = found[0] or name, found[1] or value
        if any(each is not None for each in found):
            shown = clean_name[:_SHOWN_BYTES].decode("ascii")  # on the person's terminal
            on_leak(f"the response header {shown}")
        fields.append((clean_name, clean_value))
    return fields


class BodyFilter:
    """One body. Its output is taken piece by piece, so that a body that expands waits for its reader."""

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
        """Whether a body may become larger on its way, and is taken piece by piece, with feed."""
        return self._decode is not None

    def pass_on(self, piece: bytes) -> bytes:
        """What of it may go on now, of a body that does not expand."""
        return self._seen(piece if self._leaks is None else self._leaks.feed(piece))

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What of it may go on now; nothing happens before it is taken. ContentCodingError."""
        for each in (piece,) if self._decode is None else self._decode.feed(piece):
            if passed := self.pass_on(each):
                yield passed

    def finish(self) -> bytes:
        """The rest. ContentCodingError: the body was cut off."""
        if self._decode is not None:
            self._decode.finish()
        rest = b"" if self._leaks is None else self._seen(self._leaks.finish())
        for tap in self._taps:
            tap.finish()
        return rest

    def _seen(self, piece: bytes) -> bytes:
        """piece, once everybody who has to has seen it."""
        if self._leaks is not None and self._leaks.found and not self._told:
            self._told = True
            self._on_leak("a response body")
        if piece:
            for tap in self._taps:
                tap.feed(piece)
        return piece
