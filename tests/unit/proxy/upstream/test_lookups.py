"""nono.proxy.upstream.lookups: names are looked up in threads that were there before."""

from __future__ import annotations

import _socket
import socket
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable

import anyio
import anyio.lowlevel
import pytest

from nono.errors import NonoError
from nono.kernel import process
from nono.proxy.upstream import lookups as module
from nono.proxy.upstream.lookups import THREADS, lookups
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
        "_look_up('localhost', 80, asyncio.new_event_loop().create_future())\n"
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

    async def ask() -> None:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(resolver, "slow.test", 443)
            assert await anyio.to_thread.run_sync(is_asked.wait, 10)
            tasks.cancel_scope.cancel()
        may_answer.set()
        assert await anyio.to_thread.run_sync(has_answered.wait, 10)
        await anyio.lowlevel.checkpoint()

    with lookups() as resolver:
        on_loop(ask)


def test_the_threads_end_with_the_block() -> None:
    with lookups():
        during = process.thread_count()
    wait_until(lambda: process.thread_count() <= during - THREADS)


def test_a_user_without_room_for_a_thread_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(module, "start_new_thread", refuse)
    with pytest.raises(NonoError, match="threads that look names up"), lookups():
        pass
