"""Parse an upstream's bytes into one response after another with llhttp."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import httptools

from nono.proxy.http.message import (
    MAX_HEAD_BYTES,
    MAX_HEADERS,
    BodyKind,
    Header,
    MessageError,
    ResponseHead,
    response_head,
)
from nono.proxy.http.passing import trailers

MAX_INTERIM_RESPONSES = 16


class ResponseReader:
    """Reads a response from begin() until `is_complete`; the owner takes what has arrived.

    Its callbacks only collect, so that nothing is acted on while a batch of bytes is still being parsed.
    """

    def __init__(self) -> None:
        self.heads: list[ResponseHead] = []  # not yet taken: interim ones, and the final one as the last
        self.pieces: list[bytes] = []  # of the body, not yet taken
        self.head: ResponseHead | None = None  # the final one, or the 101
        self.is_complete = True
        self.has_excess = False  # bytes came after the response
        self.after_switch: bytes | None = None  # the bytes after the 101
        self._method = b""
        self._may_switch = False
        self._parser: httptools.HttpResponseParser | None = None
        self._interim = 0
        self._forget_head()

    def _forget_head(self) -> None:
        self._reason = b""
        self._headers: list[Header] = []
        self._trailers: list[Header] = []
        self._unfinished = 0  # bytes read since a head or a piece of a body was last completed
        self._progress = False

    def begin(self, method: bytes, *, may_switch: bool) -> None:
        """Expect a response to a `method` request, which asked for another protocol if `may_switch`."""
        self._method = method
        self._may_switch = may_switch
        self.head = self.after_switch = None
        self.heads, self.pieces = [], []  # what nobody took of the last response
        self.is_complete = self.has_excess = False
        self._interim = 0
        self._forget_head()
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)

    def stop(self) -> None:
        """Drop the parser, which refers back to this object."""
        self._parser = None

    @property
    def may_be_chunked(self) -> bool:
        """True if many small pieces may follow: the body is chunked, or its head is still to come."""
        return self.head is None or self.head.body.kind is BodyKind.CHUNKED

    @property
    def is_ended_by_close(self) -> bool:
        return self.head is not None and self.head.body.kind is BodyKind.UNTIL_CLOSE

    def take_body(self) -> bytes:
        """Return what has arrived of the body since the last call."""
        # Joined: a read of one-byte chunks would be forty thousand pieces, each a step for all later code.
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> tuple[Sequence[Header], bool]:
        """Return the trailer fields of a complete response, and True if another may follow it."""
        head = self.head
        assert head is not None
        if self._method == b"HEAD" or head.body.kind is BodyKind.NONE:
            self._parser = None  # llhttp may still wait for the body that HEAD does not have
        fields: Sequence[Header] = ()
        if self._trailers:
            with suppress(MessageError):
                fields = trailers(self._trailers)
        return fields, head.keep_alive and not self.has_excess

    def feed(self, data: bytes | memoryview) -> None:
        """Parse `data`. Raises MessageError if the response is malformed; what came before stays."""
        assert self._parser is not None
        self._progress = False
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.is_complete:
                cause = error.__context__
                raise cause if isinstance(cause, MessageError) else MessageError(str(error)) from None
            self.has_excess = True
        except httptools.HttpParserUpgrade as upgrade:
            if self.head is None or self.head.status != 101:
                raise MessageError("a switch of protocols without status 101") from None
            self.after_switch = bytes(data[upgrade.args[0] :])
        if self.after_switch is None and self.head is not None and self.head.status == 101:
            raise MessageError("a status 101 that names no protocol")  # llhttp keeps parsing HTTP
        # llhttp keeps an unfinished header or trailer field in memory.
        self._unfinished = 0 if self._progress else self._unfinished + len(data)
        if self._unfinished > MAX_HEAD_BYTES and not self.is_complete:
            raise MessageError(f"the head is larger than {MAX_HEAD_BYTES} bytes")

    # -- llhttp

    def on_message_begin(self) -> None:
        if self.is_complete:
            self.has_excess = True

    def on_status(self, reason: bytes) -> None:
        if not self.is_complete:
            self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.is_complete:
            return
        if self.head is None:
            self._headers.append((name, value))
        else:
            if len(self._trailers) >= MAX_HEADERS:
                raise MessageError(f"more than {MAX_HEADERS} trailer fields")
            self._trailers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.is_complete or self._parser is None:
            return
        head = response_head(
            self._parser.get_status_code(),
            self._reason,
            self._parser.get_http_version(),
            self._headers,
            to_method=self._method,
        )
        if head.status == 101:
            if not self._may_switch:
                raise MessageError("a switch of protocols that was not asked for")
            self.head = head
            self.is_complete = True
            return
        if head.is_interim:
            self._interim += 1
            if self._interim > MAX_INTERIM_RESPONSES:
                raise MessageError("too many interim responses")
            self._forget_head()
        else:
            self.head = head
            self._progress = True
            self.is_complete = head.body.kind is BodyKind.NONE
        self.heads.append(head)

    def on_body(self, piece: bytes) -> None:
        self._progress = True
        if self.is_complete:
            self.has_excess = True
        else:
            self.pieces.append(piece)

    def on_message_complete(self) -> None:
        if self.head is not None:
            self.is_complete = True
