"""nono.proxy.upstream.connection: what was read is parsed in shares, and whole."""

from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nono.policy.schema.route_rules import TlsIdentity
from nono.proxy.http.message import Header, MessageError, ResponseHead
from nono.proxy.transport.outbox import HELD_BYTES, Outbox, Writer
from nono.proxy.transport.turns import Turns, Work
from nono.proxy.upstream.connection import PoolKey, UpstreamConnection
from support.http1.readers import Keeper, Relay, Wire

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
COUNT = 40_000
SHARE = 64 * 1024  # of a read that may be chunked


class PausedWire(Wire):
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class Later(Turns):
    """Keeps all work for a later turn."""

    def __init__(self, *, spent: bool = False) -> None:
        super().__init__()
        self.kept: list[Work] = []
        self._spent = spent

    def is_spent(self) -> bool:
        return self._spent

    def start(self, work: Work) -> bool:
        return True

    def add(self, work: Work) -> None:
        self.kept.append(work)


@pytest.mark.parametrize(("last", "end"), [(b"0\r\n\r\n", "clean"), (b"", "refused")])
def test_the_end_of_a_connection_waits_for_what_was_read_before(last: bytes, end: str) -> None:
    relay, turns = Relay(), Later()
    connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), turns)
    connection.connection_made(PausedWire())
    connection.begin(relay, b"GET")
    connection.data_received(HEAD + b"1\r\nx\r\n" * COUNT + last)
    connection.connection_lost(None)
    assert relay.end == "unfinished"
    [work] = turns.kept
    while work(math.inf):
        pass
    assert (relay.end, relay.faults) == (end, [])
    assert relay.body == b"x" * COUNT


@pytest.mark.parametrize(("surplus", "is_reusable"), [(b"", True), (b"HTTP/1.1 200 OK\r\n\r\n", False)])
@pytest.mark.parametrize("end", [SHARE - 1, SHARE, SHARE + 1])
def test_what_follows_a_response_makes_its_connection_unfit_wherever_a_share_of_the_read_ends(
    end: int, surplus: bytes, is_reusable: bool
) -> None:
    length = end - len(HEAD) - len(b"ffff\r\n\r\n0\r\n\r\n")
    response = HEAD + b"%04x\r\n%b\r\n0\r\n\r\n" % (length, b"x" * length)
    assert len(response) == end
    relay = Relay()
    connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), Later())
    connection.connection_made(PausedWire())
    connection.begin(relay, b"GET")
    connection.data_received(response + surplus)
    assert (relay.end, relay.reusable, relay.faults) == ("clean", is_reusable, [])


class Leaving(Relay):
    """Lets the connection go at an interim response."""

    connection: UpstreamConnection

    def response_interim(self, head: ResponseHead) -> None:
        super().response_interim(head)
        self.connection.abort()


@pytest.mark.parametrize("rest", [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"no HTTP\r\n\r\n"])
def test_who_has_let_the_connection_go_is_told_nothing_of_the_rest_of_a_read(rest: bytes) -> None:
    relay = Leaving()
    relay.connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), Later())
    relay.connection.connection_made(PausedWire())
    relay.connection.begin(relay, b"GET")
    relay.connection.data_received(b"HTTP/1.1 103 Early Hints\r\n\r\n" + rest)
    assert (relay.interim, relay.head, relay.body, relay.end) == ([103], None, b"", "unfinished")
    assert relay.faults == []


class Switched(Relay):
    def response_switched(self, head: ResponseHead) -> None:
        self.end = "switched"


@pytest.mark.parametrize(("lost", "end"), [(False, "switched"), (True, "refused")])
def test_a_switch_that_was_lost_before_its_turn_came_is_a_failure(lost: bool, end: str) -> None:
    relay, turns = Switched(), Later(spent=True)
    connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), turns)
    connection.connection_made(PausedWire())
    connection.begin(relay, b"GET", may_switch=True)
    connection.data_received(SWITCH + bytes(20_000))
    if lost:
        connection.connection_lost(ConnectionResetError())
    [work] = turns.kept
    work(math.inf)
    assert (relay.end, relay.faults) == (end, [])


class Successor(asyncio.Protocol):
    def __init__(self) -> None:
        self.told: list[Exception | None] = []

    def connection_lost(self, exc: Exception | None) -> None:
        self.told.append(exc)


class HandedOver(Relay):
    """Takes the connection over at a switch."""

    connection: UpstreamConnection
    after = b""

    def response_switched(self, head: ResponseHead) -> None:
        _, self.after = self.connection.hand_over(Successor())


class Lent(PausedWire):
    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None: ...


def test_all_bytes_of_a_read_after_a_switch_go_to_who_takes_the_connection_over() -> None:
    relay = HandedOver()
    relay.connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), Later())
    relay.connection.connection_made(Lent())
    relay.connection.begin(relay, b"GET", may_switch=True)
    after = bytes(range(256)) * (3 * SHARE // 256)
    relay.connection.data_received(SWITCH + after)
    assert (relay.after == after, relay.faults) == (True, [])


def test_who_took_a_connection_over_is_told_of_the_end_that_the_loop_had_on_its_way() -> None:
    connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), Later())
    connection.connection_made(Lent())
    connection.begin(Relay(), b"GET", may_switch=True)
    connection.data_received(SWITCH)
    connection.hand_over(successor := Successor())
    reset = ConnectionResetError()
    connection.connection_lost(reset)
    assert successor.told == [reset]


class Faulty(Relay):
    def response_body(self, piece: bytes) -> None:
        raise ZeroDivisionError


def test_a_fault_in_a_later_turn_ends_the_connection() -> None:
    """Nothing else would: the loop ends only that of a read that it has passed on itself."""
    relay, turns, wire = Faulty(), Later(spent=True), PausedWire()
    connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), turns)
    connection.connection_made(wire)
    connection.begin(relay, b"GET")
    connection.data_received(HEAD + b"1\r\nx\r\n" * COUNT)
    [work] = turns.kept
    with pytest.raises(ZeroDivisionError):
        work(math.inf)
    assert wire.is_closing()


Shown = tuple[int | None, bytes, tuple[Header, ...], str, tuple[int, ...], tuple[str, ...]]


def shown(content: bytes, method: bytes, size: int, *, spent: bool, until: float) -> Shown:
    """Return what a sink gets of `content`, read in pieces of `size` bytes."""
    relay, turns, wire = Relay(), Later(spent=spent), PausedWire()
    connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), turns)
    connection.connection_made(wire)
    connection.begin(relay, method)
    for start in range(0, len(content), size):
        if not wire.is_closing():
            connection.data_received(content[start : start + size])
    if not wire.is_closing():
        connection.eof_received()
        connection.connection_lost(None)
    while turns.kept:
        work = turns.kept.pop()
        if work(until):
            turns.kept.append(work)
    status = None if relay.head is None else relay.head.status
    return status, relay.body, tuple(relay.fields), relay.end, tuple(relay.interim), tuple(relay.faults)


CHUNKS = (b"1\r\nx\r\n", b"1;e=1\r\nx\r\n", b"2\r\nab\r\n", b"1000\r\n" + b"y" * 4096 + b"\r\n")
RUNS = st.lists(st.tuples(st.sampled_from(CHUNKS), st.sampled_from([1, 200, 3000, 12_000])), max_size=3)
ENDS = (b"0\r\n\r\n", b"0\r\nT: v\r\n\r\n", b"", b"g\r\n", b"0\r\n" + b"T: v\r\n" * 101 + b"\r\n", b"-1\r\n")


@given(
    st.sampled_from([b"GET", b"HEAD"]),
    st.sampled_from([0, 1, 17]),
    RUNS,
    st.sampled_from(ENDS),
    st.sampled_from([b"", b"\r\n", b"X" * 20_000, HEAD]),
    st.booleans(),
    st.sampled_from([0, math.inf]),
)
@settings(max_examples=60, deadline=None)
def test_what_is_parsed_in_shares_is_what_small_reads_say(
    method: bytes,
    interim: int,
    runs: list[tuple[bytes, int]],
    end: bytes,
    rest: bytes,
    spent: bool,
    until: float,
) -> None:
    body = b"".join(piece * min(count, 30 if len(piece) > 100 else count) for piece, count in runs)
    content = b"HTTP/1.1 103 E\r\n\r\n" * interim + HEAD + body + end + rest
    small = shown(content, method, 16 * 1024, spent=spent, until=until)
    assert shown(content, method, 256 * 1024, spent=spent, until=until) == small
    assert small[-1] == ()


class Refusing(Relay):
    """Has no use for any response, such as one whose body cannot be searched."""

    def response_started(self, head: ResponseHead) -> None:
        raise MessageError("it cannot be searched")


@pytest.mark.parametrize("rest", [b"hi", b"h", b""])
def test_of_a_response_that_is_refused_by_its_head_no_body_is_passed(rest: bytes) -> None:
    relay, wire = Refusing(), PausedWire()
    connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), Keeper(), Later())
    connection.connection_made(wire)
    connection.begin(relay, b"GET")
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + rest)
    assert (relay.body, relay.end, relay.faults, wire.is_closing()) == (b"", "refused", [], True)


class Sending(PausedWire):
    """Keeps what is written; `unsent` bytes of it are not yet with the kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.unsent = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent


class Pool(Keeper):
    def __init__(self) -> None:
        self.given: list[UpstreamConnection] = []

    def give(self, connection: UpstreamConnection) -> None:
        self.given.append(connection)


class Holding(Outbox):
    """Has every piece wait for the end of the turn."""

    def holds(self, writer: Writer) -> bool:
        return True


ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def served(outbox: Outbox | None = None) -> tuple[UpstreamConnection, Sending, Pool]:
    """Return a connection over which a request was answered."""
    wire, pool, relay = Sending(), Pool(), Relay()
    connection = UpstreamConnection(PoolKey("http", "a", 80, TlsIdentity()), pool, Later(), outbox)
    connection.connection_made(wire)
    connection.begin(relay, b"GET")
    connection.write([b"GET / HTTP/1.1\r\n\r\n"])
    connection.send_held()
    connection.data_received(ANSWER)
    assert relay.end == "clean"
    return connection, wire, pool


@pytest.mark.parametrize(
    "spoiled", [None, "a body held", "a body unsent", "surplus", "closing", "not reusable"]
)
def test_a_connection_goes_back_to_the_pool_only_if_nothing_is_left_on_it(spoiled: str | None) -> None:
    connection, wire, pool = served(Holding())
    if spoiled == "a body held":
        connection.write([b"body"])
    elif spoiled == "a body unsent":
        wire.unsent = 1
    elif spoiled == "surplus":
        connection.data_received(ANSWER)
    elif spoiled == "closing":
        wire.abort()
    connection.release(reusable=spoiled != "not reusable")
    assert pool.given == ([connection] if spoiled is None else [])
    assert wire.is_closing() is (spoiled is not None)


@pytest.mark.parametrize("is_early", [True, False])
def test_a_response_to_a_request_that_still_waits_is_none(is_early: bool) -> None:
    """It was sent for nothing, perhaps for a body left on the connection: it must not answer this request."""
    connection, wire, _ = served(Holding())
    relay, before = Relay(), wire.written
    connection.begin(relay, b"GET")
    connection.write([b"GET /next HTTP/1.1\r\n\r\n"])
    if not is_early:
        connection.send_held()
    connection.data_received(ANSWER)
    assert relay.end == ("refused" if is_early else "clean")
    assert (wire.written == before) is is_early


def test_bytes_before_the_next_request_end_the_connection() -> None:
    connection, wire, _ = served()
    connection.data_received(ANSWER)
    assert wire.is_closing()


@pytest.mark.parametrize(
    ("sizes", "sent"),
    [([HELD_BYTES], 0), ([HELD_BYTES + 1], HELD_BYTES + 1), ([1, HELD_BYTES], HELD_BYTES + 1)],
)
def test_what_waits_for_the_end_of_a_turn_is_bounded(sizes: list[int], sent: int) -> None:
    connection, wire, _ = served(Holding())
    before = len(wire.written)
    connection.begin(Relay(), b"POST")
    for size in sizes:
        connection.write([bytes(size)])
    assert len(wire.written) - before == sent


def test_nothing_is_written_to_an_upstream_that_closes() -> None:
    connection, wire, _ = served()
    before = wire.written
    connection.begin(Relay(), b"POST")
    wire.abort()
    connection.write([b"body"])
    assert wire.written == before
    held, wire, _ = served(Holding())
    before = wire.written
    held.begin(Relay(), b"POST")
    held.write([b"body"])
    wire.abort()
    held.send_held()
    assert wire.written == before
