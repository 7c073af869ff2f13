"""nono.supervisor.relay.server: who is let in at the socket of a session, on a loop of poll(2)."""

from __future__ import annotations

import errno
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nono.sessions import wire
from nono.sessions.meeting import Meeting
from nono.sessions.wire import Size
from nono.supervisor.poll_loop import PollLoop
from nono.supervisor.relay import pty, relay, server
from nono.supervisor.relay.relay import Relay
from nono.supervisor.relay.server import WAITING_MAX, Server
from nono.supervisor.screen import screen

KEY = "a-key"
LIMIT_S = 10.0
INSPECT = ("GET", "/v1/session")


class Told:
    """Hears nothing."""

    def attached(self, is_arrival: bool, count: int) -> None: ...

    def resumed(self) -> None: ...


class Stage:
    """A server at a socket, with the relay of a terminal, and who comes."""

    def __init__(self, folder: Path) -> None:
        self.loop = PollLoop()
        with open(os.devnull, "rb") as nothing:
            self.own = pty.open_pty(like=nothing.fileno())
        os.set_blocking(self.own.master, False)
        self.relay = Relay(self.loop, self.own.master, Told())
        self.path = str(folder / "socket")
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.setblocking(False)
        self.listener.bind(self.path)
        self.listener.listen()
        self.others: list[tuple[socket.socket, bytes]] = []
        self.server = Server(
            self.loop, Meeting(self.listener, KEY), self.relay, lambda *other: self.others.append(other)
        )
        self.people: list[socket.socket] = []

    def comes(self, said: bytes = b"") -> socket.socket:
        person = socket.socket(socket.AF_UNIX)
        self.people.append(person)
        person.connect(self.path)
        person.setblocking(False)
        person.send(said)
        return person

    def run_until(self, holds: Callable[[], bool]) -> None:
        ends = self.loop.time() + LIMIT_S
        self.loop.run_until(lambda: holds() or self.loop.time() > ends, 0.01)
        assert holds()

    def answer(self, person: socket.socket) -> bytes:
        got: list[bytes] = []

        def is_answered() -> bool:
            with suppress(BlockingIOError):
                got.append(person.recv(4096))
            return bool(got)

        self.run_until(is_answered)
        return got[0]

    def close(self) -> None:
        self.server.close()
        if (kept := self.relay.close(None)) is not None:
            kept.close()
        for each in (*self.people, self.listener, *(connection for connection, _ in self.others)):
            each.close()
        os.close(self.own.master)
        os.close(self.own.slave)


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(screen, "library_path", lambda: None)  # its process is no matter here
    made = Stage(tmp_path)
    yield made
    made.close()


def error_of(answer: bytes) -> str:
    """Read what an answer says is wrong, in the JSON that its length and type announce."""
    head, _, body = answer.partition(wire.HEAD_END)
    fields = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n")[1:])
    assert (fields["Content-Length"], fields["Content-Type"]) == (str(len(body)), "application/json")
    document = json.loads(body)
    assert isinstance(document, dict)
    return str(document["error"])


def test_whoever_has_the_key_attaches(stage: Stage) -> None:
    person = stage.comes(wire.request(wire.ATTACH, KEY, Size(24, 80), (wire.ASKS,)))
    assert wire.status_of(stage.answer(person)) == wire.SWITCHED
    assert stage.relay.is_attached


def test_whoever_has_another_key_is_denied(stage: Stage) -> None:
    person = stage.comes(wire.request(wire.ATTACH, "b-key", Size(24, 80), (wire.ASKS,)))
    answer = stage.answer(person)
    assert wire.status_of(answer) == wire.DENIED
    assert answer.endswith(wire.HEAD_END), "an answer to nobody known says nothing"
    assert not stage.relay.is_attached


@pytest.mark.parametrize("said", [b"no request\r\n\r\n", b"\xff\r\n\r\n"])
def test_what_is_no_request_is_answered_so(said: bytes, stage: Stage) -> None:
    answer = stage.answer(stage.comes(said))
    assert (wire.status_of(answer), error_of(answer)) == (wire.BAD, "this is no request of HTTP/1.1")


def test_who_asks_for_more_is_handed_on_with_all_that_was_said(stage: Stage) -> None:
    said = wire.request(INSPECT, KEY) + b"behind it"
    stage.comes(said)
    stage.run_until(lambda: bool(stage.others))
    assert stage.others[0][1] == said


def test_who_asks_for_more_without_the_key_is_not_handed_on(stage: Stage) -> None:
    assert wire.status_of(stage.answer(stage.comes(wire.request(INSPECT, "b-key")))) == wire.DENIED
    assert stage.others == []


def test_a_request_may_come_in_pieces(stage: Stage) -> None:
    said = wire.request(INSPECT, KEY)
    person = stage.comes(said[:10])
    stage.run_until(lambda: bool(stage.server._waiting))
    person.send(said[10:])
    stage.run_until(lambda: bool(stage.others))


def test_who_says_nothing_is_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_S", 0.02)
    assert stage.answer(stage.comes()) == b""


def test_who_does_not_come_to_the_point_is_let_go(stage: Stage) -> None:
    assert stage.answer(stage.comes(b"x" * (wire.HEAD_BYTES_MAX + 1))) == b""


def test_those_who_wait_are_bounded(stage: Stage) -> None:
    people = [stage.comes() for _ in range(WAITING_MAX + 1)]
    assert stage.answer(people[-1]) == b""
    assert len(stage.server._waiting) == WAITING_MAX


def test_who_waits_is_served_on_the_loop_it_was_moved_to(stage: Stage) -> None:
    said = wire.request(INSPECT, KEY)
    person = stage.comes(said[:10])
    stage.run_until(lambda: bool(stage.server._waiting))
    stage.loop = PollLoop()
    stage.relay.move_to(stage.loop)
    moved: list[bytes] = []

    def hand_over(connection: socket.socket, received: bytes) -> None:
        connection.close()
        moved.append(received)

    stage.server.move_to(stage.loop, hand_over)
    person.send(said[10:])
    stage.run_until(lambda: moved == [said])


class Refusing:
    """A listener for whose connections there is no descriptor at first."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.fails, self.failures = True, 0

    def fileno(self) -> int:
        return self._listener.fileno()

    def _accept(self) -> tuple[int, object]:
        if self.fails:
            self.failures += 1
            raise OSError(errno.EMFILE, "Too many open files")
        connection, address = self._listener.accept()
        return connection.detach(), address


@pytest.mark.parametrize("is_moved", [False, True])
def test_without_a_descriptor_a_connection_waits_and_the_loop_does_not_spin(
    is_moved: bool, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PAUSE_S", 0.02)
    refusing = Refusing(stage.listener)
    monkeypatch.setattr(stage.server, "_listener", refusing)
    person = stage.comes(wire.request(INSPECT, "b-key"))
    began = stage.loop.time()
    stage.run_until(lambda: stage.loop.time() > began + 0.05)
    assert 1 <= refusing.failures <= 3
    if is_moved:
        stage.loop = PollLoop()
        stage.relay.move_to(stage.loop)
        stage.server.move_to(stage.loop, lambda *_: None)
    refusing.fails = False
    assert wire.status_of(stage.answer(person)) == wire.DENIED


@pytest.mark.parametrize("target", [wire.ATTACH, wire.DETACH])
def test_a_server_without_a_terminal_has_none_to_show_and_says_so(
    target: tuple[str, str], stage: Stage
) -> None:
    stage.server.close()
    stage.server = Server(stage.loop, Meeting(stage.listener, KEY), None, lambda *_: None)
    answer = stage.answer(stage.comes(wire.request(target, KEY)))
    assert wire.status_of(answer) == wire.NOT_FOUND
    assert error_of(answer) == "the session has no terminal of its own"


def test_who_detaches_where_nobody_is_attached_is_told(stage: Stage) -> None:
    answer = stage.answer(stage.comes(wire.request(wire.DETACH, KEY)))
    assert (wire.status_of(answer), error_of(answer)) == (wire.BUSY, "nobody is attached")


def test_who_attaches_where_no_more_can_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "VIEWERS_MAX", 0)
    answer = stage.answer(stage.comes(wire.request(wire.ATTACH, KEY, Size(24, 80))))
    assert (wire.status_of(answer), error_of(answer)) == (wire.BUSY, "as many are attached as can be")
