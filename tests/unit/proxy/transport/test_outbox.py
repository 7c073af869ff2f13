"""What connections send in one turn of the loop goes out at its end, but for the first piece."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence

import pytest
import trustme
import uvloop

from nono.policy.schema.route_rules import NO_IDENTITY
from nono.proxy.http.message import Header, ResponseHead
from nono.proxy.transport.outbox import HELD_BYTES, Outbox
from nono.proxy.transport.turns import Turns
from nono.proxy.upstream.connection import PoolKey, UpstreamConnection
from nono.proxy.upstream.pool import Pool
from support.http1.readers import Keeper, Relay, Wire

KEY = PoolKey("http", "a.test", 80, NO_IDENTITY)


class Note:
    """A writer that notes when it was told to send."""

    def __init__(self, sent: list[str], name: str, *, fails: bool = False) -> None:
        self._sent, self._name, self._fails = sent, name, fails

    def send_held(self) -> None:
        self._sent.append(self._name)
        if self._fails:
            raise OSError("of one connection")


def in_loop(work: Callable[[list[str]], Sequence[object]]) -> tuple[Sequence[object], list[str]]:
    """Return what `work` returned in one turn, and what was sent by the end of the next."""

    async def main() -> tuple[Sequence[object], list[str]]:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        sent = list[str]()
        held = work(sent)
        for _ in range(3):
            await asyncio.sleep(0)
        return held, sent

    return uvloop.run(main())


def test_only_the_first_piece_of_a_turn_is_sent_at_once() -> None:
    def work(sent: list[str]) -> list[object]:
        outbox = Outbox()
        return [outbox.holds(Note(sent, name)) for name in "abc"] + [*sent]

    assert in_loop(work) == ([False, True, True], ["b", "c"])


def test_a_fault_of_one_connection_keeps_no_other_waiting() -> None:
    def work(sent: list[str]) -> list[object]:
        outbox = Outbox()
        return [outbox.holds(Note(sent, name, fails=name == "b")) for name in "abc"]

    assert in_loop(work)[1] == ["b", "c"]


def test_what_is_held_does_not_wait_for_work_that_takes_long() -> None:
    def work(sent: list[str]) -> list[object]:
        def work_for_long(until: float) -> bool:
            sent.append("work")
            return False

        outbox = Outbox()
        for name in "ab":
            outbox.holds(Note(sent, name))
        Turns(outbox.send).start(work_for_long)
        return [*sent]

    assert in_loop(work)[0] == ["b", "work"]


class Sink:
    """Receives one response, or the reason why there is none."""

    def __init__(self) -> None:
        self.failed: str | None = None

    def upstream_failed(self, reason: str, failure: str) -> None:
        self.failed = failure

    def may_go(self) -> bool:
        return True

    def response_started(self, head: ResponseHead) -> None: ...
    def response_interim(self, head: ResponseHead) -> None: ...
    def response_body(self, piece: bytes) -> None: ...
    def response_flush(self) -> None: ...
    def response_finished(self, fields: Sequence[Header], *, reusable: bool) -> None: ...
    def response_switched(self, head: ResponseHead) -> None: ...
    def upstream_writable(self, writable: bool) -> None: ...


async def _sent(
    pieces: Sequence[bytes], planted: bytes, *, is_read: bool = True
) -> tuple[bytes, bytes, str | None]:
    """Write a request's pieces in one turn with others; the upstream sends `planted` before its end.

    is_read: The loop reads what was planted before the held request is sent.

    Returns what the upstream had got within the turn and after it, and the failure.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    pool, outbox, sink = Pool(), Outbox(), Sink()
    made = UpstreamConnection(KEY, pool, Turns(), outbox)
    await asyncio.get_running_loop().create_connection(lambda: made, sock=ours)
    pool.give(made)
    assert pool.take(KEY) is made
    outbox.holds(made)  # another connection has sent the first piece of the turn
    made.begin(sink, b"GET")
    for piece in pieces:
        made.write([piece])
    got = [_read(theirs)]
    if planted:
        theirs.send(planted)
    if not is_read:
        outbox.send()
    for _ in range(4):
        await asyncio.sleep(0)
    got.append(_read(theirs))
    made.abort()
    pool.close()
    theirs.close()
    await asyncio.sleep(0)
    return got[0], got[1], sink.failed


def _read(end: socket.socket) -> bytes:
    try:
        return end.recv(1 << 20)
    except (BlockingIOError, ConnectionResetError):
        return b""


def test_a_request_that_was_held_is_sent_in_order() -> None:
    assert uvloop.run(_sent([b"GET / ", b"HTTP/1.1\r\n\r\n"], b"")) == (b"", b"GET / HTTP/1.1\r\n\r\n", None)


@pytest.mark.parametrize("is_read", [True, False])
def test_bytes_that_came_while_a_request_was_held_are_not_its_response(is_read: bool) -> None:
    planted = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    sent = uvloop.run(_sent([b"GET / HTTP/1.1\r\n\r\n"], planted, is_read=is_read))
    assert sent == (b"", b"", "closed")


@pytest.mark.parametrize("pieces", [[bytes(HELD_BYTES + 1)], [b"a", bytes(HELD_BYTES)]], ids=["one", "many"])
def test_the_transport_learns_of_many_bytes_at_once(pieces: list[bytes]) -> None:
    within, after, _ = uvloop.run(_sent(pieces, b""))
    assert (len(within), after) == (HELD_BYTES + 1, b"")


class Line(Wire):
    """A transport with so many bytes that the kernel has not taken."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self._left = left

    def write(self, data: object) -> None: ...

    def get_write_buffer_size(self) -> int:
        return self._left


class Given(Keeper):
    """Notes whether the connection was given back for another request."""

    is_given = False

    def give(self, connection: UpstreamConnection) -> None:
        self.is_given = True


async def _given_back(pieces: Sequence[bytes], left: int) -> bool:
    """Answer a request in the turn in which its pieces are written. Returns whether it is used again."""
    keeper, relay = Given(), Relay()
    made = UpstreamConnection(KEY, keeper, Turns(), Outbox())
    made.connection_made(Line(left))
    made.begin(relay, b"POST")
    for piece in pieces:
        made.write([piece])
    made.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert relay.end == "clean"
    made.release(reusable=relay.reusable)
    assert made.is_open is keeper.is_given
    return keeper.is_given


@pytest.mark.parametrize(
    ("pieces", "left", "is_given"),
    [
        pytest.param([b"POST /"], 0, True, id="all sent"),
        pytest.param([b"POST /", b"body"], 0, False, id="some held"),
        pytest.param([b"POST /"], 1, False, id="some not taken"),
    ],
)
def test_a_connection_whose_request_is_not_all_sent_gets_no_other(
    pieces: list[bytes], left: int, is_given: bool
) -> None:
    """The rest would be read as the beginning of the next request."""
    assert uvloop.run(_given_back(pieces, left)) is is_given


async def _sent_beside_tickets() -> tuple[bytes, str | None]:
    """Hold the first request of a TLS connection until the server's session tickets are there, unread."""
    authority = trustme.CA()
    trust, identity = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.configure_trust(trust)
    authority.issue_cert("a.test").configure_cert(identity)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = identity.wrap_bio(incoming, outgoing, server_side=True)

    def pump(work: Callable[[], object]) -> object:
        incoming.write(_read(theirs))
        try:
            return work()
        except ssl.SSLWantReadError:
            return b""
        finally:
            theirs.send(outgoing.read())

    pool, outbox, sink = Pool(), Outbox(), Sink()
    made = UpstreamConnection(KEY, pool, Turns(), outbox)
    loop = asyncio.get_running_loop()
    connecting = loop.create_task(
        loop.create_connection(lambda: made, sock=ours, ssl=trust, server_hostname="a.test")
    )
    while server.version() is None:  # its ClientHello has not come
        await asyncio.sleep(0)
        pump(server.do_handshake)
    await connecting
    outbox.holds(made)
    made.begin(sink, b"GET")
    made.write([b"GET / HTTP/1.1\r\n\r\n"])
    pump(server.do_handshake)  # sends the tickets
    assert not made.is_silent
    outbox.send()
    got: object = b""
    async with asyncio.timeout(10):
        while not got and sink.failed is None:
            await asyncio.sleep(0)
            got = pump(lambda: server.read(100))
    made.abort()
    pool.close()
    theirs.close()
    await asyncio.sleep(0)
    assert isinstance(got, bytes)
    return got, sink.failed


def test_session_tickets_are_not_taken_for_a_response() -> None:
    assert uvloop.run(_sent_beside_tickets()) == (b"GET / HTTP/1.1\r\n\r\n", None)


def test_work_goes_on_after_what_comes_before_it_has_failed() -> None:
    async def main() -> list[str]:
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        done, faults = list[str](), [OSError("of one connection")]

        def before() -> None:
            if len(done) == 1 and faults:
                raise faults.pop()

        def work(until: float) -> bool:
            done.append("work")
            return len(done) < 2

        turns = Turns(before)
        if turns.start(work):
            turns.add(work)
        for _ in range(5):
            await asyncio.sleep(0)
        return done

    assert uvloop.run(main()) == ["work", "work"]
