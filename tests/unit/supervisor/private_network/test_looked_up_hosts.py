"""Before a look-up is answered, somebody listens at the address in the answer."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
from collections.abc import Awaitable, Callable, Set
from typing import NamedTuple

import anyio
import pytest

from nono.audit.event import Event
from nono.audit.event import part as part_of
from nono.policy.hosts.host_filter import Refuse
from nono.supervisor.look_ups.name_server import LookUps
from nono.supervisor.private_network import looked_up_hosts
from nono.supervisor.private_network.looked_up_hosts import LISTENERS_MAX, PORTS_MAX, answered
from nono.supervisor.private_network.sockets import PrivateNetwork
from nono.supervisor.verdict.virtual_addresses import VirtualAddresses
from support.servers.dns import query

REFUSAL = Refuse("not granted", None, None, "--allow-domain refused.test")


class Inside(PrivateNetwork):
    """A private network that is this one: every address in it is 127.0.0.1, and every port a free one."""

    def __init__(self, name_server: socket.socket) -> None:
        self._name_server = name_server
        self.asked: list[tuple[str, int]] = []
        self.fails_with: Exception | None = None
        self.taken: Set[int] = frozenset()
        self.is_asked, self.goes_on = asyncio.Event(), asyncio.Event()
        self.goes_on.set()

    async def name_servers(self) -> list[socket.socket]:
        return [self._name_server]

    async def listen(self, host: str, port: int) -> socket.socket | None:
        self.asked.append((host, port))
        self.is_asked.set()
        await self.goes_on.wait()
        if self.fails_with is not None:
            raise self.fails_with
        if port in self.taken:
            raise OSError(errno.EADDRINUSE, "taken")
        return socket.create_server(("127.0.0.1", 0))


class Place(NamedTuple):
    inside: Inside
    client: socket.socket
    open: list[asyncio.Server]
    events: list[Event]

    async def look_up(self, name: str) -> bytes:
        self.client.send(query(name))
        return await asyncio.get_running_loop().sock_recv(self.client, 4096)

    def listening(self) -> int:
        return sum(each.is_serving() for each in self.open)


def play(part: Callable[[Place], Awaitable[None]], ports: Set[int] = frozenset()) -> Place:
    async def main() -> Place:
        name_server = socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        name_server.bind(("127.0.0.1", 0))
        client = socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        client.connect(name_server.getsockname())
        place = Place(Inside(name_server), client, [], [])

        async def serve_also(listener: socket.socket) -> asyncio.Server:
            server = await asyncio.start_server(lambda _, writer: writer.close(), sock=listener)
            place.open.append(server)
            return server

        names = VirtualAddresses(lambda name: None if name.endswith("granted.test") else REFUSAL, "laptop")
        look_ups = LookUps(names, place.events.append)
        with client:
            async with asyncio.timeout(20), answered(place.inside, look_ups, lambda _: ports, serve_also):
                await part(place)
        return place

    place = anyio.run(main, backend_options={"use_uvloop": True})
    assert place.listening() == 0
    return place


def test_a_granted_host_has_listeners_on_the_usual_ports_and_those_that_rules_name() -> None:
    async def part(place: Place) -> None:
        for _ in range(2):
            assert (await place.look_up("granted.test")).endswith(bytes((198, 18, 0, 1)))
        assert sorted(place.inside.asked) == [("198.18.0.1", port) for port in (22, 80, 443, 5432)]
        assert place.listening() == 4

    play(part, frozenset({443, 5432}))


@pytest.mark.parametrize("name", ["refused.test", "localhost"])
def test_no_other_name_has_a_listener(name: str) -> None:
    async def part(place: Place) -> None:
        await place.look_up(name)
        assert place.inside.asked == []

    events = play(part).events
    assert [part_of(event, "event")["target"] for event in events] == (
        [] if name == "localhost" else ["refused.test"]
    )


@pytest.mark.parametrize("files", [400, 4000, 1 << 20, resource.RLIM_INFINITY])
def test_many_hosts_and_ports_leave_most_descriptors_to_clients(
    files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    most = LISTENERS_MAX if files == resource.RLIM_INFINITY else min(files // 4, LISTENERS_MAX)
    hosts = most // PORTS_MAX

    async def part(place: Place) -> None:
        for number in range(hosts + 2):
            await place.look_up(f"{number}.granted.test")
            await place.look_up("0.granted.test")
        assert most - PORTS_MAX < place.listening() <= most
        place.inside.asked.clear()
        await place.look_up("0.granted.test")
        assert place.inside.asked == []  # it was never the oldest
        await place.look_up("1.granted.test")
        assert len(place.inside.asked) == PORTS_MAX

    play(part, frozenset(range(1000, 1100)))


def test_no_answer_waits_for_the_listeners_of_another_host() -> None:
    async def part(place: Place) -> None:
        await place.look_up("known.granted.test")
        place.inside.goes_on.clear()
        place.client.send(query("new.granted.test"))
        for name in ("known.granted.test", "refused.test", "localhost"):
            assert (await place.look_up(name)).startswith(query(name)[:2])
        place.inside.goes_on.set()
        answer = await asyncio.get_running_loop().sock_recv(place.client, 4096)
        assert answer.endswith(bytes((198, 18, 0, 2)))

    assert len(play(part).events) == 1


def test_no_look_up_takes_the_listeners_of_the_host_that_is_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (20, 20))

    async def part(place: Place) -> None:
        await place.look_up("known.granted.test")
        place.inside.goes_on.clear()
        place.inside.is_asked.clear()
        place.client.send(query("new.granted.test"))
        await place.inside.is_asked.wait()
        await place.look_up("known.granted.test")
        place.inside.goes_on.set()
        await asyncio.get_running_loop().sock_recv(place.client, 4096)
        place.inside.asked.clear()
        await place.look_up("new.granted.test")
        assert place.inside.asked == []
        assert place.listening() == 3

    play(part)


def test_look_ups_that_wait_take_a_bounded_amount_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looked_up_hosts, "WAITING_MAX", 2)

    async def part(place: Place) -> None:
        place.inside.goes_on.clear()
        for number in range(3):
            place.client.send(query(f"{number}.granted.test"))
        await place.look_up("localhost")
        place.inside.goes_on.set()
        receive = asyncio.get_running_loop().sock_recv
        assert {(await receive(place.client, 4096))[-1] for _ in range(2)} == {1, 2}
        assert (await place.look_up("2.granted.test")).endswith(bytes((198, 18, 0, 3)))

    play(part)


@pytest.mark.parametrize("error", [ConnectionResetError(errno.ECONNRESET, "it was killed"), TimeoutError()])
def test_a_maker_that_is_gone_ends_no_look_up(error: Exception) -> None:
    async def part(place: Place) -> None:
        place.inside.fails_with = error
        assert (await place.look_up("granted.test")).endswith(bytes((198, 18, 0, 1)))
        assert len(place.inside.asked) == 1  # and not for each port, of which each may take seconds
        place.inside.fails_with = None
        await place.look_up("granted.test")
        assert place.listening() == 3

    play(part)


def test_a_listener_that_cannot_be_watched_ends_no_look_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_watch(_: int) -> None:
        raise OSError(errno.ENOSPC, "the user has no epoll watch left")

    async def part(place: Place) -> None:
        with monkeypatch.context() as used_up:
            used_up.setattr(looked_up_hosts, "watch", no_watch)
            assert (await place.look_up("granted.test")).endswith(bytes((198, 18, 0, 1)))
        assert place.listening() == 0
        await place.look_up("granted.test")
        assert place.listening() == 3

    play(part)


def test_a_port_that_the_command_has_taken_leaves_the_others() -> None:
    async def part(place: Place) -> None:
        place.inside.taken = {80}
        await place.look_up("granted.test")
        assert place.listening() == 2

    play(part)


@pytest.mark.parametrize("message", [b"", b"x", query("granted.test")[:-1]])
def test_what_is_no_query_gets_no_answer_and_delays_none(message: bytes) -> None:
    async def part(place: Place) -> None:
        place.client.send(message)
        assert (await place.look_up("granted.test")).endswith(bytes((198, 18, 0, 1)))

    play(part)
