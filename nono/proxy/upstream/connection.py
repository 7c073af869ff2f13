"""Stream the responses of an HTTP/1.1 connection to an upstream, one at a time, each to its sink."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Literal, Protocol, cast

from nono.named_tuple import NamedTuple
from nono.policy.schema.route_rules import TlsIdentity
from nono.proxy.http.message import Header, MessageError, ResponseHead
from nono.proxy.http.response_reader import ResponseReader
from nono.proxy.http.upstream_proxy import ProxyAddress
from nono.proxy.transport.connection_set import Peer, peer_of
from nono.proxy.transport.outbox import HELD_BYTES, Outbox
from nono.proxy.transport.replaceable import Replaceable
from nono.proxy.transport.turns import Turns
from nono.proxy.verdict.routes import Identity

if TYPE_CHECKING:
    from nono.audit.event import Failure

_PARSED_BYTES = 64 * 1024  # of a body in chunks at a time: a read of 256 KB can hold 43 000 of one byte
_DENSE_PIECES = 1024  # in that many bytes; parsing them takes longer than anything else in a read
_SMALL_BYTES = 16 * 1024  # a read that is always parsed at once

# The requests that may be sent again without taking effect twice (RFC 9110 section 9.2.2).
Replay = Literal["none", "idempotent", "any"]


class PoolKey(NamedTuple):
    """The key of a shared connection; requests share one only if all fields are equal."""

    scheme: str
    host: str
    port: int
    tls: TlsIdentity
    via: ProxyAddress | None = None  # the upstream proxy it goes through
    # Bytes that an upstream left unread precede the next request, so only requests of one identity share a
    # connection.
    identity: Identity = None


class ResponseSink(Protocol):
    """The receiver of a response. Calls come in this order, response_flush after each batch."""

    def may_go(self) -> bool:
        """Return True if a request that has waited for the end of a turn may still be sent.

        Otherwise the sink has let the connection go. What it writes meanwhile is sent with the head.
        """
        ...

    def response_interim(self, head: ResponseHead) -> None: ...
    def response_started(self, head: ResponseHead) -> None: ...
    def response_body(self, piece: bytes) -> None: ...
    def response_flush(self) -> None: ...
    def response_finished(self, fields: Sequence[Header], *, reusable: bool) -> None: ...
    def response_switched(self, head: ResponseHead) -> None:
        """Handle a 101 to a request that asked for it; the sink takes over the connection."""
        ...

    def upstream_failed(self, reason: str, failure: Failure) -> None: ...
    def upstream_writable(self, writable: bool) -> None: ...


class Keeper(Protocol):
    """The observer of a connection's lifetime; in practice the pool."""

    def opened(self, connection: UpstreamConnection) -> None: ...
    def lost(self, connection: UpstreamConnection) -> None: ...
    def give(self, connection: UpstreamConnection) -> None: ...


class UpstreamConnection(Replaceable):
    """One connection to an upstream; serves one sink at a time, from begin() to the end of the response.

    turns: share the loop among connections whose reads take long to parse.
    outbox: holds small writes until the end of a turn of the loop; None: each is sent at once.
    """

    def __init__(self, key: PoolKey, keeper: Keeper, turns: Turns, outbox: Outbox | None = None) -> None:
        self.key = key
        self.idle_since = 0.0  # 0: it was never in the pool
        self.heard = False  # a byte of the current response has arrived
        self._keeper = keeper
        self._turns = turns
        self._outbox = outbox
        self._held = b""  # written, and held until the end of the turn
        self.waits = False  # the current request must not be sent before the end of the turn
        self.has_begun = False  # a byte of the current request was sent
        self._transport: asyncio.Transport | None = None
        self._waiting: select.poll | None = None  # on its socket, made on first use
        self._sink: ResponseSink | None = None
        self._reader = ResponseReader()
        self._ended = False
        self._sink_pauses = False
        self._reading_paused = False
        self._unparsed = b""  # the rest of a read of tiny chunks; reading is paused while there is one
        self._parsed = 0  # bytes at its start that were parsed
        self._lost: tuple[Exception | None] | None = None  # how the connection ended before that was parsed

    # -- what the exchange calls

    @property
    def is_open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def is_silent(self) -> bool:
        """True if the kernel holds no unread input: no surplus bytes and no end of the connection.

        Without this check, a request read in the same turn of the loop would be sent first, and the waiting
        bytes would be taken for its response.
        """
        if self._transport is None:
            return False
        if self._waiting is None:
            self._waiting = select.poll()
            self._waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLIN)
        return not self._waiting.poll(0)

    def begin(self, sink: ResponseSink, method: bytes, *, may_switch: bool = False) -> None:
        """Expect a response to a `method` request, to be passed to `sink`.

        `may_switch` means that the request asked for another protocol, so 101 is a valid answer.
        """
        self._sink = sink
        self.heard = self.has_begun = False
        self.waits = self._outbox is not None and self._outbox.holds(self)
        self._reader.begin(method, may_switch=may_switch)

    def write(self, pieces: list[bytes]) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if self._held or self.waits:
            self._held += piece
            if len(self._held) > HELD_BYTES:
                self.send_held()
        elif not self.has_begun or self._outbox is None or len(piece) > HELD_BYTES:
            self.has_begun = True
            self._transport.write(piece)
        elif self._outbox.holds(self):
            self._held = piece
        else:
            self._transport.write(piece)

    def send_held(self) -> None:
        if not self._held or self._transport is None or self._transport.is_closing():
            return
        self.waits = False
        if not self.has_begun and not self._begins():
            return
        held, self._held = self._held, b""
        if held:
            self._transport.write(held)

    def _begins(self) -> bool:
        """Return True if the held request may be sent now; its sink adds what it has of the body."""
        if self._was_kept and not self.is_silent:
            self._fail_unasked()
            return False
        self.has_begun = True
        if self._sink is None or not self._sink.may_go():
            self._held = b""
            return False
        return True

    @property
    def _was_kept(self) -> bool:
        """True if it came from the pool. A new one may have session tickets to read (RFC 8446 4.6.1)."""
        return self.idle_since > 0

    def _fail_unasked(self) -> None:
        """Fail a request of which no byte was sent: what arrives before it is no response to it."""
        self._fail("the upstream closed the connection, or sent bytes unasked", "closed")

    def _fail(self, reason: str, failure: Failure) -> None:
        sink = self._sink
        self.abort()
        if sink is not None:
            sink.upstream_failed(reason, failure)

    def pause_reading(self, paused: bool) -> None:
        self._sink_pauses = paused
        self._update_reading()

    def _update_reading(self) -> None:
        paused = self._sink_pauses or bool(self._unparsed)
        if self._transport is None or paused == self._reading_paused or self._transport.is_closing():
            return
        self._reading_paused = paused
        if paused:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def release(self, *, reusable: bool) -> None:
        """End the exchange; the connection returns to the pool or is cut."""
        self._sink = None
        transport = self._transport
        # Request bytes the upstream did not read would precede the next request.
        is_drained = transport is not None and not self._held and not transport.get_write_buffer_size()
        if reusable and is_drained and self.is_open and not self._reader.has_excess:
            self.pause_reading(False)
            self._keeper.give(self)
        else:
            self.abort()

    def hand_over(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Replace this object with `successor`; return the paused transport and the bytes after the 101."""
        transport, after = self._transport, self._reader.after_switch
        assert transport is not None
        assert after is not None
        self.send_held()
        self.pause_reading(True)
        successor.connection_made(transport)
        self._keeper.lost(self)
        self._reader.stop()
        self._sink = self._transport = None
        self.replace(successor, transport)
        return transport, after

    @property
    def peer(self) -> Peer | None:
        return peer_of(self._transport)

    def cut(self, reason: str) -> None:
        self._fail(reason, "blocked")

    def abort(self) -> None:
        self._sink = None
        self._unparsed = b""
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._keeper.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._keeper.lost(self)
        self._transport = None
        self._held = b""
        if self._unparsed:
            self._lost = (exc,)  # the rest may complete the response
        else:
            self._end_unless_complete(exc)

    def _end_unless_complete(self, exc: Exception | None) -> None:
        self._reader.stop()
        sink, self._sink = self._sink, None
        if sink is None or self._reader.is_complete:
            return
        if self._reader.is_ended_by_close and self._ended:
            self._reader.is_complete = True
            sink.response_flush()
            sink.response_finished((), reusable=False)
        else:
            reason = "the upstream closed the connection before its response was complete"
            sink.upstream_failed(reason, "closed" if exc is None else "reset")

    def eof_received(self) -> None:
        # Over TLS this is close_notify: for a truncated connection uvloop does not call it.
        self._ended = True

    def pause_writing(self) -> None:
        if self._sink is not None:
            self._sink.upstream_writable(False)

    def resume_writing(self) -> None:
        if self._sink is not None:
            self._sink.upstream_writable(True)

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None or self._reader.is_complete:
            # Unsolicited bytes must not become the response to the next request.
            self._reader.has_excess = True
            self.abort()
            return
        if self._held and not self.has_begun:
            self._fail_unasked()
            return
        self.heard = True
        if self._unparsed:  # read before the pause took effect
            self._unparsed = self._unparsed[self._parsed :] + data
            self._parsed = 0
        elif len(data) <= _SMALL_BYTES:
            if self._feed(sink, data):
                self._pass_body(sink)
                self._batch_over(sink)
        elif self._reader.may_be_chunked and self._turns.is_spent():
            self._wait_with(data, 0)
            self._turns.add(self._parse_more)
        elif self._parse(sink, data) and self._turns.start(self._parse_more):
            self._turns.add(self._parse_more)

    def _wait_with(self, data: bytes, parsed: int) -> None:
        self._unparsed, self._parsed = data, parsed
        self._update_reading()

    def _parse(self, sink: ResponseSink, data: bytes, at: int = 0) -> bool:
        """Parse `data` from `at` on, up to a piece full of tiny chunks. Returns True if a rest waits."""
        reader = self._reader
        while not reader.is_complete and self._sink is sink and at < len(data):
            end = at + _PARSED_BYTES if reader.may_be_chunked else len(data)
            before = len(reader.pieces)
            piece = data if at == 0 and end >= len(data) else memoryview(data)[at:end]
            at = min(end, len(data))
            if not self._feed(sink, piece):
                return False
            if reader.after_switch is not None:
                reader.after_switch += data[at:]
                break
            is_dense = len(reader.pieces) - before > _DENSE_PIECES
            if is_dense and self._sink is sink and at < len(data):
                self._wait_with(data, at)
                self._pass_body(sink)
                sink.response_flush()
                return bool(self._unparsed)
        reader.has_excess = reader.has_excess or (reader.after_switch is None and at < len(data))
        self._unparsed = b""
        self._pass_body(sink)
        self._batch_over(sink)
        return False

    def _parse_more(self, until: float) -> bool:
        """Parse more of what was read, until the time `until`. Returns True if there is still more."""
        try:
            while self._unparsed and self._sink is not None:
                if self._parse(self._sink, self._unparsed, self._parsed) and perf_counter() >= until:
                    return True
        except Exception:  # in a later turn, nothing else would end the connection
            self._unparsed = b""
            if self._transport is not None:
                self._transport.abort()
            raise
        finally:
            if not self._unparsed and self._lost is not None:
                (exc,), self._lost = self._lost, None
                self._end_unless_complete(exc)
        self._update_reading()
        return False

    def _feed(self, sink: ResponseSink, data: bytes | memoryview) -> bool:
        """Parse `data` and pass the heads in it; pieces of the body stay in the reader.

        Returns False if the response is malformed; the sink has then been told.
        """
        reader, fault = self._reader, None
        try:
            reader.feed(data)
        except MessageError as error:
            fault = error
        if reader.heads:
            heads, reader.heads = reader.heads, []
            try:
                self._pass_heads(sink, heads)
            except MessageError as error:
                reader.pieces, fault = [], error
        if fault is None:
            return True
        self._pass_body(sink)
        self._fail(fault.of_response, "malformed")
        return False

    def _pass_heads(self, sink: ResponseSink, heads: Sequence[ResponseHead]) -> None:
        for head in heads:
            if self._sink is not sink:
                return
            if head.is_interim:
                sink.response_interim(head)
            else:
                sink.response_started(head)

    def _pass_body(self, sink: ResponseSink) -> None:
        if self._reader.pieces and self._sink is sink:
            sink.response_body(self._reader.take_body())

    def _batch_over(self, sink: ResponseSink) -> None:
        reader = self._reader
        if reader.after_switch is not None and reader.head is not None:
            if self._transport is not None:
                sink.response_switched(reader.head)
            else:  # lost while the read waited for its turn: nothing can be handed over
                self._fail("the upstream closed the connection as it switched", "closed")
            return
        sink.response_flush()
        # Deferred to here: the sink may start its next request on this connection, and must not do so while
        # bytes of this batch, perhaps a forged second response, are still being parsed.
        if reader.is_complete and self._sink is sink:
            self._sink = None
            fields, reusable = reader.finish()
            sink.response_finished(fields, reusable=reusable)
