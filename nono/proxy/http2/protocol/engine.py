"""Turn the octets of one HTTP/2 connection into events, and what is sent into octets (RFC 9113).

What breaks the protocol ends the connection, also where the RFC would let an endpoint end the stream only.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nono.proxy.http.message import MAX_HEAD_BYTES, Header
from nono.proxy.http2.protocol import payloads
from nono.proxy.http2.protocol.compression import Decoder, Encoder
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
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    ErrorCode,
    Frame,
    FrameError,
    FrameReader,
    frame_bytes,
)
from nono.proxy.http2.protocol.payloads import check_size, check_stream, violation
from nono.proxy.http2.protocol.settings import PeerSettings, Setting, settings_payload
from nono.proxy.http2.protocol.streams import MAX_STREAM_ID, Stream, Streams
from nono.proxy.http2.protocol.windows import DEFAULT_WINDOW, MAX_WINDOW, ReceiveWindow


class Engine:
    """The state of one connection.

    client_side: True on the connection to an upstream.
    settings: Announced to the peer, and applied at once; INITIAL_WINDOW_SIZE is one of them.
    window: Bytes that may arrive on all streams together before they are acknowledged.
    """

    def __init__(self, *, client_side: bool, settings: Mapping[Setting, int], window: int) -> None:
        self._client_side = client_side
        self._settings = settings
        self.reader = FrameReader(preface=not client_side)
        self.peer = PeerSettings()
        self._encoder = Encoder()
        self._decoder = Decoder(MAX_HEAD_BYTES)
        self._out = list[bytes]()
        self._streams = Streams(client_side=client_side)
        self._last_served = MAX_STREAM_ID  # as a GOAWAY of ours has said
        self._inbound = ReceiveWindow(window)
        self._outbound = DEFAULT_WINDOW
        self._block: tuple[int, int, bytearray] | None = None  # a header block whose end is awaited
        self._is_greeted = False  # the peer's first SETTINGS have arrived

    # -- what is sent

    @property
    def table_bytes(self) -> int:
        """The limit of the compression table for what is sent."""
        return self._encoder.table_bytes

    @property
    def room(self) -> int:
        """The number of further streams the peer allows us to open."""
        return 0 if self._streams.are_used_up else self.peer.max_streams - len(self._streams.open)

    def is_open(self, stream_id: int) -> bool:
        """Return True if either side may still send on the stream."""
        return stream_id in self._streams.open

    def window(self, stream_id: int) -> int:
        """Return how many bytes of a body may be sent on an open stream; a setting can make it negative."""
        return min(self._outbound, self._streams.open[stream_id].outbound)

    def start(self) -> None:
        """Queue the preface, SETTINGS and the connection's window."""
        if self._client_side:
            self._out.append(PREFACE)
        self._send(SETTINGS, 0, 0, settings_payload(self._settings))
        self._open_window(0, self._inbound.size - DEFAULT_WINDOW)

    def to_send(self) -> bytes:
        """Return and forget what is queued."""
        out, self._out = self._out, []
        return out[0] if len(out) == 1 else b"".join(out)

    def reserve(self) -> int:
        """Return the number of a stream to open, in this order. It may stay unused."""
        return self._streams.reserve()

    @property
    def has_place(self) -> bool:
        """True if the peer allows one more stream to be open."""
        return len(self._streams.open) < self.peer.max_streams

    def open_stream(self, fields: Iterable[Header], *, ended: bool, reserved: int | None = None) -> int:
        """Open a stream, reserved or the next, with a request head; requires a place. Returns its number."""
        stream_id = self._streams.reserve() if reserved is None else reserved
        self._streams.open[stream_id] = self._new_stream(has_head=False)
        self.send_head(stream_id, fields, ended=ended)
        return stream_id

    def send_head(self, stream_id: int, fields: Iterable[Header], *, ended: bool) -> None:
        """Queue a head or trailers on an open stream."""
        stream = self._sending(stream_id)
        block, most = self._encoder.encode(fields), self.peer.max_frame_bytes
        kind, flags = HEADERS, END_STREAM if ended else 0
        while len(block) > most:
            self._send(kind, flags, stream_id, block[:most])
            kind, flags, block = CONTINUATION, 0, block[most:]
        self._send(kind, flags | END_HEADERS, stream_id, block)
        if ended:
            self._streams.sent_all(stream_id, stream)

    def send_data(self, stream_id: int, piece: bytes | memoryview, *, ended: bool) -> None:
        """Queue a piece of a body, no larger than the window and a frame."""
        stream = self._sending(stream_id)
        size = len(piece)
        assert size <= self.peer.max_frame_bytes
        assert not size or size <= min(self._outbound, stream.outbound)
        self._outbound -= size
        stream.outbound -= size
        self._send(DATA, END_STREAM if ended else 0, stream_id, piece)
        if ended:
            self._streams.sent_all(stream_id, stream)

    def reset(self, stream_id: int, code: int) -> None:
        """End a stream at once."""
        self._streams.note_reset(stream_id)
        self._send(RST_STREAM, 0, stream_id, payloads.number(code))

    def acknowledge(self, stream_id: int, count: int) -> None:
        """Give back `count` bytes of the windows: they have been passed on."""
        self._open_window(0, self._inbound.give_back(count))
        stream = self._streams.open.get(stream_id)
        if stream is not None and not stream.heard_all:
            self._open_window(stream_id, stream.inbound.give_back(count))

    def go_away(self, code: int) -> None:
        """Queue a GOAWAY; open streams continue."""
        # Section 6.8: a later one never names a later stream.
        self._last_served = min(self._last_served, self._streams.last_inbound)
        self._send(GOAWAY, 0, 0, payloads.go_away_payload(self._last_served, code))

    def _send(self, kind: int, flags: int, stream_id: int, payload: bytes | memoryview) -> None:
        self._out.append(frame_bytes(kind, flags, stream_id, payload))

    def _open_window(self, stream_id: int, increment: int) -> None:
        if increment:
            self._send(WINDOW_UPDATE, 0, stream_id, payloads.number(increment))

    def _sending(self, stream_id: int) -> Stream:
        stream = self._streams.open[stream_id]
        assert not stream.sent_all
        return stream

    def _new_stream(self, *, has_head: bool) -> Stream:
        inbound = self._settings[Setting.INITIAL_WINDOW_SIZE]
        return Stream(inbound, self.peer.initial_window, has_head=has_head)

    # -- what arrives

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
        piece = payloads.unpadded(flags, payload)
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
        self.peer.update(payload, from_server=self._client_side)
        self._encoder.allow(self.peer.table_bytes)
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
