"""nono.proxy.upstream.lookups: names are looked up in threads that were there before."""

from __future__ import annotations

import _socket
import asyncio
import socket
import subprocess
import sys
import threading
from _thread import start_new_thread
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest
from anyio.abc import TaskGroup

from nono.errors import NonoError
from nono.kernel import process
from nono.proxy.upstream import lookups as module
from nono.proxy.upstream.lookups import THREADS, THREADS_MAX, Lookups, lookups
from support.proxy.thread import wait_until


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[object]]], object]:
    return lambda work: anyio.run(work, backend_options={"use_uvloop": request.param})


OnLoop = Callable[[Callable[[], Awaitable[object]]], object]


def test_a_name_is_looked_up_in_a_thread_that_was_there(on_loop: OnLoop) -> None:
    with lookups() as resolver:
        before = process.thread_count()

        async def ask() -> bool:
            found = await resolver("localhost", 443)
            return "127.0.0.1" in found and process.thread_count() <= before

        assert on_loop(ask)


def test_a_failure_reaches_whoever_asked(monkeypatch: pytest.MonkeyPatch, on_loop: OnLoop) -> None:
    def fail(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(_socket, "getaddrinfo", fail)

    async def ask() -> list[str]:
        with pytest.raises(OSError, match="Name or service not known"):
            await resolver("a.invalid", 443)
        monkeypatch.undo()
        return await resolver("127.0.0.1", 443)

    with lookups() as resolver:
        assert on_loop(ask) == ["127.0.0.1"]


def test_looking_up_a_name_in_ascii_imports_no_idna() -> None:
    code = (
        "import asyncio, sys\n"
        "from nono.proxy.upstream.lookups import _look_up\n"
        "_look_up('localhost', 80, asyncio.new_event_loop().create_future(), int)\n"
        "print('encodings.idna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "False\n", done.stderr


def test_a_name_beyond_ascii_is_looked_up_as_before(monkeypatch: pytest.MonkeyPatch, on_loop: OnLoop) -> None:
    asked = list[object]()

    def answer(host: object, *_: object, **__: object) -> list[object]:
        asked.append(host)
        return []

    monkeypatch.setattr(_socket, "getaddrinfo", answer)

    async def ask() -> None:
        await resolver("b\u00fccher.test", 443)
        await resolver("books.test", 443)

    with lookups() as resolver:
        on_loop(ask)
    assert asked == ["b\u00fccher.test", b"books.test"]


def test_nobody_is_told_what_nobody_waits_for(monkeypatch: pytest.MonkeyPatch, on_loop: OnLoop) -> None:
    is_asked, may_answer, has_answered = threading.Event(), threading.Event(), threading.Event()

    def answer(*_: object, **__: object) -> list[object]:
        is_asked.set()
        may_answer.wait(10)
        has_answered.set()
        return []

    monkeypatch.setattr(_socket, "getaddrinfo", answer)
    faults = list[object]()

    async def ask() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: faults.append(context))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(resolver, "slow.test", 443)
            assert await anyio.to_thread.run_sync(is_asked.wait, 10)
            tasks.cancel_scope.cancel()
        may_answer.set()
        assert await anyio.to_thread.run_sync(has_answered.wait, 10)
        with anyio.fail_after(10):
            while resolver._unfinished:
                await anyio.lowlevel.checkpoint()

    with lookups() as resolver:
        on_loop(ask)
    assert faults == []


class Names:
    """Answers at once for all names but those that hang until they may end."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked = list[object]()
        self.may_end = threading.Event()
        monkeypatch.setattr(_socket, "getaddrinfo", self)

    def __call__(self, name: bytes, *_: object, **__: object) -> list[object]:
        self.asked.append(name)
        if name.startswith(b"dead"):
            self.may_end.wait(10)
        return []

    async def hang(self, resolver: Lookups, tasks: TaskGroup, count: int) -> None:
        """Return once this many look-ups hang."""
        for number in range(count):
            tasks.start_soon(resolver, f"dead{number}.test", 443)
        await anyio.to_thread.run_sync(wait_until, lambda: len(self.asked) == count)


@pytest.mark.parametrize(("dead", "is_answered"), [(31, True), (32, False)])
def test_names_that_get_no_answer_hold_up_no_other_within_a_bound(
    monkeypatch: pytest.MonkeyPatch, on_loop: OnLoop, dead: int, is_answered: bool
) -> None:
    names = Names(monkeypatch)

    async def ask() -> bool:
        async with anyio.create_task_group() as tasks:
            await names.hang(resolver, tasks, dead)
            with anyio.move_on_after(10 if is_answered else 0.2) as scope:
                await resolver("good.test", 443)
            names.may_end.set()
        return not scope.cancelled_caught

    with lookups() as resolver:
        assert on_loop(ask) is is_answered


def test_a_look_up_that_nobody_waits_for_is_not_begun(
    monkeypatch: pytest.MonkeyPatch, on_loop: OnLoop
) -> None:
    names = Names(monkeypatch)
    monkeypatch.setattr(module, "THREADS_MAX", THREADS)

    async def ask() -> None:
        async with anyio.create_task_group() as tasks:
            await names.hang(resolver, tasks, THREADS)
            async with anyio.create_task_group() as given_up:
                given_up.start_soon(resolver, "late.test", 443)
                await anyio.lowlevel.checkpoint()
                given_up.cancel_scope.cancel()
            names.may_end.set()
            await resolver("good.test", 443)

    with lookups() as resolver:
        on_loop(ask)
    assert names.asked[THREADS:] == [b"good.test"]


def test_without_room_for_further_threads_a_name_waits_for_those_there_are(
    monkeypatch: pytest.MonkeyPatch, on_loop: OnLoop
) -> None:
    names = Names(monkeypatch)

    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    async def ask() -> None:
        async with anyio.create_task_group() as tasks:
            await names.hang(resolver, tasks, THREADS)
            monkeypatch.setattr(module, "start_new_thread", refuse)
            tasks.start_soon(resolver, "good.test", 443)
            await anyio.lowlevel.checkpoint()
            assert b"good.test" not in names.asked
            names.may_end.set()

    with lookups() as resolver:
        on_loop(ask)
    assert names.asked[THREADS:] == [b"good.test"]


def test_one_name_after_another_takes_no_further_thread(
    monkeypatch: pytest.MonkeyPatch, on_loop: OnLoop
) -> None:
    started = list[object]()

    def start(serve: Callable[[], object], arguments: tuple[()]) -> int:
        started.append(serve)
        return start_new_thread(serve, arguments)

    Names(monkeypatch)
    monkeypatch.setattr(module, "start_new_thread", start)

    async def ask() -> None:
        for number in range(2 * THREADS):
            await resolver(f"good{number}.test", 443)

    with lookups() as resolver:
        on_loop(ask)
    assert len(started) == THREADS


@pytest.mark.parametrize("dead", [0, THREADS_MAX])
def test_the_threads_end_with_the_block(monkeypatch: pytest.MonkeyPatch, on_loop: OnLoop, dead: int) -> None:
    names = Names(monkeypatch)
    during = 0

    async def ask() -> None:
        nonlocal during
        async with anyio.create_task_group() as tasks:
            await names.hang(resolver, tasks, dead)
            during = process.thread_count()
            names.may_end.set()

    with lookups() as resolver:
        on_loop(ask)
    wait_until(lambda: process.thread_count() <= during - max(dead, THREADS))


def test_a_user_without_room_for_a_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module, "start_new_thread", refuse)
    with pytest.raises(NonoError, match="threads that look names up") as refused, lookups():
        pass
    assert [limit in (refused.value.hint or "") for limit in ("ulimit -u", "ulimit -v")] == [True, True]
