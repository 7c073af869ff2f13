"""An HTTP/2 client for tests that goes through the proxy and can be told to break every rule."""

from __future__ import annotations

import base64
import logging
import socket
import ssl
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.settings
from hyperframe.frame import Frame, GoAwayFrame

from support.proxy.thread import TIMEOUT_S, TOKEN

Fields = Sequence[tuple[str, str]]

# The ends of a test log every field, which tells nothing about the proxy between them.
logging.getLogger("hpack").setLevel(logging.WARNING)


@dataclass
class Answer:
    """What has been received on a stream so far."""

    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    interim: list[int] = field(default_factory=list)
    interim_fields: list[tuple[str, str]] = field(default_factory=list)  # of all interim responses
    ended: bool = False
    reset: int | None = None

    @property
    def is_over(self) -> bool:
        return self.ended or self.reset is not None

    def values(self, name: str) -> list[str]:
        return [value for field_name, value in self.fields if field_name == name]


class _Forbearing(h2.connection.H2Connection):
    """Let streams go on after a GOAWAY, as RFC 9113 section 6.8 requires and the library does not."""

    goaway: int | None = None

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[h2.events.Event]]:
        self.goaway = frame.error_code
        return [], []


class Http2Client:
    """A connection that reads only while it waits for something."""

    def __init__(self, transport: ssl.SSLSocket, authority: str, *, acknowledges: bool = True) -> None:
        self.transport = transport
        self.authority = authority
        self.acknowledges = acknowledges
        self.answers: dict[int, Answer] = {}
        self.closed = False
        self.pings_answered = 0
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self.h2 = _Forbearing(config)

    @property
    def goaway(self) -> int | None:
        """Return the error code of the last GOAWAY; None if there was none."""
        return self.h2.goaway

    def start(self, settings: dict[h2.settings.SettingCodes, int] | None = None) -> None:
        if settings:
            self.h2.local_settings = h2.settings.Settings(client=True, initial_values=settings)
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        self.send_raw(self.h2.data_to_send())

    def send_raw(self, data: bytes) -> None:
        self.transport.sendall(data)

    def request(
        self,
        path: str = "/v1/x",
        *,
        method: str = "GET",
        fields: Fields = (),
        body: bytes | None = None,
        end: bool = True,
        pseudo: Fields | None = None,
        flush: bool = True,
    ) -> int:
        """Begin a request and return the number of its stream. end: nothing follows the head and the body."""
        number = self.h2.get_next_available_stream_id()
        if pseudo is None:
            pseudo = [
                (":method", method), (":scheme", "https"), (":authority", self.authority), (":path", path)
            ]  # fmt: skip
        self.answers[number] = Answer()
        self.h2.send_headers(number, [*pseudo, *fields], end_stream=end and body is None)
        if flush:
            self.flush()
        if body is not None:
            self.send(number, body, end=end)
        return number

    def send(self, number: int, piece: bytes, *, end: bool = False) -> None:
        """Send body bytes as the windows allow, reading meanwhile."""
        while piece or end:
            room = min(self.h2.local_flow_control_window(number), 16384)
            if room <= 0 and piece:
                assert self.receive(), "the connection ended during an upload"
                continue
            last = len(piece) <= room
            self.h2.send_data(number, piece[:room], end_stream=end and last)
            self.flush()
            piece = piece[room:]
            if last:
                return

    def receive(self) -> bool:
        """Read once. Returns False at the end of the connection."""
        try:
            data = self.transport.recv(65536)
        except TimeoutError:
            raise
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return False
        for event in self.h2.receive_data(data):
            self._handle(event)
        if not self.closed:
            try:
                self.flush()
            except OSError:
                self.closed = True
        return True

    def _handle(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.PingAckReceived):
            self.pings_answered += 1
            return
        number = getattr(event, "stream_id", None)
        answer = self.answers.get(number or 0)
        if answer is None or number is None:
            return
        match event:
            case h2.events.InformationalResponseReceived():
                fields = _texts(event.headers)
                answer.interim.append(int(fields[0][1]))
                answer.interim_fields += fields[1:]
            case h2.events.ResponseReceived():
                fields = _texts(event.headers)
                answer.status = int(fields[0][1])
                answer.fields = fields[1:]
            case h2.events.DataReceived():
                answer.body += event.data or b""
                if self.acknowledges:
                    self.h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
            case h2.events.TrailersReceived():
                answer.trailers = _texts(event.headers)
            case h2.events.StreamEnded():
                answer.ended = True
            case h2.events.StreamReset():
                answer.reset = int(event.error_code or 0)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Read until condition holds. AssertionError if the connection ends first."""
        while not condition():
            assert self.receive(), "the connection ended"

    def answer(self, number: int) -> Answer:
        """Return the answer on the stream once it is complete."""
        answer = self.answers[number]
        self.wait_until(lambda: answer.is_over)
        return answer

    def get(self, path: str = "/v1/x", *, fields: Fields = ()) -> Answer:
        return self.answer(self.request(path, fields=fields))

    def post(self, body: bytes, path: str = "/v1/x", *, fields: Fields = ()) -> Answer:
        return self.answer(self.request(path, method="POST", fields=fields, body=body))

    def ping(self) -> None:
        """Return when the other end has read everything that was sent so far."""
        before = self.pings_answered
        self.h2.ping(b"12345678")
        self.flush()
        self.wait_until(lambda: self.pings_answered > before)

    def wait_closed(self) -> None:
        """Read to the end. TimeoutError if it does not come."""
        while not self.closed:
            self.receive()


def frame(kind: int, payload: bytes = b"", *, flags: int = 0, stream: int = 0) -> bytes:
    """Encode a frame, which may break every rule (RFC 9113 section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def _texts(headers: Iterable[tuple[bytes, bytes]] | None) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers or ()]


def connect(
    port: int,
    authority: str,
    ca_file: str,
    alpn: Sequence[str] = ("h2",),
    *,
    receive_buffer: int | None = None,
) -> ssl.SSLSocket:
    """Return a TLS connection to authority (host:port) through the proxy."""
    transport = socket.socket()
    if receive_buffer is not None:
        transport.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    transport.settimeout(TIMEOUT_S)
    transport.connect(("127.0.0.1", port))
    transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    login = base64.b64encode(f"nono:{TOKEN}".encode()).decode()
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: Basic {login}\r\n\r\n"
    transport.sendall(head.encode())
    reply = b""
    while b"\r\n\r\n" not in reply:
        piece = transport.recv(4096)
        assert piece, reply
        reply += piece
    assert reply.startswith(b"HTTP/1.1 200 "), reply
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(ca_file)
    context.set_alpn_protocols([*alpn])
    return context.wrap_socket(transport, server_hostname=authority.rpartition(":")[0])


@contextmanager
def h2_client(
    port: int,
    authority: str,
    ca_file: str,
    *,
    acknowledges: bool = True,
    settings: dict[h2.settings.SettingCodes, int] | None = None,
    starts: bool = True,
    receive_buffer: int | None = None,
) -> Iterator[Http2Client]:
    """Yield a client inside a CONNECT to authority that negotiated h2. starts: the preface has been sent."""
    with connect(port, authority, ca_file, receive_buffer=receive_buffer) as transport:
        assert transport.selected_alpn_protocol() == "h2"
        client = Http2Client(transport, authority, acknowledges=acknowledges)
        if starts:
            client.start(settings)
        yield client
