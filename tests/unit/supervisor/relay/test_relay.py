"""nono.supervisor.relay: who is served, who is asked, and whose answer counts."""

from __future__ import annotations

import os
import socket
import tty
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from nono.sessions import wire
from nono.sessions.wire import Size
from nono.supervisor.poll_loop import PollLoop
from nono.supervisor.relay import pty, viewer
from nono.supervisor.relay.relay import VIEWERS_MAX, Relay
from nono.supervisor.relay.viewer import BEHIND_BYTES_MAX

LIMIT_S = 10.0
USUAL = Size(24, 80)
ASKS, READER = frozenset({wire.ASKS}), frozenset({wire.READ_ONLY})


@dataclass
class Told:
    counts: list[int] = field(default_factory=list)
    resumptions: int = 0

    def attached(self, is_arrival: bool, count: int) -> None:
        self.counts.append(count)

    def resumed(self) -> None:
        self.resumptions += 1


class Stage:
    """A relay, the command's side of its terminal, and viewers."""

    def __init__(self) -> None:
        self.loop, self.told = PollLoop(), Told()
        with open(os.devnull, "rb") as nothing:
            own = pty.open_pty(like=nothing.fileno())
        tty.setraw(own.slave)
        self.command, self.master = own.slave, own.master
        os.set_blocking(own.master, False)
        self.relay = Relay(self.loop, own.master, self.told)
        self.ours: list[socket.socket] = []

    def attach(self, words: frozenset[str] = ASKS, size: Size = USUAL) -> Person:
        ours, theirs = socket.socketpair()
        theirs.setblocking(False)
        ours.setblocking(False)
        self.ours.append(ours)
        self.relay.attach(theirs, size, b"", words, b"head")
        person = Person(self, ours)
        assert ours.recv(4) == b"head"
        return person

    def run(self, rounds: int = 3) -> None:
        """Serve what is there."""
        for _ in range(rounds):
            turns = iter((False, True))
            self.loop.run_until(lambda: next(turns), 0.001)  # noqa: B023 - used within this round

    def run_until(self, is_so: Callable[[], bool]) -> None:
        ends = self.loop.time() + LIMIT_S
        while not is_so():
            assert self.loop.time() < ends
            self.run(1)

    def size(self) -> tuple[int, int] | None:
        return pty.size(self.master)

    def close(self) -> None:
        if (kept := self.relay.close(None)) is not None:
            kept.close()
        for descriptor in (self.command, self.master):
            os.close(descriptor)
        for each in self.ours:
            each.close()


@dataclass
class Person:
    stage: Stage
    connection: socket.socket
    frames: wire.Frames = field(default_factory=wire.Frames)

    def send(self, kind: int, content: bytes) -> None:
        self.connection.send(wire.frame(kind, content))
        self.stage.run()

    def answer(self, number: int, word: str) -> None:
        self.send(wire.ANSWER, wire.json_frame(0, {"number": number, "answer": word})[wire.FRAME.size :])

    def got(self) -> list[tuple[int, bytes]]:
        self.stage.run()
        found: list[tuple[int, bytes]] = []
        try:
            while piece := self.connection.recv(1 << 20):
                found += self.frames.feed(piece)
        except BlockingIOError:
            pass
        return found

    def shown(self) -> bytes:
        return b"".join(content for kind, content in self.got() if kind == wire.DATA)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_all_see_what_the_command_says(stage: Stage) -> None:
    people = [stage.attach(), stage.attach(), stage.attach(READER)]
    os.write(stage.command, b"said")
    assert [person.shown() for person in people] == [b"said"] * 3


def test_a_viewer_is_told_of_modes_before_what_sets_them(stage: Stage) -> None:
    person = stage.attach()
    os.write(stage.command, b"plain")
    assert [kind for kind, _ in person.got()] == [wire.DATA]
    os.write(stage.command, b"\x1b[31m")
    assert person.got() == [
        (wire.MODES, wire.modes_frame(b"", b"")[wire.FRAME.size :]),
        (wire.DATA, b"\x1b[31m"),
    ]
    os.write(stage.command, b"\x1b[?1000h")
    told, shown = person.got()
    assert (told[0], wire.parse_modes(told[1])) == (wire.MODES, (b"\x1b[?1000l", b"\x1b[?1000h"))
    assert shown == (wire.DATA, b"\x1b[?1000h")
    os.write(stage.command, b"\x1b[32m\x1b[?1000h")
    assert [kind for kind, _ in person.got()] == [wire.DATA]  # nothing new


def test_whoever_attaches_later_is_told_of_modes_first(stage: Stage) -> None:
    stage.attach()
    os.write(stage.command, b"\x1b[?1000h")
    stage.run()
    told = stage.attach().got()[0]
    assert (told[0], wire.parse_modes(told[1])) == (wire.MODES, (b"\x1b[?1000l", b"\x1b[?1000h"))


def test_a_reader_is_not_heard(stage: Stage) -> None:
    writer, reader = stage.attach(), stage.attach(READER, Size(9, 9))
    reader.send(wire.DATA, b"x")
    reader.send(wire.SIZE, wire.SCREEN.pack(7, 7))
    writer.send(wire.DATA, b"y")
    stage.run()
    assert os.read(stage.command, 10) == b"y"
    stage.run_until(lambda: stage.size() == (24, 80))  # it is redrawn for the reader


def test_the_size_is_that_of_who_typed_last(stage: Stage) -> None:
    first, second = stage.attach(), stage.attach(size=Size(40, 120))
    second.send(wire.SIZE, wire.SCREEN.pack(41, 121))
    stage.run_until(lambda: stage.size() == (24, 80))  # it is redrawn for the second
    second.send(wire.DATA, b"x")
    assert stage.size() == (41, 121)
    first.send(wire.DATA, b"x")
    assert stage.size() == (24, 80)


def test_a_viewer_that_tells_its_size_again_is_drawn_for_all_the_same(stage: Stage) -> None:
    person = stage.attach()
    assert stage.size() == (24, 79)
    person.send(wire.SIZE, wire.SCREEN.pack(24, 80))
    assert stage.size() == (24, 79)
    stage.run_until(lambda: stage.size() == (24, 80))


def test_a_size_that_comes_during_a_redraw_stays(stage: Stage) -> None:
    person = stage.attach()
    person.send(wire.SIZE, wire.SCREEN.pack(30, 100))
    stage.run(80)
    assert stage.size() == (30, 100)


def test_what_was_said_before_a_question_is_shown_before_it(stage: Stage) -> None:
    asked = stage.attach()
    os.write(stage.command, b"said")
    assert stage.relay.ask({"kind": "approve"}, lambda _: None)
    assert [kind for kind, _ in asked.got() if kind in (wire.DATA, wire.ASK)][-2:] == [wire.DATA, wire.ASK]


def test_only_the_answer_of_who_was_asked_counts(stage: Stage) -> None:
    asked, other = stage.attach(), stage.attach()
    answers: list[Mapping[str, object] | None] = []
    assert stage.relay.ask({"kind": "approve"}, answers.append)
    other.answer(1, "yes")
    asked.answer(0, "yes")  # to another question
    assert answers == []
    asked.answer(1, "no")
    assert [answer and answer.get("answer") for answer in answers] == ["no"]
    asked.answer(1, "yes")  # once more
    assert len(answers) == 1


def test_the_command_cannot_answer(stage: Stage) -> None:
    asked = stage.attach()
    answers: list[Mapping[str, object] | None] = []
    assert stage.relay.ask({"kind": "approve"}, answers.append)
    asked.got()
    os.write(stage.command, wire.json_frame(wire.ANSWER, {"number": 1, "answer": "yes"}) + b"y\n")
    assert asked.shown() == b""  # nor is anything shown over the question
    assert answers == []
    stage.relay.withdraw()
    assert b'"answer":"yes"' in asked.shown()


def test_a_question_goes_with_its_viewer(stage: Stage) -> None:
    asked = stage.attach()
    answers: list[Mapping[str, object] | None] = []
    assert stage.relay.ask({"kind": "approve"}, answers.append)
    asked.connection.close()
    stage.run()
    assert answers == [None]


@pytest.mark.parametrize("words", [READER, frozenset[str]()], ids=["a reader", "one that cannot ask"])
def test_who_cannot_be_asked_is_not(words: frozenset[str], stage: Stage) -> None:
    stage.attach(words)
    assert not stage.relay.ask({"kind": "approve"}, lambda _: None)


def test_a_reader_that_takes_nothing_is_let_go(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer, "BEHIND_BYTES_MAX", 1 << 19)  # beyond what the socket holds
    writer, _ = stage.attach(), stage.attach(READER)
    for _ in range(1 << 9):
        os.write(stage.command, bytes(2048))
        writer.shown()
        if stage.told.counts[-1] == 1:
            break
    assert stage.told.counts == [1, 2, 1]


def test_a_writer_that_takes_nothing_stops_the_command(stage: Stage) -> None:
    stage.attach()
    os.set_blocking(stage.command, False)
    total = 0
    try:
        while total < BEHIND_BYTES_MAX:
            total += os.write(stage.command, bytes(2048))
            stage.run(1)
    except BlockingIOError:
        return
    pytest.fail(f"it has written {total} bytes")


def test_what_was_typed_before_leaving_reaches_the_command(stage: Stage) -> None:
    person = stage.attach()
    person.connection.send(wire.frame(wire.DATA, b"last words"))
    person.connection.close()
    os.write(stage.command, b"so that the relay finds out by writing")
    stage.run()
    assert os.read(stage.command, 100) == b"last words"
    assert stage.told.counts == [1, 0]


@pytest.mark.parametrize("how", ["it goes", "another types"])
def test_a_command_that_its_viewer_has_stopped_goes_on(how: str, stage: Stage) -> None:
    first, second = stage.attach(), stage.attach()
    stage.relay.stopped()
    assert [kind for kind, _ in first.got()] == [wire.STOPPED]
    assert stage.told.resumptions == 0
    if how == "it goes":
        first.connection.close()
    else:
        second.send(wire.DATA, b"x")
    stage.run()
    assert stage.told.resumptions == 1


def test_a_frame_that_is_too_long_ends_its_viewer(stage: Stage) -> None:
    person = stage.attach()
    person.connection.send(wire.FRAME.pack(wire.DATA, 1 << 30))
    stage.run()
    assert stage.told.counts == [1, 0]


def test_the_viewers_are_bounded(stage: Stage) -> None:
    for _ in range(VIEWERS_MAX):
        assert not stage.relay.is_full
        stage.attach()
    assert stage.relay.is_full


def test_words_that_nobody_saw_wait_for_who_comes(stage: Stage) -> None:
    stage.relay.notice("told\n")
    assert (wire.NOTICE, b"told\n") in stage.attach().got()
    assert (wire.NOTICE, b"told\n") not in stage.attach().got()


def test_a_relay_moves_to_another_loop(stage: Stage) -> None:
    person = stage.attach()
    old, stage.loop = stage.loop, PollLoop()
    stage.relay.move_to(stage.loop)
    os.write(stage.command, b"said")
    assert person.shown() == b"said"
    person.send(wire.DATA, b"x")
    assert os.read(stage.command, 10) == b"x"
    turns = iter((False, True))
    old.run_until(lambda: next(turns), 0.005)
