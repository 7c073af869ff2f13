"""Carry requests to an upstream as the streams of one HTTP/2 connection."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, cast

import anyio

from nono.clock import boot_s
from nono.proxy.exchange.held import HeldBytes
from nono.proxy.http.message import Header
from nono.proxy.http2.intake import Intake
from nono.proxy.http2.protocol.events import Event, GoAway, SettingsReceived
from nono.proxy.http2.protocol.frames import ErrorCode, FrameError
from nono.proxy.http2.session import Session
from nono.proxy.http2.upstream_stream import Receiver, UpstreamStream
from nono.proxy.transport.connection_set import ConnectionSet, Peer, peer_of
from nono.proxy.transport.turns import Turns
from nono.proxy.upstream.connection import Replay

if TYPE_CHECKING:
    from nono.audit.event import Failure

_STREAM_WINDOW = 1024 * 1024  # bytes a distant upstream may send before we acknowledge
_CLOSED = "the upstream closed the connection before its response was complete"


class Http2Upstream(asyncio.Protocol):
    """One connection to an upstream, with as many concurrent streams as the upstream allows.

    connections: holds it from connection_made until connection_lost.
    turns: shares the loop with other connections, for the bytes that arrive.
    held: budget shared with them, for those that arrived and were not passed on.
    on_lost: called when it has left `connections`.
    on_idle: called when its last open stream is over.
    """

    def __init__(
        self,
        connections: ConnectionSet,
        turns: Turns,
        held: HeldBytes,
        on_lost: Callable[[], None],
        on_idle: Callable[[], None],
    ) -> None:
        self._connections = connections
        self._on_lost = on_lost
        self._on_idle = on_idle
        self._session = Session(client_side=True, stream_window=_STREAM_WINDOW, held=held)
        self._intake = Intake(turns, self._take, self._session.next_size)
        self._transport: asyncio.Transport | None = None
        self._waiting: select.poll | None = None  # on its socket, made on first use
        self._streams: dict[int, UpstreamStream] = {}
        self._settled = anyio.Event()
        self.idle_since = boot_s()  # when its last stream was over; has a meaning while it is_idle
        self._served = False  # it has answered before, so a close may be an idle timeout
        self._leaving = False  # open no further stream
        self._has_said_goodbye = False  # nothing that arrives counts any more
        self._was_reset = False
        self._loop = asyncio.get_running_loop()

    @property
    def has_room(self) -> bool:
        return not self.is_leaving and self._session.room > 0 and not self._has_ended

    @property
    def is_idle(self) -> bool:
        """True if it is open and no stream uses it."""
        return self._settled.is_set() and not self._streams and not self.is_leaving

    @property
    def is_leaving(self) -> bool:
        return self._leaving or self._transport is None or self._transport.is_closing()

    @property
    def _has_ended(self) -> bool:
        """True if the upstream has closed the connection, even if the loop has not read that yet."""
        if self._transport is None:
            return True
        if self._waiting is None:
            self._waiting = select.poll()
            self._waiting.register(self._transport.get_extra_info("socket").fileno(), select.POLLRDHUP)
        return bool(self._waiting.poll(0))

    async def settled(self) -> None:
        """Wait for the upstream's SETTINGS, which limit the number of streams, or for its end."""
        await self._settled.wait()

    def begin(
        self, receiver: Receiver, method: bytes, fields: Iterable[Header], *, end: bool
    ) -> UpstreamStream:
        """Queue a request head; requires has_room. `end` means no body follows."""
        stream = UpstreamStream(self._session, receiver, method, self.forget)
        stream.stream_id = self._session.open_outbound(fields, stream, end=end)
        self._streams[stream.stream_id] = stream
        return stream

    def forget(self, stream_id: int) -> None:
        """Drop a stream that is over."""
        known = self._streams.pop(stream_id, None)
        if self._session.is_unread:
            # Streams that were reset have left their heads behind. Later, because their client may be ending.
            self._loop.call_soon(self._give_up)
        if known is None or self._streams:
            return
        self.idle_since = boot_s()
        # Later, because the last frames must be sent first.
        self._loop.call_soon(self.close if self._leaving else self._on_idle)

    def close(self) -> None:
        """Cancel the open streams, send GOAWAY and close."""
        self._leaving = True
        transport = self._transport
        if transport is not None and not transport.is_closing():
            for stream in [*self._streams.values()]:
                stream.drop()
            self._say_goodbye(transport, ErrorCode.NO_ERROR)

    @property
    def peer(self) -> Peer | None:
        return peer_of(self._transport)

    def cut(self, reason: str) -> None:
        self._cut(reason, "blocked")

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._connections.add(self)
        self._intake.start(self._transport)
        self._session.start(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._was_reset = exc is not None
        self._intake.when_empty(self._lost)  # the rest may complete a response

    def _lost(self) -> None:
        self._intake.stop()
        self._connections.discard(self)
        self._on_lost()
        self._transport = None
        self._session.stop()
        self._settled.set()
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            failure: Failure = "reset" if self._was_reset else "closed"
            replay: Replay = "idempotent" if self._served and not stream.heard else "none"
            stream.fail(_CLOSED, failure, replay="any" if stream.waits else replay)

    def pause_writing(self) -> None:
        self._session.paused = True

    def resume_writing(self) -> None:
        self._session.paused = False
        self._session.flush()

    def data_received(self, data: bytes) -> None:
        self._intake.feed(data)

    def _take(self, data: bytes) -> None:
        if self._has_said_goodbye:
            return
        for event in self._events(data):
            self._handle(event)
        self._session.flush()

    def _events(self, data: bytes) -> Iterator[Event]:
        """Yield the events in `data`. Ends the connection if the data is malformed."""
        try:
            yield from self._session.receive(data)
        except Exception as fault:  # also a fault in the parser: no later byte can be trusted
            reason = fault.reason if isinstance(fault, FrameError) else "it is not HTTP/2"
            self._fail(reason, fault.code if isinstance(fault, FrameError) else ErrorCode.PROTOCOL_ERROR)

    def _handle(self, event: Event) -> None:
        if isinstance(event, GoAway):
            self._go_away(event)
        elif isinstance(event, SettingsReceived):
            self._settled.set()
        else:
            stream_id = event.stream_id
            stream = self._streams.get(stream_id)
            if stream is not None:
                stream.handle(event)
                self._served = True
                if not self._session.tracks(stream_id):
                    self.forget(stream_id)

    def _go_away(self, event: GoAway) -> None:
        """Fail the streams that wait, and those above last_stream_id (RFC 9113 section 6.8): unprocessed."""
        self._leaving = True
        for stream_id, stream in [*self._streams.items()]:
            if stream_id <= event.last_stream_id and not stream.waits:
                continue
            self._session.reset(stream_id, ErrorCode.CANCEL)
            self._streams.pop(stream_id).fail_unopened()
        if not self._streams:
            self.close()

    def _fail(self, fault: str, code: ErrorCode) -> None:
        self._leaving = True
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            reason = f"the HTTP/2 connection to the upstream was ended: {fault}"
            stream.fail(reason, "malformed", replay="any" if stream.waits else "none")
        if self._transport is not None:
            self._say_goodbye(self._transport, code)

    def _say_goodbye(self, transport: asyncio.Transport, code: ErrorCode) -> None:
        self._has_said_goodbye = True
        self._session.say_goodbye(code)
        transport.close()
        # Later, because the goodbye must be sent first. Otherwise TLS would wait for the other end's, and
        # decrypt whatever it sends instead, for half a minute.
        self._loop.call_soon(transport.abort)

    def _give_up(self) -> None:
        """Cut the connection to an upstream that does not read."""
        self._cut("the upstream does not read", "malformed")

    def _cut(self, reason: str, failure: Failure) -> None:
        self._leaving = True
        streams, self._streams = self._streams, {}
        for stream in streams.values():
            stream.fail(reason, failure, replay="any" if stream.waits else "none")
        self.abort()
