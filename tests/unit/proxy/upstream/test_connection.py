"""nono.proxy.upstream.connection: what was read is parsed in shares, and whole."""

from __future__ import annotations

import math

import pytest

from nono.policy.schema.route_rules import TlsIdentity
from nono.proxy.http.message import ResponseHead
from nono.proxy.transport.turns import Turns, Work
from nono.proxy.upstream.connection import PoolKey, UpstreamConnection
from support.http1.readers import Keeper, Relay, Wire

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
COUNT = 40_000


class PausedWire(Wire):
    def pause_reading(self) -> None: ...


class Later(Turns):
    """Keeps all work for a later turn."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Work] = []

    def is_spent(self) -> bool:
        return False

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
