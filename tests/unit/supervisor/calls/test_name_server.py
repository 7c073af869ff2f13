"""Queries that reach the sockets of the name server are answered there, and nothing else is."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable

import pytest

from nono.policy.hosts.host_filter import Refuse
from nono.supervisor.calls.name_server import NameServer
from nono.supervisor.verdict.virtual_addresses import Refused, VirtualAddresses

REFUSAL = Refuse("not granted", None, None, "--allow-domain refused.test")


def query(name: str) -> bytes:
    labels = b"".join(bytes([len(each)]) + each for each in name.encode().split(b"."))
    return struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", 1, 1)


class Served:
    """A name server on loopback, and a client of it."""

    def __init__(self) -> None:
        self.refused: list[Refused] = []
        names = VirtualAddresses(lambda name: None if name == "granted.test" else REFUSAL, "laptop")
        bound = socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        bound.bind(("127.0.0.1", 0))
        self.address = bound.getsockname()
        self.server = NameServer([bound.detach()], names, self.refused.append)

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
            assert served.refused == []
            refused = await asked(client, query("refused.test"))
            assert refused[3] & 0xF == 3  # NXDOMAIN

    assert play(part).refused == [Refused("refused.test", REFUSAL)]


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
