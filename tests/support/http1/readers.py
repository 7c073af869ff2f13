"""Put other people's HTTP/1.1 parsers and nono's own behind one interface: bytes in, messages out."""

from __future__ import annotations

import asyncio
import http.client
import io
import math
import socket
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, cast

import h11
from aiohttp import http_exceptions, http_parser

from nono.credentials.values.credential import Outgoing
from nono.policy.schema.route_rules import TlsIdentity
from nono.proxy.http.message import BodyKind, Header, ResponseHead
from nono.proxy.http.passing import end_to_end
from nono.proxy.http.request_reader import Incoming, RequestReader
from nono.proxy.http.writing import chunk, framing_fields, last_chunk
from nono.proxy.transport.turns import Turns, Work
from nono.proxy.upstream.connection import PoolKey, UpstreamConnection
from nono.proxy.verdict.rewrite import completed, request_head, response_for_client

Field = tuple[bytes, bytes]  # the name in lower case, the value without blanks around it
End = Literal["clean", "unfinished", "refused", "switched"]

LIMIT = 2**20  # for limits of the other parsers; nono's limits are the ones under test


class Message(NamedTuple):
    """A message as one parser understood it."""

    start: tuple[bytes, ...]  # (method, target), or (status,)
    fields: tuple[Field, ...]
    body: bytes
    trailers: tuple[Field, ...] | None  # None: this parser does not show them

    def says(self, other: Message) -> bool:
        """Return True if both parsers understood the same, as far as each shows it."""
        if None not in (self.trailers, other.trailers) and self.trailers != other.trailers:
            return False
        return self[:3] == other[:3]


class Reading(NamedTuple):
    """What one parser made of all the bytes of a connection.

    end: "clean" if the last byte ended a message, "unfinished" if it waits for more of one, "refused" if it
    found a fault, "switched" if what follows is not HTTP/1.1 or nothing may follow.
    """

    messages: tuple[Message, ...]
    end: End
    partial: Message | None = None  # the head, and the body so far, of a message that is unfinished
    rest: bytes = b""  # what a client did not read because the response had ended


RequestParser = Callable[[bytes], Reading]
ResponseParser = Callable[[bytes, bytes], Reading]  # (all bytes until the close, method of the request)


def plain(fields: Iterable[tuple[bytes, bytes]]) -> tuple[Field, ...]:
    return tuple((bytes(name).lower(), bytes(value).strip(b" \t")) for name, value in fields)


# -- nono


def nono_incoming(pieces: Iterable[bytes]) -> tuple[list[Incoming], End]:
    """Return the requests that RequestReader queued, up to the first one it could not read completely."""
    reader = RequestReader()
    for piece in pieces:
        reader.feed(piece)
    taken: list[Incoming] = []
    for request in reader.queue:
        if not isinstance(request, Incoming) or request.fault is not None:
            return taken, "refused"
        if not request.complete:
            taken.append(request)
            return taken, "unfinished"
        taken.append(request)
        if request.head.wants_upgrade or request.head.method == b"CONNECT" or not request.head.keep_alive:
            return taken, "switched"
    return taken, "unfinished" if reader.in_head else "clean"


def nono_requests(pieces: Iterable[bytes]) -> Reading:
    incoming, end = nono_incoming(pieces)
    messages = [_understood(request) for request in incoming]
    if incoming and not incoming[-1].complete:
        return Reading(tuple(messages[:-1]), end, messages[-1])
    return Reading(tuple(messages), end)


def _understood(request: Incoming) -> Message:
    head = request.head
    return Message((head.method, head.target), plain(head.headers), b"".join(request.pieces), None)


def sent_by_nono(request: Incoming, authority: bytes) -> tuple[Message, bytes]:
    """Return a complete request as the proxy forwards it, without a credential: its meaning and bytes."""
    head, body = request.head, b"".join(request.pieces)
    fields = end_to_end(head.headers, without=frozenset((b"content-length", b"host")))
    framing = framing_fields(head.body)
    sent = Outgoing(head.method, head.target, authority, fields)
    wire = request_head(completed(sent, None, searched=False), framing)
    if head.body.kind is BodyKind.CHUNKED:
        wire += b"".join(chunk(piece) for piece in request.pieces) + last_chunk()
    else:
        wire += body
    written = plain([(b"Host", authority), *fields, *framing])
    return Message((head.method, head.target), written, body, ()), wire


class Relayed(NamedTuple):
    """A response as UpstreamConnection understood it, and the bytes that the proxy makes of it."""

    reading: Reading
    wire: bytes
    interim: tuple[int, ...]
    reusable: bool  # whether the connection may carry another request


class Relay:
    """A ResponseSink that writes what an exchange for an HTTP/1.1 client writes."""

    def __init__(self) -> None:
        self.wire = self.body = b""
        self.interim: list[int] = []
        self.head: ResponseHead | None = None
        self.fields: Sequence[Header] = ()
        self.end: End = "unfinished"
        self.reusable = False
        self.faults: list[str] = []  # an exception here would be mistaken for one of the upstream's
        self._chunked = False

    def may_go(self) -> bool:
        return True

    def response_interim(self, head: ResponseHead) -> None:
        self._expect(self.head is None, "an interim response behind the final one")
        self.interim.append(head.status)

    def response_started(self, head: ResponseHead) -> None:
        self._expect(self.head is None, "a second response")
        self.head = head
        self.wire, self._chunked = response_for_client(
            head, to_version=b"1.1", closes=False, credentialed=False
        )

    def response_body(self, piece: bytes) -> None:
        self._expect(bool(piece), "an empty piece")
        self._expect(self.head is not None, "a body before its head")
        self._expect(self.end == "unfinished", "a body behind its end")
        self.body += piece
        self.wire += chunk(piece) if self._chunked else piece

    def response_flush(self) -> None: ...

    def response_finished(self, fields: Sequence[Header], *, reusable: bool) -> None:
        self._expect(self.end == "unfinished", "a second end")
        self.fields, self.reusable, self.end = fields, reusable, "clean"
        if self._chunked:
            self.wire += last_chunk(fields)

    def response_switched(self, head: ResponseHead) -> None:
        self._expect(False, "a switch that nobody asked for")

    def upstream_failed(self, reason: str, failure: str) -> None:
        self._expect(self.end == "unfinished", "a second end")
        self.end = "refused"

    def upstream_writable(self, writable: bool) -> None: ...

    def _expect(self, holds: bool, fault: str) -> None:
        if not holds:
            self.faults.append(fault)


class Wire(asyncio.Transport):
    """A transport that knows only whether it is closed."""

    def __init__(self) -> None:
        super().__init__()
        self._closed = False

    def abort(self) -> None:
        self._closed = True

    def is_closing(self) -> bool:
        return self._closed


class Keeper:
    def opened(self, connection: UpstreamConnection) -> None: ...
    def lost(self, connection: UpstreamConnection) -> None: ...
    def give(self, connection: UpstreamConnection) -> None: ...


class _AtOnce(Turns):
    """Works without a loop, in one turn that does not end."""

    def is_spent(self) -> bool:
        return False

    def start(self, work: Work) -> bool:
        while work(math.inf):
            pass
        return False


def nono_response(pieces: Iterable[bytes], method: bytes) -> Relayed:
    """Return how the proxy reads and relays what an upstream sends for one request until it closes."""
    relay, transport = Relay(), Wire()
    connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), _AtOnce())
    connection.connection_made(transport)
    connection.begin(relay, method)
    for piece in pieces:
        if transport.is_closing():
            break
        connection.data_received(piece)
    if not transport.is_closing():
        connection.eof_received()
        connection.connection_lost(None)
    assert relay.faults == []
    head = relay.head
    if head is None:
        return Relayed(Reading((), relay.end), b"", tuple(relay.interim), False)
    message = Message((b"%d" % head.status,), plain(head.headers), relay.body, plain(relay.fields))
    finished = relay.end == "clean"
    reading = Reading((message,) if finished else (), relay.end, None if finished else message)
    return Relayed(reading, relay.wire, tuple(relay.interim), relay.reusable)


# -- h11


def h11_requests(wire: bytes) -> Reading:
    if not wire:
        return Reading((), "clean")  # h11 would mistake it for the close
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=LIMIT)
    connection.receive_data(wire)
    messages: list[Message] = []
    head: h11.Request | None = None
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            return Reading(tuple(messages), "refused")
        match event:
            case h11.Request():
                head, body = event, b""
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                assert head is not None
                messages.append(_of_h11((head.method, head.target), head.headers, body, event.headers))
                if head.method == b"CONNECT":
                    return Reading(tuple(messages), "switched")
                head = None
                connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
                connection.send(h11.EndOfMessage())
                if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                    return Reading(tuple(messages), "switched")
                connection.start_next_cycle()
            case h11.NEED_DATA if head is not None:
                partial = _of_h11((head.method, head.target), head.headers, body, ())
                return Reading(tuple(messages), "unfinished", partial)
            case h11.NEED_DATA:
                # Blank lines before a request line are ignored (RFC 9112 section 2.2).
                waits = bool(connection.trailing_data[0].strip(b"\r\n"))
                return Reading(tuple(messages), "unfinished" if waits else "clean")
            case _:
                return Reading(tuple(messages), "switched")


def h11_response(wire: bytes, method: bytes) -> Reading:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=LIMIT)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(wire)
    connection.receive_data(b"")
    head: h11.Response | None = None
    messages: list[Message] = []
    body = b""
    while True:
        try:
            event = connection.next_event()
        except h11.RemoteProtocolError:
            if head is not None and not messages:
                partial = _of_h11((b"%d" % head.status_code,), head.headers, body, ())
                return Reading((), "refused", partial)
            return Reading(tuple(messages), "refused")
        match event:
            case h11.Response():
                head = event
            case h11.InformationalResponse():
                pass
            case h11.Data():
                body += event.data
            case h11.EndOfMessage():
                assert head is not None
                message = _of_h11((b"%d" % head.status_code,), head.headers, body, event.headers)
                return Reading((message,), "clean", rest=bytes(connection.trailing_data[0]))
            case _:
                return Reading((), "refused")  # it closed without a response


def _of_h11(start: tuple[bytes, ...], fields: Iterable[Field], body: bytes, end: Iterable[Field]) -> Message:
    return Message(tuple(bytes(part) for part in start), plain(fields), bytes(body), plain(end))


# -- aiohttp, whose parser exists in C (llhttp, built in another way) and in Python


class _Aside:
    """Stand in for the event loop and the protocol, which are not needed when all bytes are present."""

    def pause_reading(self) -> None: ...
    def resume_reading(self, *, resume_parser: bool = True) -> None: ...
    def get_debug(self) -> bool:
        return False


_REFUSALS = (http_exceptions.HttpProcessingError, http_exceptions.PayloadEncodingError, ValueError)


class Aiohttp:
    """What one of the two implementations understands."""

    def __init__(self, requests: type[Any], responses: type[Any]) -> None:
        self._requests = requests
        self._responses = responses

    def requests(self, wire: bytes) -> Reading:
        end, found = self._all_messages(self._request_parser(), [wire])
        if end == "refused":
            # What was complete before the fault becomes visible only if it is fed separately.
            single = [wire[at : at + 1] for at in range(len(wire))]
            end, found = self._all_messages(self._request_parser(), single)
        return self._reading(
            end, found, lambda head: (head.method.encode(), head.path.encode("utf-8", "surrogateescape"))
        )

    def response(self, wire: bytes, method: bytes) -> Reading:
        parser = self._responses(
            _Aside(), _Aside(), LIMIT,
            max_line_size=LIMIT, max_field_size=LIMIT, max_headers=LIMIT,
            response_with_body=method != b"HEAD", read_until_eof=True, auto_decompress=False,
        )  # fmt: skip
        # A client stops reading where the first final response ends; later bytes are another matter.
        found: list[tuple[Any, Any]] = []
        end: End = "clean"
        read = 0
        for read in range(1, len(wire) + 1):
            end, more = self._all_messages(parser, [wire[read - 1 : read]])
            found += more
            if end != "clean" or (
                found and found[-1][0].code >= 200 and _body_of(found[-1][1])[1] == "clean"
            ):
                break
        else:
            try:
                parser.feed_eof()
            except _REFUSALS:
                end = "refused"
        final = [(head, payload) for head, payload in found if head.code >= 200]
        return self._reading(end, final[:1], lambda head: (b"%d" % head.code,))._replace(rest=wire[read:])

    def _request_parser(self) -> Any:
        return self._requests(
            _Aside(), _Aside(), LIMIT,
            max_line_size=LIMIT, max_field_size=LIMIT, max_headers=LIMIT, auto_decompress=False,
        )  # fmt: skip

    def _all_messages(self, parser: Any, pieces: Iterable[bytes]) -> tuple[End, list[tuple[Any, Any]]]:
        found: list[tuple[Any, Any]] = []
        for piece in pieces:
            try:
                more, switched, _ = parser.feed_data(piece)
            except _REFUSALS:
                return "refused", found
            found += more
            if switched:
                return "switched", found
        return "clean", found

    def _reading(
        self, end: End, found: list[tuple[Any, Any]], start: Callable[[Any], tuple[bytes, ...]]
    ) -> Reading:
        messages: list[Message] = []
        for head, payload in found:
            body, body_end = _body_of(payload)
            message = Message(start(head), plain(head.raw_headers), body, None)
            if body_end != "clean":
                return Reading(tuple(messages), "refused" if end == "refused" else body_end, message)
            messages.append(message)
        return Reading(tuple(messages), end)


def _body_of(payload: Any) -> tuple[bytes, End]:
    """Return the collected body, and how it ended."""
    if not hasattr(payload, "_buffer"):  # aiohttp's constant for a message without a body
        return b"", "clean"
    body = b"".join(payload._buffer)
    if payload.exception() is not None:
        return body, "refused"
    return body, "clean" if payload.is_eof() else "unfinished"


# -- http.client


class _Received(io.BytesIO):
    """Socket and file in one, in which what was not read can still be read."""

    def makefile(self, mode: str) -> _Received:
        return self

    def close(self) -> None: ...


def http_client_response(wire: bytes, method: bytes) -> Reading:
    received = _Received(wire)
    response = http.client.HTTPResponse(cast(socket.socket, received), method=method.decode())
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, ValueError, OSError):
        return Reading((), "refused")
    fields = plain((name.encode("latin-1"), value.encode("latin-1")) for name, value in response.getheaders())
    return Reading((Message((b"%d" % response.status,), fields, body, None),), "clean", rest=received.read())


REQUEST_PARSERS: dict[str, RequestParser] = {
    "h11": h11_requests,
    "aiohttp in C": Aiohttp(http_parser.HttpRequestParserC, http_parser.HttpResponseParserC).requests,
    "aiohttp in Python": Aiohttp(http_parser.HttpRequestParserPy, http_parser.HttpResponseParserPy).requests,
}
RESPONSE_PARSERS: dict[str, ResponseParser] = {
    "h11": h11_response,
    "aiohttp in C": Aiohttp(http_parser.HttpRequestParserC, http_parser.HttpResponseParserC).response,
    "aiohttp in Python": Aiohttp(http_parser.HttpRequestParserPy, http_parser.HttpResponseParserPy).response,
    "http.client": http_client_response,
}
