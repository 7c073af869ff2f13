"""What the proxy accepts is read by no other HTTP/1.1 parser in another way, on either side of it.

The other parsers are h11, both of aiohttp, http.client for responses and a real nginx for requests.
"""

from __future__ import annotations

import os
import re
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nono.proxy.http.request_reader import Incoming, RequestReader, Unreadable
from support.http1.grammar import cuts, request_streams, response_streams
from support.http1.readers import (
    REQUEST_PARSERS,
    RESPONSE_PARSERS,
    Message,
    Reading,
    h11_requests,
    nono_incoming,
    nono_requests,
    nono_response,
    sent_by_nono,
)
from support.proxy.thread import PHANTOM, Client, ProxyUnderTest, a_route, proxy
from support.servers.http1 import Gone, HttpUpstream, Received, upstream
from support.servers.nginx import FIELDS, NGINX, Nginx, Understood, nginx

CORPUS = sorted((Path(__file__).parents[2] / "corpus/http1").glob("*.http"))
REQUESTS = [
    pytest.param(path.read_bytes(), id=path.stem) for path in CORPUS if path.stem.startswith("request")
]
RESPONSES = [
    pytest.param(path.read_bytes(), id=path.stem) for path in CORPUS if path.stem.startswith("response")
]
METHODS = [b"GET", b"POST", b"HEAD"]
SENTINEL = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nsentinel"
LONG = bool(os.environ.get("NONO_TEST_LONG"))


def examples(in_ci: int, long: int) -> settings:
    unhurried = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(max_examples=long if LONG else in_ci, suppress_health_check=unhurried)


# -- requests, by parsers that are fed directly


def differs(mine: Reading, theirs: Reading, parser: str) -> str | None:
    """Return how another parser misreads bytes that nono accepts; it may refuse them, at any message."""
    for number, (ours, read) in enumerate(zip(mine.messages, theirs.messages, strict=False)):
        if parser == "h11":  # it shows the coding in lower case
            ours = _with_plain_coding(ours)
        if parser == "aiohttp in C" and number:
            # It takes the trailer fields of a request for fields of the next, which is why none is sent.
            read = read._replace(fields=read.fields[len(read.fields) - len(ours.fields) :])
        if not ours.says(read):
            return f"message {number} is {read}, and for nono {ours}"
    if theirs.end == "refused":
        return None
    unread = len(mine.messages) - len(theirs.messages)
    # What follows a CONNECT is a body to one parser and no HTTP to another.
    if unread > 0 and not (unread == 1 and mine.messages[-1].start[0] == b"CONNECT"):
        return f"only {len(theirs.messages)} messages, then {theirs.end}"
    if mine.end == "unfinished" and unread < 0:
        return "a message is complete that nono waits for"
    return None


def _with_plain_coding(message: Message) -> Message:
    fields = [
        (name, value.lower() if name == b"transfer-encoding" else value) for name, value in message.fields
    ]
    return message._replace(fields=tuple(fields))


def sent(wire: bytes) -> tuple[list[Message], list[bytes]]:
    """Return what the proxy sends for the requests that it reads in wire, where it sends them at all."""
    incoming, _ = nono_incoming([wire])
    pairs = [sent_by_nono(one, b"up.test") for one in incoming if one.complete and is_sent(one)]
    return [message for message, _ in pairs], [written for _, written in pairs]


def is_sent(request: Incoming) -> bool:
    head = request.head
    return head.target.startswith(b"/") and not head.wants_upgrade and head.method != b"CONNECT"


def assert_read_as(messages: list[Message], reading: Reading, parser: str) -> None:
    """Check that whoever does not refuse the proxy's own bytes reads every message in them."""
    for ours, theirs in zip(messages, reading.messages, strict=False):
        assert ours.says(theirs), (parser, theirs)
    # aiohttp refuses a Content-Type that comes twice, among others, and a Host that is none.
    if parser == "h11" or reading.end != "refused":
        assert reading.end == "clean", parser
        assert len(reading.messages) == len(messages), parser


def check_request_parsers(wire: bytes) -> None:
    mine = nono_requests([wire])
    messages, written = sent(wire)
    for parser, read in REQUEST_PARSERS.items():
        if mine.messages:
            assert differs(mine, read(wire), parser) is None, parser
        assert_read_as(messages, read(b"".join(written)), parser)


@pytest.mark.timeout(1800)
@examples(800, 100_000)
@given(request_streams())
def test_a_request_that_is_accepted_says_the_same_to_every_parser(wire: bytes) -> None:
    check_request_parsers(wire)


@pytest.mark.parametrize("wire", REQUESTS)
def test_a_request_of_the_corpus_says_the_same_to_every_parser(wire: bytes) -> None:
    check_request_parsers(wire)


# -- requests, by nginx


def shown(fields: tuple[tuple[bytes, bytes], ...]) -> dict[str, bytes]:
    """Return fields as nginx logs them: repeated ones as a list, names in the variable's spelling."""
    joined: dict[str, bytes] = {}
    for raw_name, value in fields:
        name = raw_name.decode("latin-1").replace("_", "-")
        if name in joined:
            joined[name] += (b"; " if name == "cookie" else b", ") + value
        elif name in FIELDS:
            joined[name] = value
    return _trimmed(joined)


def _trimmed(fields: dict[str, bytes]) -> dict[str, bytes]:
    """Return fields without the tabs that nginx leaves before a value, even one it joined to others."""
    bare = {name: _parts_trimmed(value, b";" if name == "cookie" else b",") for name, value in fields.items()}
    return {name: value for name, value in bare.items() if value}


def _parts_trimmed(value: bytes, separator: bytes) -> bytes:
    return (separator + b" ").join(part.strip(b" \t") for part in value.split(separator))


def nginx_differs(message: Message, read: Understood) -> bool:
    understood = ((read.method, read.target), _trimmed(read.fields), read.body)
    return understood != (message.start, shown(message.fields), message.body)


def check_nginx(server: Nginx, wire: bytes) -> None:
    mine = nono_requests([wire])
    if mine.messages and all(message.start[1].startswith(b"/") for message in mine.messages):
        entries = server.read(wire)
        for message, read in zip(mine.messages, entries, strict=False):
            assert read.status != 200 or not nginx_differs(message, read), (message, read)
        refused = bool(entries) and entries[-1].status != 200
        assert refused or len(entries) >= len(mine.messages), (mine, entries)
    messages, written = sent(wire)
    # nginx closes after what it does not do: TRACE, and a path that leads above the root.
    entries = server.read(b"".join(written))
    for message, one, read in zip(messages, written, entries, strict=False):
        if read.status != 200:
            assert read.status in (400, 405)
            assert read is entries[-1]
            return
        assert not nginx_differs(message, read), (message, read)
        assert read.length == len(one), (message, read)
    assert len(entries) == len(messages), (messages, entries)


@pytest.fixture(scope="module")
def server() -> Iterator[Nginx]:
    if NGINX is None:
        pytest.skip("nginx is not installed")
    with nginx() as running:
        yield running


@pytest.mark.timeout(600)
@examples(400, 20_000)
@given(wire=request_streams())
@example(b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=b\r\nCookie: \t c=d\r\n\r\n")
def test_a_request_that_is_accepted_says_the_same_to_nginx(server: Nginx, wire: bytes) -> None:
    check_nginx(server, wire)


@pytest.mark.parametrize("wire", REQUESTS)
def test_a_request_of_the_corpus_says_the_same_to_nginx(server: Nginx, wire: bytes) -> None:
    check_nginx(server, wire)


# -- responses


def check_response_parsers(wire: bytes, method: bytes) -> None:
    relayed = nono_response([wire], method)
    if not relayed.reading.messages:
        return
    (mine,) = relayed.reading.messages
    for parser, read in RESPONSE_PARSERS.items():
        if parser != "http.client":  # it knows no "chunked " with a blank, and reads a body of a 304
            theirs = read(wire, method)
            ours = _with_plain_coding(mine) if parser == "h11" else mine
            if theirs.messages:
                assert ours.says(theirs.messages[0]._replace(trailers=None)), (parser, theirs)
            else:
                assert theirs.end == "refused", (parser, theirs)
        client_reads = read(relayed.wire + SENTINEL, method)
        assert len(client_reads.messages) == 1, (parser, relayed)
        (theirs_of_ours,) = client_reads.messages
        assert theirs_of_ours.start == mine.start, parser
        assert theirs_of_ours.body == mine.body, parser
        assert client_reads.rest == SENTINEL, parser


@pytest.mark.timeout(1800)
@examples(800, 100_000)
@given(response_streams(), st.sampled_from(METHODS))
def test_a_response_that_is_relayed_says_the_same_to_every_client(wire: bytes, method: bytes) -> None:
    check_response_parsers(wire, method)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wire", RESPONSES)
def test_a_response_of_the_corpus_says_the_same_to_every_client(wire: bytes, method: bytes) -> None:
    check_response_parsers(wire, method)


# -- however the bytes are cut


@pytest.mark.timeout(600)
@examples(400, 20_000)
@given(st.data(), request_streams())
def test_how_the_bytes_of_requests_are_cut_does_not_matter(data: st.DataObject, wire: bytes) -> None:
    whole = nono_requests([wire])
    assert nono_requests(data.draw(cuts(wire))) == whole
    assert nono_requests([wire[at : at + 1] for at in range(len(wire))]) == whole


@pytest.mark.timeout(600)
@examples(400, 20_000)
@given(st.data(), response_streams(), st.sampled_from(METHODS))
def test_how_the_bytes_of_a_response_are_cut_does_not_matter(
    data: st.DataObject, wire: bytes, method: bytes
) -> None:
    whole = nono_response([wire], method)
    for pieces in (data.draw(cuts(wire)), [wire[at : at + 1] for at in range(len(wire))]):
        cut = nono_response(pieces, method)
        assert cut.reading == whole.reading
        assert cut.interim == whole.interim
        assert not whole.reusable or cut.reusable


@examples(300, 20_000)
@given(st.lists(st.binary(max_size=80), max_size=5))
def test_no_bytes_whatever_raise(pieces: list[bytes]) -> None:
    assert nono_requests(pieces).messages == ()
    nono_response([piece for piece in pieces if piece], b"GET")


# -- the whole proxy


FIELDS_OF_A_CALL = ((b"Host", b"127.0.0.1"), (b"X-Api-Key", PHANTOM.encode()))
CALL = b"GET /alpha/x HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Api-Key: %b\r\n\r\n" % PHANTOM.encode()
LAST = CALL.replace(b"/x", b"/last").removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"
STATUS_LINE = re.compile(rb"HTTP/1\.1 [0-9]{3} ")


class Through:
    """A proxy with one upstream, and what the upstream received for one example after another."""

    def __init__(self, running: ProxyUnderTest, server: HttpUpstream) -> None:
        self.running = running
        self._server = server
        self._seen: dict[int, int] = {}

    def exchange(self, wire: bytes) -> bytes:
        """Return what a client gets for wire, whose last request or first fault ends the connection."""
        answers = b""
        with Client(self.running.port) as client, suppress(ConnectionResetError):
            client.send(wire)
            while piece := client.receive():
                answers += piece
        return answers

    def received(self) -> list[bytes]:
        """Return the bytes since the last call, of each connection that got any."""
        new: list[bytes] = []
        for connection in [*self._server.connections]:
            raw = connection.raw
            new.append(raw[self._seen.get(connection.number, 0) :])
            self._seen[connection.number] = len(raw)
        return [raw for raw in new if raw]


def answer_with_mark(request: Received) -> None:
    body = request.read_body()
    request.connection.respond(body=b"read %d" % len(body))


@pytest.fixture(scope="module")
def through() -> Iterator[Through]:
    with upstream(answer_with_mark) as server, proxy(a_route(server.port, drains=True)) as running:
        yield Through(running, server)


def ends(wire: bytes) -> bool:
    """Return True if the proxy has to close after wire, and every request of it is one for an upstream."""
    incoming, end = nono_incoming([wire])
    ordinary = all(not one.head.wants_upgrade and one.head.method != b"CONNECT" for one in incoming)
    return ordinary and end in ("switched", "refused")


@pytest.mark.timeout(600)
@examples(250, 5_000)
@given(request_streams(b"/alpha", FIELDS_OF_A_CALL))
def test_an_upstream_reads_only_what_was_judged(through: Through, wire: bytes) -> None:
    wire += LAST
    if not ends(wire):
        return  # it would wait for more, as it should
    answers = through.exchange(wire)
    incoming, end = nono_incoming([wire])
    judged = [one.head.method for one in incoming]
    assert answers or end == "refused"
    count = 0
    methods = iter(judged)
    for raw in through.received():
        messages = list(h11_requests(raw).messages)
        assert all(message.start[0] in methods for message in messages), (judged, messages)
        assert all(message.trailers == () for message in messages)
        count += len(messages)
        whole = raw if h11_requests(raw).end == "clean" else None  # else cut off, at a fault in a body
        for parser, read in REQUEST_PARSERS.items():
            if whole is not None:
                assert_read_as(messages, read(whole), parser)
    # A reset, behind a fault that came when a response was out, may take answers with it, and adds none.
    assert len(STATUS_LINE.findall(answers)) <= len(judged) + 1
    assert answers.count(b"read ") <= count


class Script:
    """What the upstream answers."""

    answer = b""


@pytest.fixture(scope="module")
def scripted() -> Iterator[tuple[Through, Script]]:
    script = Script()

    def handler(request: Received) -> None:
        if request.target == b"/last":
            request.connection.send(SENTINEL)
        else:
            request.connection.send(script.answer)
            raise Gone

    with upstream(handler) as server, proxy(a_route(server.port)) as running:
        yield Through(running, server), script


@pytest.mark.timeout(600)
@examples(250, 5_000)
@given(response_streams(), st.sampled_from(METHODS))
def test_a_client_reads_one_response_for_each_request(
    scripted: tuple[Through, Script], wire: bytes, method: bytes
) -> None:
    through, script = scripted
    script.answer = wire
    answers = through.exchange(CALL.replace(b"GET", method, 1) + LAST)
    relayed = nono_response([wire], method)
    for parser, read in RESPONSE_PARSERS.items():
        if parser == "http.client" and relayed.interim:
            continue  # it takes 103 for a final response
        first = read(answers, method)
        if not first.messages:
            assert not relayed.reading.messages, (parser, answers)
            # Cut off, with no end that looks like one; a reset may even take the head with it.
            assert first.end == "refused" or not answers, (parser, answers)
            continue
        (message,) = first.messages
        if relayed.reading.messages:
            assert message.start == relayed.reading.messages[0].start
            assert message.body == relayed.reading.messages[0].body
        else:
            assert message.start == (b"502",)
        (last,) = read(first.rest, b"GET").messages
        assert last.body == b"sentinel"


def test_trailers_of_a_request_do_not_become_fields_of_the_next(through: Through) -> None:
    coding = CALL.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n").replace(b"GET", b"POST")
    answers = through.exchange(coding + b"1\r\nx\r\n0\r\nX-Smuggled: 1\r\n\r\n" + LAST)
    (raw,) = through.received()
    assert len(STATUS_LINE.findall(answers)) == 2
    read = REQUEST_PARSERS["aiohttp in C"](raw)
    assert [message.start[0] for message in read.messages] == [b"POST", b"GET"]
    assert b"smuggled" not in raw.lower()


@pytest.mark.parametrize(
    ("framing", "status"),
    [
        pytest.param(b"", b"200", id="no body"),
        pytest.param(b"Content-Length: 0\r\n", b"200", id="empty body"),
        pytest.param(b"Content-Length: 3\r\n", b"400", id="length"),
        pytest.param(b"Transfer-Encoding: chunked\r\n", b"400", id="chunked"),
    ],
)
def test_no_body_is_announced_where_llhttp_reads_none(
    through: Through, framing: bytes, status: bytes
) -> None:
    handshake = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    handshake += b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    answers = through.exchange(CALL.removesuffix(b"\r\n") + handshake + framing + b"\r\n")
    assert answers.startswith(b"HTTP/1.1 " + status)
    assert len(through.received()) == (status == b"200")


def test_a_field_that_cgi_takes_for_a_removed_one_is_removed_as_well(through: Through) -> None:
    fields = (
        b"X_Api_Key: own\r\nContent_Length: 9\r\nTransfer_Encoding: chunked\r\nProxy_Authorization: x\r\n"
    )
    through.exchange(CALL.removesuffix(b"\r\n") + fields + b"X_Kept: 1\r\nConnection: close\r\n\r\n")
    (raw,) = through.received()
    (read,) = h11_requests(raw).messages
    assert [name for name, _ in read.fields] == [b"host", b"x_kept", b"authorization"]


# -- bounds

REQUEST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\n"
ENDLESS = {
    "blank lines before a head": (b"", b"\r\n"),
    "a method": (b"", b"G"),
    "a target": (b"GET /", b"a"),
    "a name": (REQUEST, b"X"),
    "a value": (REQUEST + b"X: ", b"a"),
    "blanks before a value": (REQUEST + b"X:", b" "),
    "fields": (REQUEST, b"X: 1\r\n"),
    "zeros of a length": (REQUEST + b"Content-Length: ", b"0"),
    "zeros of a chunk size": (REQUEST + CHUNKED, b"0"),
    "a chunk extension": (REQUEST + CHUNKED + b"1;", b"a"),
    "chunk extensions": (REQUEST + CHUNKED + b"1", b";a=b"),
    "a quoted chunk extension": (REQUEST + CHUNKED + b'1;a="', b"a"),
    "chunks with extensions": (REQUEST + CHUNKED, b"1;a=b\r\nx\r\n"),
    "a large chunk": (REQUEST + CHUNKED + b"7fffffffffffffff\r\n", b"x"),
    "a large length": (REQUEST + b"Content-Length: 999999999999999999\r\n\r\n", b"x"),
    "trailers": (REQUEST + CHUNKED + b"0\r\n", b"X: 1\r\n"),
    "a trailer": (REQUEST + CHUNKED + b"0\r\nX: ", b"1"),
    "requests": (b"", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
}
ENDLESS_RESPONSES = {
    "blank lines before a head": (b"", b"\r\n"),
    "a version": (b"HTTP/1.", b"1"),
    "a reason": (b"HTTP/1.1 200 ", b"a"),
    "a name": (RESPONSE, b"X"),
    "a value": (RESPONSE + b"X: ", b"a"),
    "fields": (RESPONSE, b"X: 1\r\n"),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
    "a chunk extension": (RESPONSE + CHUNKED + b"1;", b"a"),
    "trailers": (RESPONSE + CHUNKED + b"0\r\n", b"X: 1\r\n"),
    "responses": (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
}
MAX_MEMORY = 1 << 20  # a head of 64 KiB, in whatever form Python keeps its parts


def read_and_drop(start: bytes, again: bytes, size: int) -> int:
    """Return the peak memory while size bytes of `again` are read, by an owner who takes what is there."""
    reader = RequestReader()
    piece = (again * (4096 // len(again) + 1))[: 4096 // len(again) * len(again)]
    tracemalloc.start()
    try:
        for data in (start, *repeat(piece, size // len(piece))):
            reader.feed(data)
            while len(reader.queue) > 1:
                reader.queue.popleft()
            for request in reader.queue:
                if isinstance(request, Incoming):
                    request.pieces.clear()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("start", "again"), ENDLESS.values(), ids=ENDLESS)
def test_what_never_ends_takes_little_memory(start: bytes, again: bytes) -> None:
    assert read_and_drop(start, again, 2 << 20) < MAX_MEMORY


@pytest.mark.parametrize(("start", "again"), ENDLESS_RESPONSES.values(), ids=ENDLESS_RESPONSES)
def test_a_response_that_never_ends_takes_little_memory(start: bytes, again: bytes) -> None:
    piece = again * (4096 // len(again))
    tracemalloc.start()
    try:
        nono_response((start, *repeat(piece, 1000)) if start else repeat(piece, 1000), b"GET")
        assert tracemalloc.get_traced_memory()[1] < MAX_MEMORY
    finally:
        tracemalloc.stop()


def cpu_s(start: bytes, again: bytes, count: int) -> float:
    """Processor time to read count times again, one byte at a time."""

    def once() -> float:
        reader = RequestReader()
        reader.feed(start)
        pieces = [again[at : at + 1] for at in range(len(again))]
        begin = time.thread_time()
        for _ in range(count):
            for piece in pieces:
                reader.feed(piece)
        return time.thread_time() - begin

    return min(once() for _ in range(3))


@pytest.mark.parametrize(("start", "again"), ENDLESS.values(), ids=ENDLESS)
def test_reading_byte_by_byte_takes_time_in_proportion(start: bytes, again: bytes) -> None:
    few = 6_000 // len(again)
    assert cpu_s(start, again, 8 * few) < 3 * 8 * cpu_s(start, again, few) + 0.05


def test_blank_lines_without_end_are_refused() -> None:
    reader = RequestReader()
    reader.feed(b"\r\n" * 10)
    assert not reader.queue
    for _ in range(20):
        reader.feed(b"\r\n" * 2048)
    assert [type(one) for one in reader.queue] == [Unreadable]
