"""Clients that send step by step, and keep what came back: every read, and every answer taken apart."""

from __future__ import annotations

import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from hunt.traffic.ends.wire import Link
from support.proxy.thread import TOKEN

Fields = Sequence[tuple[str, str]]
Saw = Callable[[str, bytes], None]  # what kind of thing, and its octets


@dataclass
class Answer:
    """What came back for one request. answers: the number that its upstream gave it."""

    status: int = 0
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""
    is_whole: bool = False

    @property
    def answers(self) -> int | None:
        return next((int(value) for name, value in self.fields if name == b"x-answer"), None)


def connect_head(authority: str) -> bytes:
    login = b64encode(f"nono:{TOKEN}".encode()).decode()
    lines = [f"CONNECT {authority} HTTP/1.1", f"Host: {authority}", f"Proxy-Authorization: Basic {login}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


class Client:
    """A connection to the proxy. authority: of the upstream, for a CONNECT; None for the reverse route."""

    def __init__(self, port: int, saw: Saw, authority: str | None, trust: ssl.SSLContext | None) -> None:
        transport = socket.create_connection(("127.0.0.1", port), 10)
        self.link = Link(transport)
        self._saw = saw
        self._trust = trust
        self._told_end = False
        self._awaits_connect = authority is not None
        self._authority = authority
        self.asked: list[int] = []
        if authority is not None:
            self.link.write(connect_head(authority))

    @property
    def is_ready(self) -> bool:
        return not self._awaits_connect and self.link.is_ready

    @property
    def is_over(self) -> bool:
        return self.link.ending is not None or not self.link.is_open

    def pump(self) -> bool:
        moved = self.link.pump()
        for piece in self.link.take():
            if self._awaits_connect:
                self._connected(piece)
            else:
                self._saw("read", piece)
                self._received(piece)
        if self.link.ending is not None and not self._told_end:
            self._told_end = True
            self._saw("end", self.link.ending.encode())
        return moved

    def _connected(self, piece: bytes) -> None:
        self._saw("connect", piece)
        if piece.startswith(b"HTTP/1.1 200 ") and piece.endswith(b"\r\n\r\n"):
            assert self._trust is not None
            assert self._authority is not None
            self._awaits_connect = False
            self.link.start_tls(self._trust, server_name=self._authority.rpartition(":")[0])

    def _received(self, piece: bytes) -> None:
        raise NotImplementedError


class Http1Client(Client):
    def __init__(self, port: int, saw: Saw, authority: str | None, trust: ssl.SSLContext | None) -> None:
        super().__init__(port, saw, authority, trust)
        self._back = bytearray()
        self._methods: list[str] = []

    def _received(self, piece: bytes) -> None:
        self._back += piece

    @property
    def has_answer(self) -> bool:
        return len(self.answers()) >= len(self.asked)

    def ask(self, number: int, method: str, target: str, fields: Fields, host: str) -> bytes:
        """Return the head, for the caller to write."""
        self.asked.append(number)
        self._methods.append(method)
        lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{n}: {value}" for n, value in fields)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    def answers(self) -> list[Answer]:
        """Return the answers that have begun, in order."""
        found, rest = list[Answer](), bytes(self._back)
        while len(found) < len(self._methods) and b"\r\n\r\n" in rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            first, *lines = head.split(b"\r\n")
            status = int(first[9:12]) if re.match(rb"HTTP/1\.[01] [0-9]{3}", first) else 0
            if 100 <= status < 200 and status != 101:
                continue
            pairs = [line.partition(b":") for line in lines]
            fields = [(name.lower(), value.strip()) for name, _, value in pairs]
            answer = Answer(status, fields)
            found.append(answer)
            if status == 101:
                answer.body, answer.is_whole = rest, True
                break
            rest = self._body(answer, self._methods[len(found) - 1], rest)
            if not answer.is_whole:
                break
        return found

    def _body(self, answer: Answer, method: str, rest: bytes) -> bytes:
        """Read the body of an answer from `rest`. Returns what follows it."""
        table = dict(answer.fields)
        if method == "HEAD" or answer.status in (204, 304):
            answer.is_whole = True
            return rest
        if table.get(b"transfer-encoding") == b"chunked":
            return self._chunks(answer, rest)
        if b"content-length" in table:
            length = int(table[b"content-length"])
            answer.body = rest[:length]
            answer.is_whole = len(answer.body) == length
            return rest[length:]
        answer.body, answer.is_whole = rest, self.link.ending == "closed"
        return b""

    def _chunks(self, answer: Answer, rest: bytes) -> bytes:
        pieces = list[bytes]()
        while True:
            line, end, after = rest.partition(b"\r\n")
            if not end:
                break
            size = int(line or b"0", 16)
            if size == 0:
                if after.startswith(b"\r\n"):
                    answer.is_whole, rest = True, after[2:]
                elif b"\r\n\r\n" in after:
                    answer.is_whole, rest = True, after.partition(b"\r\n\r\n")[2]
                break
            pieces.append(after[:size])
            if len(after) < size + 2:
                break
            rest = after[size + 2 :]
        answer.body = b"".join(pieces)
        return rest


class Http2Client(Client):
    """numbers: of streams, by the requests' own."""

    def __init__(self, port: int, saw: Saw, authority: str | None, trust: ssl.SSLContext | None) -> None:
        super().__init__(port, saw, authority, trust)
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding=None,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(config)
        self._h2.initiate_connection()
        self._begun = False
        self.streams: dict[int, int] = {}
        self._answers: dict[int, Answer] = {}

    @property
    def has_answer(self) -> bool:
        return not self.asked or self._answers[self.streams[self.asked[-1]]].status != 0

    def pump(self) -> bool:
        moved = super().pump()
        if self.is_ready and not self._begun:
            self._begun = True
            self.flush()
        return moved

    def flush(self) -> None:
        if self._begun:
            self.link.write(self._h2.data_to_send())

    def _received(self, piece: bytes) -> None:
        with suppress(h2.exceptions.ProtocolError):
            for event in self._h2.receive_data(piece):
                self._handle(event)
        self.flush()

    def _handle(self, event: h2.events.Event) -> None:
        answer = self._answers.get(getattr(event, "stream_id", None) or 0)
        if answer is None:
            return
        match event:
            case h2.events.ResponseReceived(headers=list(headers)):
                answer.fields = [(bytes(name), bytes(value)) for name, value in headers]
                answer.status = int(dict(answer.fields)[b":status"])
            case h2.events.DataReceived(data=octets, stream_id=int(stream)):
                answer.body += octets or b""
                with suppress(h2.exceptions.ProtocolError):
                    self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
            case h2.events.StreamEnded():
                answer.is_whole = True
            case h2.events.StreamReset():
                answer.status = answer.status or -1
            case _:
                pass

    def ask(self, number: int, method: str, target: str, fields: Fields, host: str, *, ends: bool) -> None:
        stream = self._h2.get_next_available_stream_id()
        self.asked.append(number)
        self.streams[number] = stream
        self._answers[stream] = Answer()
        pseudo = [(":method", method), (":scheme", "https"), (":authority", host), (":path", target)]
        with suppress(h2.exceptions.ProtocolError):
            self._h2.send_headers(stream, [*pseudo, *fields], end_stream=ends)
        self.flush()

    def body(self, number: int, octets: bytes, *, ends: bool) -> None:
        stream = self.streams[number]
        with suppress(h2.exceptions.ProtocolError):
            while octets or ends:
                room = min(self._h2.local_flow_control_window(stream), 16384)
                piece, octets = octets[:room], octets[room:]
                self._h2.send_data(stream, piece, end_stream=ends and not octets)
                if not octets or room <= 0:
                    break
        self.flush()

    def cancel(self, number: int) -> None:
        with suppress(h2.exceptions.ProtocolError):
            self._h2.reset_stream(self.streams[number], 8)
        self.flush()

    def answers(self) -> list[Answer]:
        return [self._answers[self.streams[number]] for number in self.asked]
