"""A plain or TLS HTTP/1.1 server for tests that keeps what arrived, byte for byte, and answers as scripted.

It has a parser of its own, so that it does not share faults of the proxy's parser.
"""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import trustme

TIMEOUT_S = 20.0
LOOPBACK = ("127.0.0.1", 0)  # and any free port


class Authority:
    """A certificate authority that no system trusts. ca_file is what a client must be given."""

    def __init__(self, ca_file: str) -> None:
        self._ca = trustme.CA()
        self.ca_file = ca_file
        self._ca.cert_pem.write_to_path(ca_file)

    def server_context(self, *names: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(*names).configure_cert(context)
        return context

    def client_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._ca.configure_trust(context)
        return context


class Gone(Exception):  # noqa: N818  # an event of the test, not a fault
    """The peer closed or reset the connection."""


@dataclass
class Received:
    """One request: its head as it arrived, and the part of its body read so far."""

    head: bytes  # including the blank line
    connection: Connection = field(repr=False)
    body_complete: bool = False
    # In place: bytes would be copied whole for each piece of a large body.
    _body: bytearray = field(default_factory=bytearray, init=False)
    _wire_body: bytearray = field(default_factory=bytearray, init=False)

    @property
    def body(self) -> bytes:
        return bytes(self._body)

    @property
    def wire_body(self) -> bytes:
        """Return the body with its chunk framing."""
        return bytes(self._wire_body)

    def forget_body(self) -> None:
        """Drop the part read so far, of a body larger than this process should hold."""
        self._body.clear()
        self._wire_body.clear()

    @property
    def request_line(self) -> bytes:
        return self.head.split(b"\r\n", 1)[0]

    @property
    def method(self) -> bytes:
        return self.request_line.split(b" ")[0]

    @property
    def target(self) -> bytes:
        return self.request_line.split(b" ")[1]

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        lines = self.head.split(b"\r\n")[1:-2]
        return [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]

    def values(self, name: bytes) -> list[bytes]:
        return [value for field_name, value in self.fields if field_name == name]

    def value(self, name: bytes) -> bytes | None:
        values = self.values(name)
        return values[0] if values else None

    def read_body(self) -> bytes:
        for _ in self.pieces():
            pass
        return self.body

    def pieces(self) -> Iterator[bytes]:
        """Yield the body as it arrives. Gone if it ends early."""
        if self.body_complete:
            return
        if self.value(b"transfer-encoding") == b"chunked":
            yield from self._chunks()
        else:
            left = int(self.value(b"content-length") or 0)
            while left:
                piece = self.connection.read_some(left)
                left -= len(piece)
                self._wire_body += piece
                self._body += piece
                yield piece
        self.body_complete = True

    def _chunks(self) -> Iterator[bytes]:
        while True:
            size_line = self.connection.read_line()
            self._wire_body += size_line
            size = int(size_line.split(b";")[0], 16)
            if size == 0:
                break
            piece = self.connection.read_exactly(size)
            end = self.connection.read_exactly(2)
            assert end == b"\r\n", "a chunk is longer than it says"
            self._wire_body += piece + end
            self._body += piece
            yield piece
        while (line := self.connection.read_line()) != b"\r\n":
            self._wire_body += line
        self._wire_body += line


class Connection:
    """One accepted connection, for the handler of a test."""

    def __init__(self, transport: socket.socket, number: int) -> None:
        self.transport = transport
        self.number = number
        self.raw = b""  # everything that arrived on it
        self._buffer = bytearray()

    def _receive(self) -> None:
        try:
            piece = self.transport.recv(65536)
        except OSError as failure:
            raise Gone from failure
        if not piece:
            raise Gone
        self._buffer += piece
        if len(self.raw) < 1 << 20:
            self.raw += piece

    def wait_for(self, count: int) -> None:
        """Wait until this many bytes have arrived, and leave them unread."""
        while len(self._buffer) < count:
            self._receive()

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            self._receive()
        return self._take(self._buffer.index(mark) + len(mark))

    def read_line(self) -> bytes:
        return self.read_until(b"\r\n")

    def read_some(self, most: int) -> bytes:
        if not self._buffer:
            self._receive()
        return self._take(min(most, len(self._buffer)))

    def read_exactly(self, count: int) -> bytes:
        self.wait_for(count)
        return self._take(count)

    def _take(self, count: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken

    def send(self, piece: bytes) -> None:
        try:
            self.transport.sendall(piece)
        except OSError as failure:
            raise Gone from failure

    def respond(
        self,
        status: int = 200,
        body: bytes = b"ok",
        fields: Sequence[tuple[str, str]] = (),
        reason: str = "OK",
    ) -> None:
        lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in fields)]
        lines.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body)

    def wait_gone(self) -> None:
        """Wait until the peer has closed. TimeoutError if it does not."""
        while True:
            try:
                if not self.transport.recv(65536):
                    return
            except TimeoutError:
                raise
            except OSError:
                return

    def reset(self) -> None:
        """Close so that the peer receives RST."""
        self.transport.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.close()


Handler = Callable[[Received], None]


def answer_ok(request: Received) -> None:
    request.read_body()
    request.connection.respond()


class HttpUpstream:
    """The server: its port, and the requests and connections it received, in order."""

    def __init__(
        self,
        handler: Handler = answer_ok,
        tls: ssl.SSLContext | None = None,
        address: tuple[str, int] = LOOPBACK,
    ) -> None:
        self.handler = handler
        self.requests: list[Received] = []
        self.connections: list[Connection] = []
        self.faults: list[BaseException] = []
        self._tls = tls
        self._listener = socket.create_server(address, backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._closing = False
        self._changed = threading.Condition()

    def start(self) -> None:
        self._spawn(self._accept)

    def close(self) -> None:
        """Close every connection and wait for every thread."""
        self._closing = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in [*self.connections]:
            with suppress(OSError):
                # Works for TLS too: shutdown() of an SSLSocket ends the TCP connection and wakes a reader.
                connection.transport.shutdown(socket.SHUT_RDWR)
        for thread in [*self._threads]:
            thread.join(TIMEOUT_S)
        for connection in self.connections:
            connection.transport.close()

    def received(self, count: int) -> list[Received]:
        """Return the requests once there are at least count. AssertionError if they do not come."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, TIMEOUT_S)
            return [*self.requests]

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
            accepted.settimeout(TIMEOUT_S)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._spawn(self._serve, accepted)

    def _serve(self, accepted: socket.socket) -> None:
        if self._tls is not None:
            try:
                accepted = self._tls.wrap_socket(accepted, server_side=True)
            except OSError:
                accepted.close()
                return
        connection = Connection(accepted, len(self.connections))
        self.connections.append(connection)
        try:
            while not self._closing:
                head = connection.read_until(b"\r\n\r\n")
                request = Received(head, connection)
                with self._changed:
                    self.requests.append(request)
                    self._changed.notify_all()
                self.handler(request)
                request.read_body()
        except Gone:
            pass
        except BaseException as fault:  # reported by the test that closes the server
            if not self._closing:
                self.faults.append(fault)
        finally:
            with suppress(OSError):
                accepted.shutdown(socket.SHUT_RDWR)
            accepted.close()


@contextmanager
def upstream(
    handler: Handler = answer_ok, tls: ssl.SSLContext | None = None, address: tuple[str, int] = LOOPBACK
) -> Iterator[HttpUpstream]:
    """Yield a running server. A fault in a handler fails the test when the block is left."""
    server = HttpUpstream(handler, tls, address)
    server.start()
    try:
        yield server
    finally:
        server.close()
    assert server.faults == []
