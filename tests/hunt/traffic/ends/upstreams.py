"""Upstreams that answer step by step, and see what arrives with readers of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions

from hunt.traffic.ends.wire import Link
from hunt.traffic.programs.program import Framing

Fields = Sequence[tuple[str, str]]
MARK = b"x-mark"


@dataclass
class Arrived:
    """A request as an upstream understood it. after: what came before it on its connection."""

    served: Http1Served | Http2Served
    method: bytes
    target: bytes
    fields: list[tuple[bytes, bytes]]
    stream: int = 0
    body: bytearray = field(default_factory=bytearray)
    is_whole: bool = False  # its body is
    is_answered: bool = False
    after: Arrived | None = None
    framing: Framing = "none"  # of the answer

    @property
    def marks(self) -> list[bytes]:
        return [value for name, value in self.fields if name == MARK]

    @property
    def text(self) -> bytes:
        """All of the head."""
        lines = [b": ".join(each) for each in self.fields]
        return b"\n".join([self.method + b" " + self.target, *lines])

    def values(self, name: bytes) -> list[bytes]:
        return [value for field_name, value in self.fields if field_name == name]


Notice = Callable[[Arrived], bool]  # told of each; whether it is one that a client sent


class Http1Served:
    """One connection. reads_bodies: False answers first, and takes the body for the next request."""

    def __init__(self, link: Link, notice: Notice, *, reads_bodies: bool) -> None:
        self.link = link
        self._notice = notice
        self._reads_bodies = reads_bodies
        self._buffer = bytearray()
        self._current: Arrived | None = None
        self._last: Arrived | None = None
        self._unsent: Arrived | None = None  # the current one, if no client sent it
        self._left: int | None = 0  # of the body; None: chunked
        self._is_switched = False
        self.heard: list[bytes] = []  # after a switch

    def pump(self) -> bool:
        moved = self.link.pump()
        for piece in self.link.take():
            self._buffer += piece
        while self._advance():
            pass
        if self.link.ending is not None:
            self.link.close()
        return moved

    def _advance(self) -> bool:
        """Read on in the buffer. Returns True if something was understood."""
        if self._is_switched:
            if self._buffer:
                self.heard.append(bytes(self._buffer))
                self._buffer.clear()
            return False
        current = self._current
        if current is None:
            return self._begin()
        if not current.is_whole and self._read_body(current):
            return True
        if current is self._unsent and current.is_whole and not current.is_answered:
            self._refuse(current)
        if current.is_answered and current.is_whole:
            self._last, self._current = current, None
            return True
        return False

    def _begin(self) -> bool:
        head, blank, _ = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return False
        del self._buffer[: len(head) + 4]
        first, *lines = bytes(head).lstrip(b"\r\n").split(b"\r\n")
        method, _, rest = first.partition(b" ")
        pairs = [line.partition(b":") for line in lines]
        fields = [(name.strip().lower(), value.strip()) for name, _, value in pairs]
        arrived = Arrived(self, method, rest.rpartition(b" ")[0], fields, after=self._last)
        is_known = self._notice(arrived)
        lengths = arrived.values(b"content-length")
        if not self._reads_bodies and is_known:
            self._left = 0
        elif b"chunked" in arrived.values(b"transfer-encoding"):
            self._left = None
        else:
            self._left = int(lengths[0]) if lengths and lengths[0].isdigit() else 0
        arrived.is_whole = self._left == 0
        self._current = arrived
        self._unsent = None if is_known else arrived
        return True

    def _refuse(self, arrived: Arrived) -> None:
        """Answer as a server does what nobody asked for; the proxy has to discard it."""
        self.link.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nunsent")
        arrived.is_answered = True

    def _read_body(self, current: Arrived) -> bool:
        if self._left is None:
            return self._read_chunk(current)
        piece = bytes(self._buffer[: self._left])
        del self._buffer[: len(piece)]
        self._left -= len(piece)
        current.body += piece
        current.is_whole = self._left == 0
        return bool(piece)

    def _read_chunk(self, current: Arrived) -> bool:
        line, end, _ = bytes(self._buffer[:1024]).partition(b"\r\n")
        if not end:
            return False
        size = int(line.split(b";")[0] or b"0", 16)
        whole = len(line) + 2 + size + 2
        if size == 0:
            rest = bytes(self._buffer[len(line) + 2 :])
            trailers, blank, _ = (
                rest.partition(b"\r\n") if rest[:2] == b"\r\n" else rest.partition(b"\r\n\r\n")
            )
            if not blank:
                return False
            del self._buffer[: len(line) + 2 + len(trailers) + len(blank)]
            current.is_whole = True
            return True
        if len(self._buffer) < whole:
            return False
        current.body += self._buffer[len(line) + 2 : whole - 2]
        del self._buffer[:whole]
        return True

    # -- answers

    def interim(self, arrived: Arrived, status: int, fields: Fields) -> None:
        lines = [f"HTTP/1.1 {status} Early", *(f"{name}: {value}" for name, value in fields)]
        self.link.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def head(self, arrived: Arrived, status: int, framing: Framing, length: int, fields: Fields) -> None:
        lines = [f"HTTP/1.1 {status} Some", *(f"{name}: {value}" for name, value in fields)]
        if framing == "length":
            lines.append(f"content-length: {length}")
        elif framing == "chunked":
            lines.append("transfer-encoding: chunked")
        arrived.framing = framing
        self.link.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")

    def piece(self, arrived: Arrived, octets: bytes, chunk: int) -> None:
        if arrived.framing != "chunked":
            self.link.write(octets)
            return
        size = chunk or len(octets) or 1
        parts = [octets[start : start + size] for start in range(0, len(octets), size)]
        # At once: of TLS records of a few octets each, uvloop decrypts all that it has read in one turn.
        self.link.write(b"".join([b"%x\r\n%b\r\n" % (len(part), part) for part in parts]))

    def end(self, arrived: Arrived, trailers: Fields) -> None:
        if arrived.framing == "chunked":
            lines = [f"{name}: {value}\r\n" for name, value in trailers]
            self.link.write(b"0\r\n" + "".join(lines).encode("latin-1") + b"\r\n")
        arrived.is_answered = True
        if arrived.framing == "close":
            self.link.close()

    def switch(self, arrived: Arrived, fields: Fields) -> None:
        lines = ["HTTP/1.1 101 Switching", *(f"{name}: {value}" for name, value in fields)]
        self.link.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
        self._is_switched = True

    def reset(self, arrived: Arrived) -> None:
        self.link.close(resets=True)


class Http2Served:
    """One connection of HTTP/2."""

    def __init__(self, link: Link, notice: Notice) -> None:
        self.link = link
        self._notice = notice
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self._h2 = h2.connection.H2Connection(config)
        self._h2.initiate_connection()
        self._streams: dict[int, Arrived] = {}
        self._waiting: dict[int, bytearray] = {}  # for room in a window
        self._ends: dict[int, Fields] = {}
        self._flush()

    def _flush(self) -> None:
        self.link.write(self._h2.data_to_send())

    def pump(self) -> bool:
        moved = self.link.pump()
        with suppress(h2.exceptions.ProtocolError):
            for piece in self.link.take():
                for event in self._h2.receive_data(piece):
                    self._handle(event)
        for number in list(self._waiting):
            self._send(number)
        self._flush()
        if self.link.ending is not None:
            self.link.close()
        return moved

    def _handle(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.RequestReceived(stream_id=int(number), headers=list(headers)):
                table = [(bytes(name), bytes(value)) for name, value in headers]
                pseudo = dict(table)
                fields = [(name, value) for name, value in table if name[:1] != b":"]
                arrived = Arrived(self, pseudo[b":method"], pseudo.get(b":path", b""), fields, number)
                self._streams[number] = arrived
                self._notice(arrived)
            case h2.events.DataReceived(stream_id=int(number), data=octets):
                self._streams[number].body += octets or b""
                self._h2.acknowledge_received_data(event.flow_controlled_length or 0, number)
            case h2.events.StreamEnded(stream_id=int(number)):
                self._streams[number].is_whole = True
            case _:
                pass

    def _headers(self, arrived: Arrived, fields: Fields, *, ends: bool = False) -> None:
        with suppress(h2.exceptions.ProtocolError):
            self._h2.send_headers(arrived.stream, list(fields), end_stream=ends)
        self._flush()

    def interim(self, arrived: Arrived, status: int, fields: Fields) -> None:
        self._headers(arrived, [(":status", str(status)), *fields])

    def head(self, arrived: Arrived, status: int, framing: Framing, length: int, fields: Fields) -> None:
        more = [("content-length", str(length))] if framing == "length" else []
        self._headers(arrived, [(":status", str(status)), *fields, *more])

    def piece(self, arrived: Arrived, octets: bytes, chunk: int) -> None:
        if octets:
            self._waiting.setdefault(arrived.stream, bytearray()).extend(octets)
            self._send(arrived.stream, chunk or 16384)
            self._flush()

    def _send(self, number: int, most: int = 16384) -> None:
        waiting = self._waiting[number]
        try:
            while waiting and (room := min(self._h2.local_flow_control_window(number), most, 16384)) > 0:
                self._h2.send_data(number, bytes(waiting[:room]))
                del waiting[:room]
            if not waiting:
                del self._waiting[number]
                if (trailers := self._ends.pop(number, None)) is not None:
                    self._finish(number, trailers)
        except h2.exceptions.ProtocolError:
            self._waiting.pop(number, None)

    def end(self, arrived: Arrived, trailers: Fields) -> None:
        arrived.is_answered = True
        if arrived.stream in self._waiting:
            self._ends[arrived.stream] = trailers
        else:
            self._finish(arrived.stream, trailers)
        self._flush()

    def _finish(self, number: int, trailers: Fields) -> None:
        with suppress(h2.exceptions.ProtocolError):
            if trailers:
                self._h2.send_headers(number, list(trailers), end_stream=True)
            else:
                self._h2.end_stream(number)

    def switch(self, arrived: Arrived, fields: Fields) -> None:
        self._headers(arrived, [(":status", "501")], ends=True)

    def reset(self, arrived: Arrived) -> None:
        with suppress(h2.exceptions.ProtocolError):
            self._h2.reset_stream(arrived.stream, 2)
        self._flush()


Served = Http1Served | Http2Served
