"""An HTTP/2 server over TLS for tests; a handler in a thread of its own answers each stream as scripted."""

from __future__ import annotations

import logging
import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from support.servers.http1 import TIMEOUT_S, Gone

Fields = Sequence[tuple[str, str]]

# The ends of a test log every field, which tells nothing about the proxy between them.
logging.getLogger("hpack").setLevel(logging.WARNING)


@dataclass
class Stream:
    """One request: its fields as they arrived, and its body as it arrives."""

    number: int
    fields: list[tuple[bytes, bytes]]
    connection: Connection = field(repr=False)
    trailers: list[tuple[bytes, bytes]] = field(default_factory=list)
    arrived: queue.Queue[bytes | int | None] = field(default_factory=queue.Queue, repr=False)
    reset_by_client: threading.Event = field(default_factory=threading.Event, repr=False)

    def values(self, name: bytes) -> list[bytes]:
        return [value for field_name, value in self.fields if field_name == name]

    @property
    def method(self) -> bytes:
        return self.values(b":method")[0]

    @property
    def path(self) -> bytes:
        return self.values(b":path")[0]

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives. Gone if the stream is reset."""
        while True:
            piece = self.arrived.get(timeout=TIMEOUT_S)
            if piece is None:
                return
            if isinstance(piece, int):
                raise Gone
            yield piece

    def read_body(self) -> bytes:
        return b"".join(self.pieces())

    def head(self, status: int = 200, fields: Fields = (), *, end: bool = False) -> None:
        with self.connection.locked() as h2_connection:
            h2_connection.send_headers(self.number, [(":status", str(status)), *fields], end_stream=end)

    def send(self, piece: bytes) -> None:
        """Send piece as the windows allow. Gone if the stream is reset meanwhile."""
        while piece:
            size = min(len(piece), self.connection.window(self), 16384)
            with self.connection.locked() as h2_connection:
                h2_connection.send_data(self.number, piece[:size])
            piece = piece[size:]

    def end(self, trailers: Fields = ()) -> None:
        with self.connection.locked() as h2_connection:
            if trailers:
                h2_connection.send_headers(self.number, trailers, end_stream=True)
            else:
                h2_connection.end_stream(self.number)

    def reset(self, code: int) -> None:
        with self.connection.locked() as h2_connection:
            h2_connection.reset_stream(self.number, code)

    def respond(self, status: int = 200, body: bytes = b"ok", fields: Fields = ()) -> None:
        self.head(status, [*fields, ("content-length", str(len(body)))], end=not body)
        if body:
            self.send(body)
            self.end()


class Connection:
    """One accepted connection."""

    def __init__(self, transport: ssl.SSLSocket, settings: dict[h2.settings.SettingCodes, int]) -> None:
        self.transport = transport
        self.streams: dict[int, Stream] = {}
        self.closed = threading.Event()
        self._changed = threading.Condition()
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._h2 = h2.connection.H2Connection(config)
        if settings:
            self._h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)

    @contextmanager
    def locked(self) -> Iterator[h2.connection.H2Connection]:
        """Yield the state, and afterwards send what it wants to send."""
        with self._changed:
            try:
                yield self._h2
                self.send_raw(self._h2.data_to_send())
            except (OSError, h2.exceptions.ProtocolError) as failure:
                raise Gone from failure

    def send_raw(self, data: bytes) -> None:
        with self._changed:
            self.transport.sendall(data)

    def window(self, stream: Stream) -> int:
        """Wait until anything may be sent on stream, and return how much."""
        with self._changed:
            for _ in range(int(TIMEOUT_S / 0.05)):
                if stream.reset_by_client.is_set() or self.closed.is_set():
                    raise Gone
                try:
                    room = self._h2.local_flow_control_window(stream.number)
                except h2.exceptions.ProtocolError as failure:
                    raise Gone from failure
                if room > 0:
                    return room
                self._changed.wait(0.05)
        raise TimeoutError("the window stays closed")

    def serve(self, begin: Callable[[Stream], None]) -> None:
        try:
            with self.locked() as h2_connection:
                h2_connection.initiate_connection()
            while data := self.transport.recv(65536):
                with self.locked() as h2_connection:
                    events = h2_connection.receive_data(data)
                    for event in events:
                        self._handle(event, begin)
                    self._changed.notify_all()
        except (OSError, Gone, h2.exceptions.ProtocolError):
            pass
        finally:
            self.closed.set()
            for stream in self.streams.values():
                stream.arrived.put(-1)
            with suppress(OSError):
                self.transport.shutdown(socket.SHUT_RDWR)
            self.transport.close()

    def _handle(self, event: h2.events.Event, begin: Callable[[Stream], None]) -> None:
        if isinstance(event, h2.events.RequestReceived):
            number = event.stream_id or 0
            stream = self.streams[number] = Stream(number, [*event.headers], self)
            begin(stream)
            return
        number = getattr(event, "stream_id", None) or 0
        known = self.streams.get(number)
        if known is None:
            return
        if isinstance(event, h2.events.DataReceived):
            if event.data:
                known.arrived.put(event.data)
            self._h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
        elif isinstance(event, h2.events.TrailersReceived):
            known.trailers = [*event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            known.arrived.put(None)
        elif isinstance(event, h2.events.StreamReset):
            known.reset_by_client.set()
            known.arrived.put(int(event.error_code or 0))


Handler = Callable[[Stream], None]


def answer_ok(stream: Stream) -> None:
    stream.read_body()
    stream.respond()


class Http2Server:
    """The server: its port, and the streams and connections it accepted, in order."""

    def __init__(
        self,
        handler: Handler,
        context: ssl.SSLContext,
        settings: dict[h2.settings.SettingCodes, int],
    ) -> None:
        context.set_alpn_protocols(["h2"])
        self.streams: list[Stream] = []
        self.connections: list[Connection] = []
        self.faults: list[BaseException] = []
        self._handler = handler
        self._context = context
        self._settings = settings
        self._changed = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._spawn(self._accept)

    def received(self, count: int) -> list[Stream]:
        """Return the streams once there are at least count. AssertionError if they do not come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.streams) >= count, TIMEOUT_S)
            return [*self.streams]

    def close(self) -> None:
        self._closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in [*self.connections]:
            connection.closed.set()
            with suppress(OSError):
                connection.transport.shutdown(socket.SHUT_RDWR)
        for thread in [*self._threads]:
            thread.join(TIMEOUT_S)

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._spawn(self._serve, accepted)

    def _serve(self, accepted: socket.socket) -> None:
        try:
            secured = self._context.wrap_socket(accepted, server_side=True)
        except OSError:
            accepted.close()
            return
        connection = Connection(secured, self._settings)
        self.connections.append(connection)
        connection.serve(self._begin)

    def _begin(self, stream: Stream) -> None:
        with self._changed:
            self.streams.append(stream)
            self._changed.notify_all()
        self._spawn(self._answer, stream)

    def _answer(self, stream: Stream) -> None:
        try:
            self._handler(stream)
        except Gone:
            pass
        except BaseException as fault:  # reported by the test that closes the server
            if not self._closing:
                self.faults.append(fault)


@contextmanager
def h2_upstream(
    context: ssl.SSLContext,
    handler: Handler = answer_ok,
    settings: dict[h2.settings.SettingCodes, int] | None = None,
) -> Iterator[Http2Server]:
    """Yield a running server that speaks only h2. A fault in a handler fails the test at the end."""
    server = Http2Server(handler, context, settings or {})
    try:
        yield server
    finally:
        server.close()
    assert server.faults == []
