"""nono.supervisor.screen.screen with its real process: what is drawn, and what a crash of it costs."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path

import pytest

from nono.sessions.modes import Modes
from nono.sessions.wire import Size
from nono.supervisor.screen import screen as screen_module
from nono.supervisor.screen.backlog import BYTES_MAX, Backlog
from nono.supervisor.screen.library import library_path
from nono.supervisor.screen.screen import FOLLOW_BYTES, Screen

SIZE = Size(5, 20)
ALTERNATE = b"\x1b[?1049h"
needs_library = pytest.mark.skipif(library_path() is None, reason="there is no libghostty-vt")


class Session:
    """A screen, with the modes that the relay follows."""

    def __init__(self) -> None:
        self.backlog = Backlog(SIZE)
        self.screen = Screen(asyncio.get_running_loop(), self.backlog)
        self.modes = Modes()

    def write(self, output: bytes) -> None:
        self.backlog.add(output, is_alternate=self.modes.is_alternate)
        self.screen.follow()
        self.modes.feed(output)

    def armed(self) -> tuple[bytes, bytes]:
        return self.modes.arm_screen(), self.modes.arm_others()

    async def shown(self) -> bytes:
        drawn: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.screen.show(self.armed(), SIZE.rows, drawn.set_result)
        return await drawn

    @property
    def pid(self) -> int:
        assert self.screen._process is not None
        fields = Path(f"/proc/self/fdinfo/{self.screen._process.pidfd}").read_text()
        return int(next(line for line in fields.splitlines() if line.startswith("Pid:")).split()[1])


def with_session(use: Callable[[Session], Coroutine[None, None, None]]) -> None:
    async def life() -> None:
        session = Session()
        try:
            await use(session)
        finally:
            if session.screen._process is not None:
                started.append(session.pid)
            session.screen.close()

    started = list[int]()
    asyncio.run(life())
    for pid in started:
        reap(pid)


def reap(pid: int) -> None:
    os.waitpid(pid, 0)


@needs_library
def test_what_was_written_is_drawn() -> None:
    async def use(session: Session) -> None:
        session.write(b"\x1b[31mred\x1b[?2004h")
        drawn = await session.shown()
        assert drawn.startswith(b"\r" + b"\n" * SIZE.rows + b"\x1b[H")
        assert b"\x1b[31mred" in drawn
        assert drawn.endswith(b"\x1b[?2004h")
        assert session.screen.is_whole

    with_session(use)


@needs_library
def test_the_other_screen_is_drawn_before_the_switch() -> None:
    async def use(session: Session) -> None:
        session.write(b"before" + ALTERNATE + b"within")
        drawn = await session.shown()
        assert drawn.index(b"before") < drawn.index(ALTERNATE) < drawn.index(b"within")

    with_session(use)


@needs_library
def test_what_was_written_at_another_size_is_drawn_as_it_was() -> None:
    drawn = list[bytes]()

    async def use(session: Session) -> None:
        session.write(b"\x1b[999Cx")  # to the right margin
        session.backlog.resize(Size(SIZE.rows, 2 * SIZE.columns))
        drawn.append(await session.shown())

    async def use_spelled_out(session: Session) -> None:
        session.backlog.resize(Size(SIZE.rows, 2 * SIZE.columns))
        session.write(b"\x1b[%dCx" % (SIZE.columns - 1))
        drawn.append(await session.shown())

    with_session(use)
    with_session(use_spelled_out)
    assert drawn[0] == drawn[1]


@needs_library
def test_a_taller_terminal_keeps_what_it_showed() -> None:
    async def use(session: Session) -> None:
        drawn: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        session.screen.show(session.armed(), 50, drawn.set_result)
        assert (await drawn).startswith(b"\r" + b"\n" * 50 + b"\x1b[H")

    with_session(use)


@needs_library
def test_no_process_is_started_for_little_output() -> None:
    async def use(session: Session) -> None:
        session.write(b"x" * (FOLLOW_BYTES - 1))
        assert session.screen._turn is None
        assert session.screen._process is None

    with_session(use)


@needs_library
def test_much_output_is_followed_behind_the_relay() -> None:
    async def use(session: Session) -> None:
        session.write(b"x" * FOLLOW_BYTES)
        assert session.screen._turn is not None
        await asyncio.sleep(0)
        session.screen._turn.cancel()
        session.screen._follow()
        assert session.backlog.held_bytes == 0
        assert session.screen._process is not None

    with_session(use)


@needs_library
def test_a_flood_is_followed_once_it_is_over() -> None:
    async def use(session: Session) -> None:
        for _ in range(BYTES_MAX // FOLLOW_BYTES + 1):
            session.write(b"x" * FOLLOW_BYTES)
        for is_followed in (False, True):
            assert session.screen._turn is not None
            session.screen._turn.cancel()
            session.screen._follow()
            assert (session.screen._process is not None, not session.backlog.held_bytes) == (is_followed,) * 2

    with_session(use)


@needs_library
def test_a_flood_shows_its_end_and_is_known_to_be_incomplete() -> None:
    async def use(session: Session) -> None:
        for number in range(BYTES_MAX // 2000):
            session.write(b"%d\n" % number * 1000)
        session.write(b"the end")
        assert session.backlog.held_bytes <= BYTES_MAX
        assert b"the end" in await session.shown()
        assert not session.screen.is_whole

    with_session(use)


@needs_library
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["crash", "hang"])
def test_a_process_that_is_gone_costs_the_picture(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def use(session: Session) -> None:
        session.write(b"one\x1b[?2004h")
        await session.shown()
        lost = session.pid
        os.kill(lost, number)
        with monkeypatch.context() as patience:  # a new process may take longer to start
            patience.setattr(screen_module, "PATIENCE_S", 0.3)
            assert await session.shown() == b"\x1b[?2004h"
        assert not session.screen.is_whole
        reap(lost)
        session.write(b"\r\ntwo\r\nthree")
        assert b"three" in await session.shown()

    with_session(use)


@needs_library
def test_a_process_that_gets_no_cpu_for_a_second_costs_nothing() -> None:
    async def use(session: Session) -> None:
        session.write(b"one")
        await session.shown()
        os.kill(session.pid, signal.SIGSTOP)
        drawn = asyncio.ensure_future(session.shown())
        await asyncio.sleep(1.1)
        if session.screen._process is not None:
            os.kill(session.pid, signal.SIGCONT)
        assert b"one" in await drawn
        assert session.screen.is_whole

    with_session(use)


@needs_library
def test_a_process_that_is_gone_is_not_started_again_for_output() -> None:
    async def use(session: Session) -> None:
        session.write(b"x" * FOLLOW_BYTES)
        session.screen._follow()
        lost = session.pid
        session.screen._lose()
        reap(lost)
        session.write(b"x" * FOLLOW_BYTES)
        session.screen._follow()
        assert session.screen._process is None
        assert b"xxx" in await session.shown()

    with_session(use)


@needs_library
def test_a_process_that_falls_behind_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_module, "BEHIND_S", 0.0)

    async def use(session: Session) -> None:
        await session.shown()
        slow = session.pid
        os.kill(slow, signal.SIGSTOP)
        session.write(b"x" * BYTES_MAX)
        session.screen._follow()
        assert session.screen._unsent
        session.screen._follow()
        assert session.screen._process is None
        reap(slow)

    with_session(use)


@needs_library
@pytest.mark.parametrize(
    "answer", [b"\x04\x7f\xff\xff\xff", b"\x01\0\0\0\0", b"\x04\0\0\0\1x"], ids=["long", "other", "malformed"]
)
def test_an_answer_that_is_none_costs_the_picture(answer: bytes) -> None:
    async def use(session: Session) -> None:
        session.write(b"one\x1b[?2004h")
        await session.shown()
        lost = session.pid
        drawn: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        session.screen.show(session.armed(), SIZE.rows, drawn.set_result)
        assert not session.screen._take(answer)
        session.screen._lose()
        assert await drawn == b"\x1b[?2004h"
        reap(lost)

    with_session(use)


def test_without_the_library_the_modes_are_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen_module, "library_path", lambda: None)

    async def use(session: Session) -> None:
        session.write(b"one\x1b[?2004h")
        assert await session.shown() == b"\x1b[?2004h"
        assert not session.screen.is_whole

    with_session(use)
