"""Queries that reach the sockets of the name server are answered there, and nothing else is."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import ip_address

import pytest

from nono.audit.event import Event
from nono.audit.event import part as part_of
from nono.policy.hosts.host_filter import Refuse
from nono.supervisor.look_ups import tcp_name_server
from nono.supervisor.look_ups.name_server import LookUps, NameServer
from nono.supervisor.look_ups.tcp_name_server import TcpNameServer
from nono.supervisor.verdict.virtual_addresses import VirtualAddresses
from support.servers.dns import query

REFUSAL = Refuse("not granted", None, None, "--allow-domain refused.test")


class Served:
    """A name server on loopback, and a client of it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        names = VirtualAddresses(lambda name: None if name == "granted.test" else REFUSAL, "laptop")
        look_ups = LookUps(names, self._record)
        bound = socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        bound.bind(("127.0.0.1", 0))
        self.address = bound.getsockname()
        self.server = NameServer([bound.detach()], look_ups)
        self.by_tcp = TcpNameServer(look_ups)
        self.fails = False

    def _record(self, event: Event) -> None:
        if self.fails:
            raise OSError("disk full")
        self.events.append(event)

    def client(self) -> socket.socket:
        client = socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        client.connect(self.address)
        return client


def play(part: Callable[[Served], Awaitable[None]]) -> Served:
    async def main() -> Served:
        served = Served()
        try:
            async with asyncio.timeout(20):
                await part(served)
        finally:
            served.server.close()
            served.by_tcp.close()
        return served

    return asyncio.run(main())


async def asked(client: socket.socket, message: bytes) -> bytes:
    client.send(message)
    return await asyncio.get_running_loop().sock_recv(client, 4096)


def test_a_look_up_is_answered_and_a_refused_one_reported() -> None:
    async def part(served: Served) -> None:
        with served.client() as client:
            granted = await asked(client, query("granted.test"))
            assert granted.endswith(bytes((198, 18, 0, 1)))
            assert served.events == []
            refused = await asked(client, query("refused.test"))
            assert refused[3] & 0xF == 3  # NXDOMAIN

    assert [part_of(event, "event")["target"] for event in play(part).events] == ["refused.test"]


def test_a_refusal_that_cannot_be_recorded_is_a_refusal_all_the_same() -> None:
    async def part(served: Served) -> None:
        served.fails = True
        with served.client() as client:
            assert (await asked(client, query("refused.test")))[3] & 0xF == 3

    play(part)


@pytest.mark.parametrize("message", [b"", b"x", query("granted.test")[:-1]])
def test_what_is_no_query_gets_no_answer_and_delays_none(message: bytes) -> None:
    async def part(served: Served) -> None:
        with served.client() as client:
            client.send(message)
            assert (await asked(client, query("granted.test"))).endswith(bytes((198, 18, 0, 1)))

    play(part)


def test_a_client_that_has_left_before_its_answer_ends_nothing() -> None:
    async def part(served: Served) -> None:
        for _ in range(3):
            with served.client() as gone:
                gone.send(query("granted.test"))
        with served.client() as client:
            assert await asked(client, query("granted.test"))

    play(part)


def test_after_the_end_nobody_answers() -> None:
    async def part(served: Served) -> None:
        served.server.close()
        with served.client() as client:
            client.send(query("granted.test"))
            with pytest.raises(ConnectionRefusedError):
                await asked(client, query("granted.test"))

    play(part)


@pytest.fixture(autouse=True)
def nothing_ends_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a connection end for what is sent on it, if it ends."""
    monkeypatch.setattr(tcp_name_server, "OPEN_S", 1000.0)


def led(served: Served, *, is_expected: bool = True) -> socket.socket:
    """Connect to the name server as the supervisor does for its command, in one turn of the loop."""
    client = socket.create_connection(served.by_tcp.address().for_family(socket.AF_INET))
    client.setblocking(False)
    if is_expected:
        served.by_tcp.expect(client.getsockname(), 0)
    return client


def framed(*messages: bytes) -> bytes:
    return b"".join(len(each).to_bytes(2, "big") + each for each in messages)


async def read(client: socket.socket, length: int) -> bytes:
    received = b""
    while len(received) < length:
        piece = await asyncio.get_running_loop().sock_recv(client, length - len(received))
        if not piece:
            break
        received += piece
    return received


def test_queries_over_tcp_are_answered_however_they_are_cut() -> None:
    sent = framed(query("granted.test"), query("refused.test"), query("granted.test"))
    lengths = [46, 30, 46]

    async def part(served: Served) -> None:
        with led(served) as client:
            for at in range(0, len(sent), 7):
                await asyncio.get_running_loop().sock_sendall(client, sent[at : at + 7])
            said = [await read(client, 2 + each) for each in lengths]
            assert [int.from_bytes(each[:2], "big") for each in said] == lengths
            assert said[0].endswith(bytes((198, 18, 0, 1)))

    assert len(play(part).events) == 1


@pytest.mark.parametrize("sent", [framed(b"no query"), b"\xff\xff", framed(b"")])
def test_what_is_no_query_over_tcp_ends_its_connection(sent: bytes) -> None:
    async def part(served: Served) -> None:
        with led(served) as client:
            await asyncio.get_running_loop().sock_sendall(client, sent)
            assert await read(client, 1) == b""

    play(part)


def test_a_connection_that_nobody_led_there_is_closed() -> None:
    async def part(served: Served) -> None:
        with led(served, is_expected=False) as client, suppress(ConnectionResetError):
            assert await read(client, 1) == b""

    play(part)


def test_a_bounded_number_of_connections_is_expected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_name_server, "EXPECTED_MAX", 1)

    async def part(served: Served) -> None:
        with led(served) as first, led(served) as second:
            with suppress(ConnectionResetError):
                assert await read(first, 1) == b""
            await asyncio.get_running_loop().sock_sendall(second, framed(query("granted.test")))
            assert len(await read(second, 48)) == 48

    play(part)


@pytest.mark.parametrize("limit", ["OPEN_MAX", "OPEN_S"])
def test_a_connection_that_stays_makes_room(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tcp_name_server, limit, 1 if limit == "OPEN_MAX" else 0.01)

    async def part(served: Served) -> None:
        with led(served) as first, led(served) as second:
            assert await read(first, 1) == b""
            if limit == "OPEN_MAX":
                await asyncio.get_running_loop().sock_sendall(second, framed(query("granted.test")))
                assert len(await read(second, 48)) == 48

    play(part)


def test_without_a_descriptor_a_connection_waits_and_the_loop_does_not_spin(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tcp_name_server, "PAUSE_S", 0.01)

    async def part(served: Served) -> None:
        served.by_tcp.address()
        listener = served.by_tcp._listener
        assert listener is not None
        refusing = Refusing(listener)
        monkeypatch.setattr(served.by_tcp, "_listener", refusing)
        with led(served) as client:
            await refusing.asked.wait()
            refusing.fails = False
            await asyncio.get_running_loop().sock_sendall(client, framed(query("granted.test")))
            assert len(await read(client, 48)) == 48
        assert refusing.failures <= 3
        monkeypatch.undo()

    play(part)


class Refusing:
    """A listener for whose connections there is no descriptor at first."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.fails, self.failures, self.asked = True, 0, asyncio.Event()

    def __getattr__(self, name: str) -> object:
        return getattr(self._listener, name)

    def accept(self) -> object:
        if self.fails:
            self.failures += 1
            self.asked.set()
            raise OSError(errno.EMFILE, "Too many open files")
        return self._listener.accept()


def test_only_the_name_servers_of_resolv_conf_are_stood_for(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [bytes((127, 0, 0, 53))]
    monkeypatch.setattr(tcp_name_server, "name_servers", lambda: listed)

    async def part(served: Served) -> None:
        stands_for = served.by_tcp.stands_for
        assert stands_for(ip_address("127.0.0.53"), 53)
        assert not stands_for(ip_address("127.0.0.53"), 54)
        assert not stands_for(ip_address("10.0.0.53"), 53)
        listed[:] = [bytes((10, 0, 0, 53))]  # the machine has joined another network
        assert stands_for(ip_address("10.0.0.53"), 53)
        assert not stands_for(ip_address("127.0.0.53"), 53)

    play(part)
