"""Run one HTTP/2 connection as client or server, buffering no more than the flow-control windows allow.

`protocol` keeps the states and the windows (RFC 9113 sections 5 and 6.9). This module does the rest: it
queues bodies until the peer's window and the transport allow them, and credits received data.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from nono.proxy.exchange.held import HeldBytes
from nono.proxy.http.message import MAX_HEAD_BYTES, Header
from nono.proxy.http2.owed import Owed
from nono.proxy.http2.protocol.engine import Engine
from nono.proxy.http2.protocol.events import DataReceived, Event, HeadReceived, StreamReset, TrailersReceived
from nono.proxy.http2.protocol.frames import ErrorCode, FrameError
from nono.proxy.http2.protocol.settings import Setting

_CONNECTION_WINDOW = 16 * 1024 * 1024  # at least
_BATCH_BYTES = 64 * 1024  # of bodies, in one write
_SLICE_BYTES = 16 * 1024  # of received data, parsed at a time
_SMALL_BYTES = 2 * 1024  # the same where frames may be tiny
# The same from a client: in 20 bytes a request repeats fields that were sent before, and it takes 0.1 ms.
_REQUESTS_BYTES = 512
_UNREAD_BYTES = 4 * 1024 * 1024  # written but not read: heads, which wait for no window
_SUBSTANTIAL_BYTES = 1024


class Source(Protocol):
    """The sender on a stream."""

    def body_sent(self, credit: int) -> None:
        """Note that a piece queued with that credit has been sent."""
        ...

    def end_sent(self) -> None:
        """Note that everything has been sent; the peer may still be sending."""
        ...


class Opening(Source, Protocol):
    """The sender on a stream that we open."""

    def may_go(self) -> bool:
        """Return True if the head may be sent now, after waiting for the end of the turn."""
        ...

    def not_opened(self) -> None:
        """Note that the peer allows no further stream by now."""
        ...


class _Sending:
    """The outgoing queue of a stream."""

    __slots__ = ("abandoned", "ending", "heard_all", "pieces", "size", "source", "trailers")

    def __init__(self, source: Source | None, *, heard_all: bool) -> None:
        self.source = source
        self.pieces: deque[tuple[memoryview | bytes, int]] = deque()
        self.size = 0  # bytes in pieces
        self.ending = False  # nothing more will be queued
        self.trailers: Sequence[Header] = ()
        self.heard_all = heard_all  # the peer has ended its side
        self.abandoned = False  # anything the peer still sends is dropped


class Session:
    """The frames of one connection. Its owner calls flush() after queueing something to send.

    client_side: True on the connection to an upstream.
    stream_window: bytes that may arrive on one stream before they are acknowledged.
    held: budget for what all connections have received and not passed on; each may always hold one window.
    max_streams: announced to the peer; None for a client, to which no streams are opened.
    """

    def __init__(
        self, *, client_side: bool, stream_window: int, held: HeldBytes, max_streams: int | None = None
    ) -> None:
        settings = {
            Setting.MAX_HEADER_LIST_SIZE: MAX_HEAD_BYTES,
            Setting.INITIAL_WINDOW_SIZE: stream_window,
        }
        if client_side:
            settings[Setting.ENABLE_PUSH] = 0
        if max_streams is not None:
            # The owner refuses a stream too many; the engine does not end the connection over it.
            settings[Setting.MAX_CONCURRENT_STREAMS] = max_streams
        # For all streams together: otherwise waiting streams would use up the window of the one they wait
        # for.
        window = max(_CONNECTION_WINDOW, stream_window * (max_streams or 0))
        self._engine = Engine(client_side=client_side, settings=settings, window=window)
        self._reader = self._engine.reader
        self._small_bytes = _SMALL_BYTES if client_side else _REQUESTS_BYTES
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._unopened: dict[int, tuple[Opening, Iterable[Header], bool]] = {}  # heads that wait for a flush
        self._sending: dict[int, _Sending] = {}
        self._waiting: dict[int, _Sending] = {}  # the subset with something to send
        self._owed = Owed(stream_window, held)
        self._is_scheduled = False
        self._is_broken = False  # the peer broke the protocol; nothing more is sent on its streams
        self.paused = False  # the transport's buffer is full

    def start(self, transport: asyncio.Transport) -> None:
        """Send SETTINGS and open the connection's window."""
        self._transport = transport
        self._engine.start()
        self.flush()

    def stop(self) -> None:
        """Drop all streams: the transport is gone."""
        self._transport = None
        self._owed.close()
        self._sending.clear()
        self._waiting.clear()
        self._unopened.clear()

    # -- streams

    def __len__(self) -> int:
        """Return the number of streams on which either side may still send."""
        return len(self._sending)

    @property
    def in_head(self) -> bool:
        """True while a header block is arriving."""
        return self._reader.in_head

    @property
    def room(self) -> int:
        """The number of further streams the peer allows us to open."""
        return self._engine.room - len(self._unopened)

    @property
    def is_unread(self) -> bool:
        """True if the peer leaves unread more than bodies alone can come to, which wait for it."""
        transport = self._transport
        return transport is not None and transport.get_write_buffer_size() > _UNREAD_BYTES

    @property
    def table_bytes(self) -> int:
        """The limit of the compression table for what is sent."""
        return self._engine.table_bytes

    def open_outbound(self, fields: Iterable[Header], source: Opening, *, end: bool) -> int:
        """Queue a request head, to open a stream with it in the next flush; return the stream's number."""
        stream_id = self._engine.reserve()
        self.accept(stream_id, source, heard_all=False)
        self._unopened[stream_id] = source, fields, end
        self.schedule()
        return stream_id

    def _open_queued(self) -> None:
        while self._unopened:
            stream_id = next(iter(self._unopened))
            source, fields, end = self._unopened[stream_id]
            if self._is_broken or not self._engine.has_place:  # the peer may have lowered its limit
                self._forget(stream_id)
                source.not_opened()
            elif source.may_go():
                self._unopened.pop(stream_id, None)
                self._engine.open_stream(fields, ended=end, reserved=stream_id)
                self._head_sent(stream_id, end=end)
            else:
                self._forget(stream_id)

    def accept(self, stream_id: int, source: Source | None, *, heard_all: bool) -> None:
        """Track a stream. `heard_all` means the peer will send nothing more on it."""
        self._sending[stream_id] = _Sending(source, heard_all=heard_all)

    def tracks(self, stream_id: int) -> bool:
        """Return True if either side may still send, according to the events yielded so far."""
        return stream_id in self._sending

    def heard_all(self, stream_id: int) -> bool:
        """Return True if the peer has ended its side."""
        sending = self._sending.get(stream_id)
        return sending is None or sending.heard_all

    def is_open(self, stream_id: int) -> bool:
        """Return True if anything can be sent on the stream."""
        return self._engine.is_open(stream_id) and self._transport is not None and not self._is_broken

    def head(self, stream_id: int, fields: Iterable[Header], *, end: bool = False) -> None:
        if self.is_open(stream_id):
            self._engine.send_head(stream_id, fields, ended=end)
            self._head_sent(stream_id, end=end)

    def _head_sent(self, stream_id: int, *, end: bool) -> None:
        self._reader.carried()
        if end:
            self._end_sent(stream_id)
        self.schedule()

    def body(self, stream_id: int, piece: bytes, credit: int) -> None:
        """Queue `piece`; the source is told `credit` once it is sent. An empty piece only carries credit."""
        sending = self._sending.get(stream_id)
        if sending is None:
            return
        last, owed = sending.pieces[-1] if sending.pieces else (None, 0)
        if isinstance(last, bytes) and len(last) + len(piece) <= _SUBSTANTIAL_BYTES:
            # Merged, because in a body of one-byte frames each queue entry would be a hundred times as large.
            sending.pieces[-1] = (last + piece, owed + credit)
        else:
            sending.pieces.append((piece, credit))
        sending.size += len(piece)
        self._waiting[stream_id] = sending
        self.schedule()

    def end(self, stream_id: int, trailers: Sequence[Header] = ()) -> None:
        sending = self._sending.get(stream_id)
        if sending is None:
            return
        sending.ending = True
        sending.trailers = trailers
        self._waiting[stream_id] = sending
        self.schedule()

    def abandon(self, stream_id: int) -> None:
        """Reset the stream after our end is sent: the peer's body is unwanted (RFC 9113 section 8.1)."""
        sending = self._sending.get(stream_id)
        if sending is None:
            return
        sending.abandoned = True
        if sending.ending and stream_id not in self._waiting:
            self.reset(stream_id, ErrorCode.NO_ERROR)

    def reset(self, stream_id: int, code: int) -> None:
        """End the stream at once, and credit the connection's window for unread data."""
        if self.is_open(stream_id):
            self._engine.reset(stream_id, code)
        self._forget(stream_id)
        self.schedule()

    def pending(self, stream_id: int) -> int:
        """Return the number of bytes queued."""
        sending = self._sending.get(stream_id)
        return 0 if sending is None else sending.size

    def acknowledge(self, stream_id: int, count: int) -> None:
        """Credit the windows for `count` received bytes that have been passed on."""
        self._credit(stream_id, self._owed.pay(stream_id, count))

    def settle(self, stream_id: int) -> None:
        """Credit the connection's window for data on the stream that nobody will pass on."""
        self._credit(stream_id, self._owed.pay_all(stream_id))

    def _credit(self, stream_id: int, count: int) -> None:
        if count and self._transport is not None:
            self._engine.acknowledge(stream_id, count)
            self.schedule()

    def _forget(self, stream_id: int) -> None:
        self.settle(stream_id)
        self._unopened.pop(stream_id, None)
        self._sending.pop(stream_id, None)
        self._waiting.pop(stream_id, None)

    # -- from the peer

    def next_size(self) -> int:
        """Return how many bytes to pass to receive(): few, unless they are the rest of one frame."""
        return max(self._small_bytes, min(_SLICE_BYTES, self._reader.left))

    def receive(self, data: bytes) -> Iterable[Event]:
        """Yield the events in `data` as it is parsed. Raises FrameError: end the connection.

        A stream that was reset in the meantime is still announced; check is_open.
        """
        try:
            for start in range(0, len(data), _SLICE_BYTES):
                for event in self._engine.receive(data[start : start + _SLICE_BYTES], self._loop.time()):
                    self._note(event)
                    yield event
        except Exception:
            self._is_broken = True
            raise
        if self.is_unread:
            raise FrameError("the peer asks and does not read")

    def _note(self, event: Event) -> None:
        if isinstance(event, DataReceived):
            stream_id, piece, size, ended = event
            if size and self._transport is not None:
                self._owed.add(stream_id, size)
                # Dropped padding counts as passed on.
                padding = size if stream_id not in self._sending else size - len(piece)
                self.acknowledge(stream_id, padding)
            if ended:
                self._all_heard(stream_id)
        elif isinstance(event, TrailersReceived):
            self._all_heard(event.stream_id)
        elif isinstance(event, HeadReceived):
            if event.ended:
                self._all_heard(event.stream_id)
        elif isinstance(event, StreamReset):
            self._forget(event.stream_id)

    def _all_heard(self, stream_id: int) -> None:
        sending = self._sending.get(stream_id)
        if sending is not None:
            sending.heard_all = True
            self._close_if_done(stream_id)

    def stream_reset(self) -> None:
        """Count a stream that ended early. Raises FrameError if there are too many."""
        self._reader.stream_reset()

    # -- to the peer

    def schedule(self) -> None:
        """Flush in the next turn of the loop, so that this turn's frames share one write."""
        if not self._is_scheduled and self._transport is not None:
            self._is_scheduled = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write everything the windows and the transport allow now."""
        self._is_scheduled = False
        if self._unopened and self._transport is not None and not self._transport.is_closing():
            self._open_queued()
        while self._transport is not None and not self._transport.is_closing():
            moved = 0 if self.paused else self._fill()
            written = self._engine.to_send()
            if written:
                self._transport.write(written)
            if not moved:
                return

    def _fill(self) -> int:
        """Make frames round-robin from the streams with something to send; return how many."""
        frames, left = 0, _BATCH_BYTES
        for stream_id in [*self._waiting]:
            sending = self._waiting.get(stream_id)
            if sending is None or left <= 0:
                continue
            made, size = self._send_next(stream_id, sending)
            frames += made
            left -= size
            if made and stream_id in self._waiting:
                self._waiting[stream_id] = self._waiting.pop(stream_id)  # to the end of the line
        return frames

    def _send_next(self, stream_id: int, sending: _Sending) -> tuple[int, int]:
        """Make one frame of the stream, or its end; return the number made (0 or 1) and its bytes."""
        if not self.is_open(stream_id):
            self._waiting.pop(stream_id, None)
            return 0, 0
        size = 0
        if sending.pieces:
            piece, credit = sending.pieces[0]
            window = self._engine.window(stream_id)
            # RFC 9113 section 6.9.2: a setting from the peer can make the window negative.
            size = max(min(len(piece), window, self._engine.peer.max_frame_bytes), 0)
            if not size and piece:
                return 0, 0
            whole = size == len(piece)
            is_last = whole and sending.ending and not sending.trailers and len(sending.pieces) == 1
            if size:
                self._engine.send_data(stream_id, piece if whole else piece[:size], ended=is_last)
                sending.size -= size
            if whole or size >= _SUBSTANTIAL_BYTES:
                self._reader.carried()
            if not whole:
                sending.pieces[0] = (memoryview(piece)[size:], credit)
                return 1, size
            sending.pieces.popleft()
            if sending.source is not None:
                sending.source.body_sent(credit)
            if is_last and size:
                self._end_sent(stream_id)
                return 1, size
        if not sending.pieces:
            self._waiting.pop(stream_id, None)
            if sending.ending and self.is_open(stream_id):
                self._send_end(stream_id, sending)
        return 1, size

    def _send_end(self, stream_id: int, sending: _Sending) -> None:
        if sending.trailers:
            self._engine.send_head(stream_id, sending.trailers, ended=True)
        else:
            self._engine.send_data(stream_id, b"", ended=True)
        self._end_sent(stream_id)

    def _end_sent(self, stream_id: int) -> None:
        sending = self._sending.get(stream_id)
        self._waiting.pop(stream_id, None)
        if sending is None:
            return
        sending.ending = True
        if sending.source is not None:
            sending.source.end_sent()
        if sending.abandoned and not sending.heard_all:
            self.reset(stream_id, ErrorCode.NO_ERROR)
        self._close_if_done(stream_id)

    def _close_if_done(self, stream_id: int) -> None:
        sending = self._sending.get(stream_id)
        done = sending is not None and sending.heard_all and sending.ending and stream_id not in self._waiting
        if done:
            # Received data may still be in transit to its receiver; it is acknowledged on delivery.
            del self._sending[stream_id]

    def say_goodbye(self, code: ErrorCode = ErrorCode.NO_ERROR) -> None:
        """Send GOAWAY: no further stream is accepted, open ones continue."""
        if self._transport is not None:
            self.flush()
            self._engine.go_away(code)
            self._transport.write(self._engine.to_send())
