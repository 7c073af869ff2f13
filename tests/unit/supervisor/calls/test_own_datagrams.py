"""UDP sockets are handed out in the order of the requests, and no other socket is taken for one of them."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from nono.kernel import notify, socket_names
from nono.kernel.notify import Notification
from nono.sandbox.socket_maker import NAME_SERVERS, REFUSED, UDP_IPV4, UDP_IPV6
from nono.supervisor.calls import own_datagrams
from nono.supervisor.calls.handover import Handover
from nono.supervisor.calls.own_datagrams import OwnDatagrams
from nono.supervisor.calls.trapped_call import Socket, TrappedCalls
from nono.supervisor.calls.watchdog import BlockingCallWatchdog
from nono.supervisor.look_ups.name_server import LookUps
from nono.supervisor.verdict.adjudicator import STATIC_FILTER, Refuse
from nono.supervisor.verdict.virtual_addresses import VirtualAddresses

HERE, THERE = 7, 8  # cookies of networks
LOOPBACK = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", 9, b"\x7f\0\0\1")


class Caller:
    """A caller that has put a socket at the descriptor."""

    def __init__(self) -> None:
        self.own = socket.socket(type=socket.SOCK_DGRAM)

    def socket(self, call: Notification) -> Socket:
        return Socket(fileno=os.dup(self.own.fileno()))


class Stage:
    """Requests, their answers, and a maker that the test plays."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ours, self.maker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.answers: dict[int, int | Refuse] = {}
        self.handed_out: dict[int, tuple[int, bool, bool]] = {}
        self.caller = Caller()
        self.networks = [THERE, HERE]  # of the next sockets that are asked for it
        self.look_ups: LookUps | None = None
        self.asked = 0
        self.has_answered = asyncio.Event()
        monkeypatch.setattr(notify, "respond_with_descriptor", self._hand_out)
        monkeypatch.setattr(BlockingCallWatchdog, "arm", lambda _: None)
        monkeypatch.setattr(own_datagrams, "cookie_of", lambda *_: self.networks.pop(0))

    def _hand_out(
        self, _: int, number: int, descriptor: int, *, close_on_exec: bool, interruptions_max: int
    ) -> None:
        with socket.socket(fileno=os.dup(descriptor)) as made:
            self.handed_out[number] = (made.family, os.get_blocking(descriptor), close_on_exec)
        self.has_answered.set()

    def _answer(self, call: Notification, what: int | Refuse) -> None:
        self.answers[call.id] = what
        self.has_answered.set()

    def call(self, family: int = socket.AF_INET, flags: int = 0) -> Notification:
        self.asked += 1
        return Notification(self.asked, os.getpid(), 0, 0, 0, (family, socket.SOCK_DGRAM | flags, 0, 0, 0, 0))

    def make(self) -> None:
        """Answer the next request as the socket maker does."""
        asked = self.maker.recv(1)
        family = {UDP_IPV4: socket.AF_INET, UDP_IPV6: socket.AF_INET6}[asked]
        with socket.socket(family, socket.SOCK_DGRAM) as made:
            socket.send_fds(self.maker, [asked], [made.fileno()])

    async def until(self, *numbers: int) -> None:
        async with asyncio.timeout(10):
            while not {*numbers} <= {*self.answers, *self.handed_out}:
                self.has_answered.clear()
                await self.has_answered.wait()

    def play(self, part: Callable[[OwnDatagrams], Awaitable[None]]) -> None:
        async def served() -> None:
            handover = Handover(-1, BlockingCallWatchdog(), lambda *_: None)
            calls = cast(TrappedCalls, self.caller)
            own = OwnDatagrams(handover, self.ours, calls, self._answer, self.look_ups)
            try:
                await part(own)
            finally:
                own.close()
                self.caller.own.close()
                self.ours.close()
                self.maker.close()

        asyncio.run(served())


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_each_caller_gets_what_it_asked_for(stage: Stage) -> None:
    async def part(own: OwnDatagrams) -> None:
        assert own.make(stage.call(socket.AF_INET6)) is None
        assert own.make(stage.call(flags=socket.SOCK_NONBLOCK)) is None
        assert own.make(stage.call(flags=socket.SOCK_CLOEXEC)) is None
        for _ in range(3):
            stage.make()
        await stage.until(1, 2, 3)

    stage.play(part)
    assert stage.handed_out == {
        1: (socket.AF_INET6, True, False),
        2: (socket.AF_INET, False, False),
        3: (socket.AF_INET, True, True),
    }


def test_a_thousand_callers_at_once_all_wait_for_their_turn(stage: Stage) -> None:
    """The channel to the maker has no buffer for that many requests."""
    count = 1000

    async def part(own: OwnDatagrams) -> None:
        assert [own.make(stage.call()) for _ in range(count)] == [None] * count
        for number in range(count):
            stage.make()
            await stage.until(number + 1)

    stage.play(part)
    assert (len(stage.handed_out), stage.answers) == (count, {})


def test_whose_socket_was_not_asked_for_yet_is_refused_too_when_the_maker_has_ended(stage: Stage) -> None:
    count = own_datagrams.ASKED_MAX + 2

    async def part(own: OwnDatagrams) -> None:
        assert [own.make(stage.call()) for _ in range(count)] == [None] * count
        stage.maker.close()
        await stage.until(*range(1, count + 1))

    stage.play(part)
    assert stage.handed_out == {}
    assert {type(answer) for answer in stage.answers.values()} == {Refuse}


@pytest.mark.parametrize("has_names", [True, False])
def test_the_sockets_of_name_servers_are_no_answer_to_a_caller(has_names: bool, stage: Stage) -> None:
    if has_names:
        stage.look_ups = LookUps(VirtualAddresses(lambda _: None, "laptop"), lambda _: None)
    kept: list[socket.socket] = []

    async def part(own: OwnDatagrams) -> None:
        assert own.make(stage.call()) is None
        with socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as bound:
            bound.bind(("127.0.0.1", 0))
            kept.append(socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
            kept[0].connect(bound.getsockname())
            socket.send_fds(stage.maker, [NAME_SERVERS], [bound.fileno()])
        stage.make()
        await stage.until(1)
        kept[0].send(b"\0" * 3)
        if not has_names:
            with pytest.raises(ConnectionRefusedError):
                kept[0].send(b"x")

    stage.play(part)
    kept[0].close()
    assert [*stage.handed_out] == [1]


@pytest.mark.parametrize("networks", [[HERE, HERE], [0, 0]], ids=["the supervisor's", "unknown"])
def test_a_socket_of_no_other_network_is_not_handed_out(networks: list[int], stage: Stage) -> None:
    async def part(own: OwnDatagrams) -> None:
        stage.networks = networks
        assert own.make(stage.call()) is None
        assert own.make(stage.call()) is None
        stage.make()
        await stage.until(1, 2)
        assert isinstance(own.make(stage.call()), Refuse)

    stage.play(part)
    assert stage.handed_out == {}
    for refusal in stage.answers.values():
        assert isinstance(refusal, Refuse)
        assert (refusal.rule, refusal.errno_value) == (STATIC_FILTER, errno.EPERM)
        assert refusal.hint is not None
        assert "no network of its own could be made" in refusal.hint


def test_a_caller_that_has_died_is_refused_nothing(stage: Stage) -> None:
    """The refusal of a socket in a network of the command's own stood in the record for each."""
    pid = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(pid, 0)

    async def part(own: OwnDatagrams) -> None:
        with pytest.raises(ProcessLookupError):
            own.make(stage.call()._replace(tid=pid))
        assert own.make(stage.call()) is None
        stage.make()
        await stage.until(2)

    stage.play(part)
    assert [*stage.handed_out] == [2]


def test_without_a_network_each_socket_is_refused(stage: Stage) -> None:
    async def part(own: OwnDatagrams) -> None:
        for number in (1, 2):
            assert own.make(stage.call()) is None
            stage.maker.recv(1)
            stage.maker.send(REFUSED)
            await stage.until(number)

    stage.play(part)
    assert [isinstance(each, Refuse) for each in stage.answers.values()] == [True, True]


@pytest.mark.parametrize(
    ("family", "answer"), [(socket.AF_INET6, errno.EAFNOSUPPORT), (socket.AF_INET, errno.ENOBUFS)]
)
def test_a_socket_that_cannot_be_made_is_an_error_of_the_kernels(
    family: int, answer: int, stage: Stage
) -> None:
    async def part(own: OwnDatagrams) -> None:
        assert own.make(stage.call()) is None
        stage.make()
        await stage.until(1)
        assert own.make(stage.call(family)) is None
        stage.maker.recv(1)
        stage.maker.send(REFUSED)
        await stage.until(2)

    stage.play(part)
    assert stage.answers == {2: answer}


def test_so_is_one_whose_network_no_descriptor_is_left_to_look_at(stage: Stage) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    async def part(own: OwnDatagrams) -> None:
        assert own.make(stage.call()) is None
        stage.make()
        free = os.dup(0)
        os.close(free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, hard))  # the answer takes it
        try:
            await stage.until(1)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    stage.play(part)
    assert stage.answers == {1: errno.EMFILE}


def test_what_waits_is_refused_when_the_maker_has_ended(stage: Stage) -> None:
    async def part(own: OwnDatagrams) -> None:
        assert own.make(stage.call()) is None
        stage.maker.close()
        await stage.until(1)
        assert isinstance(own.make(stage.call()), Refuse)

    stage.play(part)
    assert isinstance(stage.answers[1], Refuse)


@pytest.mark.parametrize(("network", "answer"), [(THERE, 0), (HERE, None)], ids=["its own", "another"])
def test_only_a_socket_of_that_network_is_connected_and_bound(
    network: int, answer: int | None, stage: Stage
) -> None:
    async def part(own: OwnDatagrams) -> None:
        assert own.connect(stage.call(), LOOPBACK) is None  # no socket has been made
        assert own.make(stage.call()) is None
        stage.make()
        await stage.until(2)
        stage.networks = [network] * 3
        assert own.bind(stage.call(), LOOPBACK[:2] + bytes(2) + LOOPBACK[4:]) == answer
        assert own.connect(stage.call(), LOOPBACK) == answer
        assert (stage.caller.own.getsockname()[1] != 0) is (answer == 0)
        stage.caller.own.close()
        stage.caller.own = socket.socket()
        stage.networks = [THERE]
        assert own.connect(stage.call(), LOOPBACK) is None  # TCP

    stage.play(part)


def test_a_host_without_ipv6_says_so_of_the_first_socket_too(stage: Stage) -> None:
    """curl tries one at each start: that is no refusal to tell of."""

    async def part(own: OwnDatagrams) -> None:
        assert own.make(stage.call(socket.AF_INET6)) is None
        stage.maker.recv(1)
        stage.maker.send(REFUSED)
        await stage.until(1)

    stage.play(part)
    assert stage.answers == {1: errno.EAFNOSUPPORT}


@pytest.mark.parametrize("port", [53, 5353])
def test_a_name_server_that_cannot_be_reached_is_refused_with_a_record(
    port: int, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket_names, "connect", lambda *_: errno.ENETUNREACH)
    address = struct.pack("=H", socket.AF_INET) + struct.pack("!H4s8x", port, b"\x7f\0\0\x35")

    async def part(own: OwnDatagrams) -> None:
        assert own.make(stage.call()) is None
        stage.make()
        await stage.until(1)
        stage.networks = [THERE]
        answer = own.connect(stage.call(), address)
        if port == 53:
            assert isinstance(answer, Refuse)
            assert (answer.target, answer.port) == ("dns:127.0.0.53", 53)
        else:
            assert answer == errno.ENETUNREACH

    stage.play(part)
