"""Turn what one end of an HTTP/2 connection sends into octets (RFC 9113)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nono.proxy.http.message import Header
from nono.proxy.http2.protocol import payloads
from nono.proxy.http2.protocol.compression import Encoder
from nono.proxy.http2.protocol.frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame_bytes,
)
from nono.proxy.http2.protocol.settings import PeerSettings, Setting, settings_payload
from nono.proxy.http2.protocol.streams import MAX_STREAM_ID, Stream, Streams
from nono.proxy.http2.protocol.windows import DEFAULT_WINDOW, ReceiveWindow


class Sender:
    """The streams of one connection, and the frames queued for the peer.

    client_side: True on the connection to an upstream.
    settings: Announced to the peer, and applied at once; INITIAL_WINDOW_SIZE is one of them.
    window: Bytes that may arrive on all streams together before they are acknowledged.
    """

    def __init__(self, *, client_side: bool, settings: Mapping[Setting, int], window: int) -> None:
        self._client_side = client_side
        self._settings = settings
        self.peer = PeerSettings()
        self._encoder = Encoder()
        self._out = list[bytes]()
        self._streams = Streams(client_side=client_side)
        self._last_served = MAX_STREAM_ID  # as a GOAWAY of ours has said
        self._inbound = ReceiveWindow(window)
        self._outbound = DEFAULT_WINDOW

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
