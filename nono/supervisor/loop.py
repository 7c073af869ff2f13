"""The event loop's side of supervision: the end of the child, the audit log on disk, garbage."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Protocol

import anyio

from nono.errors import NonoError
from nono.kernel import libc
from nono.supervisor.child import Child

SYNC_INTERVAL_S = 0.2  # a killed machine loses at most this much of the audit log
GIVE_BACK_INTERVAL_S = 1.0


class SyncedLog(Protocol):
    @property
    def needs_sync(self) -> bool: ...

    def sync(self) -> None: ...


def run[*Args, T](main: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
    """Run main on uvloop. Raises the one error that ended it, without the task groups it came through."""
    try:
        return anyio.run(main, *args, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        raise unwrap_group(group) from group


def unwrap_group(error: BaseException) -> BaseException:
    """Return the one exception to raise for a group: one that a person was meant to read, else the first."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if isinstance(each, NonoError)), error.exceptions[0])
    return error


def enable_gc() -> None:
    """Have garbage collected from here on, if the start has put it off; what there is by now is left out."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


async def start_command(execute: Callable[[], None], *, is_watched: bool) -> None:
    """Have the command executed: execute returns when it is, which for a watched one the loop must serve."""
    if is_watched:
        await anyio.to_thread.run_sync(execute)
    else:
        execute()


async def wait(child: Child) -> int:
    """The command's exit code, once it has ended; its signals are served meanwhile."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        child.serve_signals()
        if child.exit_code is not None:
            ended.set()

    loop.add_reader(child.signal_descriptor, on_signal)
    try:
        on_signal()  # it may have ended before there was a loop to tell
        await ended.wait()
    finally:
        loop.remove_reader(child.signal_descriptor)
    if child.exit_code is None:
        raise RuntimeError("a child that ended has no exit code")
    return child.exit_code


@asynccontextmanager
async def housekeeping(log: SyncedLog | None, flush: Callable[[], None]) -> AsyncIterator[None]:
    """Keep memory small, and the log on disk if there is one, until the block is left."""
    async with anyio.create_task_group() as tasks:
        if log is not None:
            tasks.start_soon(_keep_written, log, flush)
        tasks.start_soon(_keep_small)
        yield
        tasks.cancel_scope.cancel()


async def _keep_small() -> None:
    """Run until cancelled: gives back memory that is not used any more; half a millisecond each time."""
    while True:
        await anyio.sleep(GIVE_BACK_INTERVAL_S)
        libc.give_back_free_memory()


async def _keep_written(log: SyncedLog, flush: Callable[[], None]) -> None:
    """Run until cancelled: writes what flush still holds back, and brings all of it to disk.

    An OSError of either ends the run: what cannot be recorded must not go on happening.
    """
    while True:
        await anyio.sleep(SYNC_INTERVAL_S)
        flush()
        if log.needs_sync:
            # In a thread: on a slow disk fdatasync takes longer than the child should wait for a connect.
            await anyio.to_thread.run_sync(log.sync)
