"""nono.supervisor.relay on a real terminal: how a viewer gets to where the session is."""

from __future__ import annotations

import asyncio
import os
import pty
import socket
import termios
import tty
from collections.abc import Callable, Coroutine
from contextlib import closing

import pytest

from nono.sessions import wire
from nono.sessions.wire import Frames, Size
from nono.supervisor.poll_loop import PollLoop
from nono.supervisor.relay.relay import Relay
from nono.supervisor.screen import screen as screen_module
from nono.supervisor.screen.library import library_path

SIZE = Size(10, 40)
PATIENCE_S = 20.0
ASKS = frozenset({wire.ASKS})
needs_library = pytest.mark.skipif(library_path() is None, reason="there is no libghostty-vt")


class Told:
    """Hears nothing."""

    def attached(self, is_arrival: bool, count: int) -> None: ...

    def resumed(self) -> None: ...


class Person:
    """What a viewer was shown."""

    def __init__(self) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.ours.setblocking(False)
        self.theirs.setblocking(False)
        self.shown = b""
        self._frames: Frames | None = None
        self._received = b""

    def look(self) -> None:
        try:
            received = self.ours.recv(1 << 16)
        except BlockingIOError:
            return
        if self._frames is None:
            self._received += received
            _, end, received = self._received.partition(wire.HEAD_END)
            if not end:
                return
            self._frames = Frames()
        for kind, content in self._frames.feed(received):
            self.shown += content if kind == wire.DATA else b""


class Stage:
    """A relay, the command's end of its terminal, and viewers."""

    def __init__(self, relay: Relay, slave: int) -> None:
        self.relay = relay
        self.slave = slave
        self.sizes: list[Size] = []
        self.people: list[Person] = []

    def attach(self, size: Size | None = SIZE) -> Person:
        person = Person()
        self.people.append(person)
        self.relay.attach(person.theirs, size, b"", ASKS, wire.response(wire.SWITCHED))
        return person

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                for person in self.people:
                    person.look()
                rows, columns = termios.tcgetwinsize(self.slave)
                if self.sizes[-1:] != [Size(rows, columns)]:
                    self.sizes.append(Size(rows, columns))
                await asyncio.sleep(0.005)


def on_a_stage(act: Callable[[Stage], Coroutine[None, None, None]], earlier: bytes = b"") -> None:
    """earlier: What the command wrote before there was an event loop."""

    async def life(relay: Relay) -> None:
        relay.move_to(asyncio.get_running_loop())
        relay.follow_screen()
        stage = Stage(relay, slave)
        try:
            await act(stage)
        finally:
            relay.close(0)
            for person in stage.people:
                with closing(person.ours):
                    person.theirs.close()

    master, slave = pty.openpty()
    try:
        tty.setraw(slave)
        termios.tcsetwinsize(slave, SIZE)
        os.set_blocking(master, False)
        poll = PollLoop()
        relay = Relay(poll, master, Told())
        os.write(slave, earlier)
        poll.run_until(lambda: relay.command.backlog.held_bytes == len(earlier))
        asyncio.run(life(relay))
    finally:
        os.close(slave)
        os.close(master)


def test_without_the_library_a_program_is_told_to_draw_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_module, "library_path", lambda: None)

    async def act(stage: Stage) -> None:
        person = stage.attach()
        await stage.until(lambda: stage.sizes[-2:] == [Size(SIZE.rows, SIZE.columns - 1), SIZE])
        assert person.shown == b"\x1b[?2004h"

    on_a_stage(act, b"before\x1b[?2004h")


@needs_library
def test_a_screen_that_is_drawn_is_not_drawn_twice() -> None:
    async def act(stage: Stage) -> None:
        person = stage.attach()
        await stage.until(lambda: b"before" in person.shown)
        os.write(stage.slave, b"after")
        await stage.until(lambda: person.shown.endswith(b"\x1b[?2004hafter"))
        assert stage.sizes == [SIZE]

    on_a_stage(act, b"before\x1b[?2004h")


@needs_library
def test_output_that_comes_meanwhile_follows_the_screen() -> None:
    async def act(stage: Stage) -> None:
        person = stage.attach(Size(12, 50))
        os.write(stage.slave, b"meanwhile")
        await stage.until(lambda: person.shown.endswith(b"meanwhile"))
        assert person.shown.startswith(b"\r" + b"\n" * 12)
        assert person.shown.count(b"meanwhile") == 1
        assert stage.sizes[-1] == Size(12, 50)

    on_a_stage(act)


@needs_library
def test_each_viewer_that_attaches_is_shown_the_screen() -> None:
    async def act(stage: Stage) -> None:
        people = [stage.attach(), stage.attach(Size(30, 90)), stage.attach()]
        await stage.until(lambda: all(b"before" in person.shown for person in people))
        # The second is taller, and does not lead: its own lines move up, and the terminal keeps its size.
        assert people[1].shown.startswith(b"\r" + b"\n" * 30 + b"\x1b[H")
        assert stage.sizes[-1] == SIZE
        os.write(stage.slave, b"after")
        await stage.until(lambda: all(person.shown.endswith(b"after") for person in people))
        assert [person.shown.count(b"before") for person in people] == [1, 1, 1]

    on_a_stage(act, b"before")


def test_a_viewer_that_leaves_meanwhile_is_let_go() -> None:
    async def act(stage: Stage) -> None:
        person = stage.attach()
        person.ours.shutdown(socket.SHUT_RDWR)
        await stage.until(lambda: not stage.relay.is_attached)
        before = stage.relay.command.spoke
        os.write(stage.slave, b"on")
        await stage.until(lambda: stage.relay.command.spoke > before)

    on_a_stage(act)


def test_a_relay_without_an_event_loop_starts_nothing() -> None:
    master, slave = pty.openpty()
    try:
        tty.setraw(slave)
        os.set_blocking(master, False)
        poll, person = PollLoop(), Person()
        relay = Relay(poll, master, Told())
        os.write(slave, b"before")
        poll.run_until(lambda: relay.command.backlog.held_bytes > 0)
        relay.attach(person.theirs, SIZE, b"", ASKS)
        assert relay._screen is None
        relay.close(0)
        person.theirs.close()
        person.ours.close()
    finally:
        os.close(slave)
        os.close(master)
