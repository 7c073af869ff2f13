"""Be either end of HTTP/2 for the soak: streams whose bodies wait for the windows, over asyncio streams."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from h2.errors import ErrorCodes

from support.clients.http2 import _Forbearing

Fields = Sequence[tuple[str, str]]
FRAME_BYTES = 16384


class StreamLostError(ConnectionError):
    """The stream was reset, or its connection is gone."""


class Http2Stream:
    """One stream. What is read is acknowledged only then."""

    def __init__(self, connection: Http2, number: int) -> None:
        self.number = number
        self.fields: dict[str, str] = {}
        self._connection = connection
        self._arrived: deque[tuple[bytes, int]] = deque()
        self._ended = False
        self._lost = False
        self._changed = asyncio.Event()

    async def head(self) -> dict[str, str]:
        """Return the fields of the request or of the final response, once they have arrived."""
        await self._until(lambda: bool(self.fields))
        return self.fields

    async def read(self) -> bytes:
        """Return the next piece of the body; b"" at its end. StreamLostError."""
        await self._until(lambda: bool(self._arrived) or self._ended)
        if not self._arrived:
            return b""
        piece, credit = self._arrived.popleft()
        self._connection.acknowledge(self.number, credit)
        return piece

    async def wait_lost(self) -> None:
        """Wait until the stream is lost, which raises StreamLostError."""
        await self._until(lambda: False)

    async def respond(self, fields: Fields, *, end: bool = False) -> None:
        with self._connection.state() as state:
            state.send_headers(self.number, fields, end_stream=end)
        await self._connection.drain()

    async def send(self, body: bytes, *, end: bool = False) -> None:
        """Send body as the windows allow."""
        view = memoryview(body)
        while view:
            await self._until(lambda: self._window > 0)
            size = min(len(view), self._window, FRAME_BYTES)
            with self._connection.state() as state:
                state.send_data(self.number, bytes(view[:size]), end_stream=end and size == len(view))
            view = view[size:]
            await self._connection.drain()
        if end and not body:
            with self._connection.state() as state:
                state.end_stream(self.number)

    def reset(self, code: ErrorCodes = ErrorCodes.CANCEL) -> None:
        with suppress(StreamLostError), self._connection.state() as state:
            state.reset_stream(self.number, code)
        self.lose()

    @property
    def _window(self) -> int:
        with self._connection.state() as state:
            return state.local_flow_control_window(self.number)

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._lost:
                raise StreamLostError
            self._changed.clear()
            await self._changed.wait()

    # -- what the connection calls

    def arrive(self, piece: bytes, credit: int) -> None:
        self._arrived.append((piece, credit))
        self.wake()

    def end(self) -> None:
        self._ended = True
        self.wake()

    def lose(self) -> None:
        """Mark the stream as lost; what nobody has read is given back to the connection's window."""
        self._lost = True
        unread = sum(credit for _, credit in self._arrived)
        self._arrived.clear()
        with suppress(StreamLostError):
            self._connection.acknowledge(self.number, unread)
        self._connection.streams.pop(self.number, None)
        self.wake()

    def wake(self) -> None:
        self._changed.set()


class _State:
    """Yield the state machine for a block; afterwards write what it wants to send."""

    def __init__(self, connection: Http2) -> None:
        self._connection = connection

    def __enter__(self) -> h2.connection.H2Connection:
        return self._connection.h2

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._connection.flush()
        if isinstance(error, h2.exceptions.ProtocolError):
            raise StreamLostError from error


class Http2:
    """A connection whose bytes run reads. begun: receives each stream that the peer opens."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        begun: Callable[[Http2Stream], object] | None = None,
    ) -> None:
        self.streams: dict[int, Http2Stream] = {}
        self._reader = reader
        self._writer = writer
        self._begun = begun
        config = h2.config.H2Configuration(client_side=begun is None, header_encoding="latin-1")
        self.h2 = _Forbearing(config)
        self.h2.initiate_connection()
        self.flush()

    def state(self) -> _State:
        return _State(self)

    def flush(self) -> None:
        written = self.h2.data_to_send()
        if written and not self._writer.is_closing():
            self._writer.write(written)

    async def drain(self) -> None:
        try:
            await self._writer.drain()
        except OSError as failure:
            raise StreamLostError from failure

    def acknowledge(self, number: int, credit: int) -> None:
        if credit:
            with self.state() as state:
                state.acknowledge_received_data(credit, number)

    async def request(self, fields: Fields, *, end: bool) -> Http2Stream:
        with self.state() as state:
            number = state.get_next_available_stream_id()
            stream = self.streams[number] = Http2Stream(self, number)
            state.send_headers(number, fields, end_stream=end)
        await self.drain()
        return stream

    async def run(self) -> None:
        """Run until the connection ends, and tell all of its streams."""
        try:
            while piece := await self._reader.read(65536):
                for event in self.h2.receive_data(piece):
                    self._handle(event)
                self.flush()
                for stream in self.streams.values():
                    stream.wake()  # a window may have opened
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            self.flush()
            for stream in [*self.streams.values()]:
                stream.lose()
            self._writer.close()

    def _handle(self, event: h2.events.Event) -> None:
        number = getattr(event, "stream_id", None) or 0
        if isinstance(event, h2.events.RequestReceived) and self._begun is not None:
            self.streams[number] = Http2Stream(self, number)
        stream = self.streams.get(number)
        match event:
            case h2.events.DataReceived() if stream is None:
                self.h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
            case _ if stream is None:
                pass
            case h2.events.RequestReceived() | h2.events.ResponseReceived():
                stream.fields = {str(name): str(value) for name, value in event.headers or ()}
                stream.wake()
                if self._begun is not None:
                    self._begun(stream)
            case h2.events.DataReceived():
                stream.arrive(bytes(event.data or b""), event.flow_controlled_length or 0)
            case h2.events.StreamEnded():
                stream.end()
                if self._begun is None:
                    self.streams.pop(number, None)
            case h2.events.StreamReset():
                # RFC 9113 section 8.1: after a whole response NO_ERROR only stops the upload.
                if not stream._ended:
                    stream.lose()
