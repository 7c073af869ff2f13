"""Turn the octets that arrive on one HTTP/2 connection into events (RFC 9113).

What breaks the protocol ends the connection, also where the RFC would let an endpoint end the stream only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nono.proxy.http.message import MAX_HEAD_BYTES
from nono.proxy.http2.protocol import payloads
from nono.proxy.http2.protocol.compression import Decoder
from nono.proxy.http2.protocol.events import (
    DataReceived,
    Event,
    HeadReceived,
    InterimReceived,
    SettingsReceived,
    StreamReset,
    TrailersReceived,
)
from nono.proxy.http2.protocol.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Frame,
    FrameError,
    FrameReader,
)
from nono.proxy.http2.protocol.payloads import check_size, check_stream, violation
from nono.proxy.http2.protocol.sender import Sender
from nono.proxy.http2.protocol.settings import Setting
from nono.proxy.http2.protocol.windows import MAX_WINDOW


class Engine(Sender):
    """The state of one connection: a Sender that also answers what arrives, such as a PING."""

    def __init__(self, *, client_side: bool, settings: Mapping[Setting, int], window: int) -> None:
        super().__init__(client_side=client_side, settings=settings, window=window)
        self.reader = FrameReader(preface=not client_side)
        self._decoder = Decoder(MAX_HEAD_BYTES)
        self._block: tuple[int, int, bytearray] | None = None  # a header block whose end is awaited
        self._is_greeted = False  # the peer's first SETTINGS have arrived

    def receive(self, data: bytes, now: float) -> Iterator[Event]:
        """Yield an event at a time, once it is applied. Raises FrameError: end the connection."""
        for frame in self.reader.feed(data, now):
            event = self._handle(frame)
            if event is not None:
                yield event

    def _handle(self, frame: Frame) -> Event | None:
        kind, flags, stream_id, payload = frame
        if self._block is not None and (kind != CONTINUATION or stream_id != self._block[0]):
            raise violation("a header block is interrupted")
        if not self._is_greeted and (kind != SETTINGS or flags & ACK):
            raise violation("the first frame is not SETTINGS")
        if kind == DATA:
            return self._data(flags, stream_id, payload)
        if kind == HEADERS:
            return self._headers(flags, stream_id, payload)
        if kind == WINDOW_UPDATE:
            return self._window_update(stream_id, payload)
        if kind == RST_STREAM:
            return self._rst_stream(stream_id, payload)
        if kind == CONTINUATION:
            return self._continuation(flags, payload)
        return self._handle_rare(kind, flags, stream_id, payload)

    def _handle_rare(self, kind: int, flags: int, stream_id: int, payload: bytes) -> Event | None:
        if kind == SETTINGS:
            return self._received_settings(flags, stream_id, payload)
        if kind == GOAWAY:
            return payloads.go_away(stream_id, payload)
        if kind == PUSH_PROMISE:
            raise violation("nothing may be pushed")
        if kind == PING:
            self._ping(flags, stream_id, payload)
        elif kind == PRIORITY:
            payloads.check_priority(stream_id, payload)
        return None  # section 5.5: unknown kinds are ignored

    def _data(self, flags: int, stream_id: int, payload: bytes) -> Event | None:
        check_stream(stream_id != 0)
        size = len(payload)
        self._inbound.take(size)
        # If that was the last, the rest may wait for streams that cannot end before more is sent on them.
        self._open_window(0, self._inbound.give_back(0))
        piece = payloads.unpadded(flags, payload)
        if size and not piece and not flags & END_STREAM:
            self.reader.carried_nothing()
        stream = self._streams.open.get(stream_id)
        if stream is None or stream.heard_all:
            self._streams.check_not_idle(stream_id)
            self._open_window(0, self._inbound.give_back(size))
            return self._late(stream_id)
        if not stream.has_head:
            raise violation("a body comes before its head")
        stream.inbound.take(size)
        ended = flags & END_STREAM != 0
        if stream.unseen is not None:
            stream.unseen -= len(piece)
            if stream.unseen < 0 or (ended and stream.unseen):
                raise violation("a body is not as long as announced")
        if ended:
            self._streams.heard_all(stream_id, stream)
        return DataReceived(stream_id, piece, size, ended)

    def _headers(self, flags: int, stream_id: int, payload: bytes) -> Event | None:
        check_stream(stream_id != 0)
        block = payloads.field_block(flags, stream_id, payload)
        if flags & END_HEADERS:
            return self._head(stream_id, block, ended=flags & END_STREAM != 0)
        self._block = stream_id, flags, bytearray(block)
        return None

    def _continuation(self, flags: int, payload: bytes) -> Event | None:
        if self._block is None:
            raise violation("a CONTINUATION continues nothing")
        stream_id, first_flags, block = self._block
        block += payload
        if not flags & END_HEADERS:
            return None
        self._block = None
        return self._head(stream_id, bytes(block), ended=first_flags & END_STREAM != 0)

    def _head(self, stream_id: int, block: bytes, *, ended: bool) -> Event | None:
        fields = self._decoder.decode(block)  # always: it changes the table
        stream = self._streams.open.get(stream_id)
        if stream is None:
            if not self._streams.may_open(stream_id):
                return self._late_head(stream_id)
            stream = self._new_stream(has_head=True)
            stream.unseen = payloads.announced_length(fields)
            self._streams.add_theirs(stream_id, stream)
        elif stream.heard_all:
            return self._late(stream_id)
        elif stream.has_head:
            if not ended:
                raise violation("trailers do not end their stream")
            self._streams.heard_all(stream_id, stream)
            return TrailersReceived(stream_id, fields)
        elif payloads.is_interim(fields):
            if ended:
                raise violation("an interim response ends its stream")
            return InterimReceived(stream_id, fields)
        stream.has_head = True
        if ended:
            self._streams.heard_all(stream_id, stream)
        return HeadReceived(stream_id, fields, ended)

    def _late_head(self, stream_id: int) -> Event | None:
        """Reject a head that opens no stream. Raises FrameError unless it may have crossed a reset."""
        self._streams.check_not_idle(stream_id)
        if not self._streams.was_reset(stream_id):
            raise FrameError("a head on a closed stream", ErrorCode.STREAM_CLOSED)
        self.reader.carried_nothing()
        return self._late(stream_id)

    def _late(self, stream_id: int) -> Event | None:
        """Reject what comes after the end of a stream, and end it if we are still sending."""
        if self.is_open(stream_id):
            self.reset(stream_id, ErrorCode.STREAM_CLOSED)
            return StreamReset(stream_id, ErrorCode.STREAM_CLOSED)
        self._send(RST_STREAM, 0, stream_id, payloads.number(ErrorCode.STREAM_CLOSED))
        return None

    def _rst_stream(self, stream_id: int, payload: bytes) -> Event | None:
        code = payloads.error_code(stream_id, payload)
        if not self.is_open(stream_id):
            self._streams.check_not_idle(stream_id)
            return None
        self._streams.note_reset(stream_id)
        return StreamReset(stream_id, code)

    def _window_update(self, stream_id: int, payload: bytes) -> Event | None:
        increment = payloads.increment(payload)
        if not stream_id:
            self._outbound += increment
            if self._outbound > MAX_WINDOW:
                raise FrameError("the window is too large", ErrorCode.FLOW_CONTROL_ERROR)
            return None
        stream = self._streams.open.get(stream_id)
        if stream is None:
            self._streams.check_not_idle(stream_id)
            return None
        stream.outbound += increment
        if stream.outbound <= MAX_WINDOW:
            return None
        self.reset(stream_id, ErrorCode.FLOW_CONTROL_ERROR)
        return StreamReset(stream_id, ErrorCode.FLOW_CONTROL_ERROR)

    def _received_settings(self, flags: int, stream_id: int, payload: bytes) -> Event | None:
        check_stream(stream_id == 0)
        check_size(not payload if flags & ACK else len(payload) % 6 == 0)
        if flags & ACK:
            return None
        before = self.peer.initial_window
        for table_bytes in self.peer.update(payload, from_server=self._client_side):
            self._encoder.allow(table_bytes)
        grown = self.peer.initial_window - before
        for stream in self._streams.open.values() if grown else ():
            stream.outbound += grown
            if stream.outbound > MAX_WINDOW:
                raise FrameError("a window is too large", ErrorCode.FLOW_CONTROL_ERROR)
        self._send(SETTINGS, ACK, 0, b"")
        self._is_greeted = True
        return SettingsReceived()

    def _ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        check_stream(stream_id == 0)
        check_size(len(payload) == 8)
        if not flags & ACK:
            self._send(PING, ACK, 0, payload)
