"""Run the supervisor's event loop: wait for the child, sync the audit log, free memory."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Protocol

import anyio

from nono.bytecode import finder
from nono.errors import NonoError
from nono.in_thread import in_thread
from nono.kernel import libc
from nono.supervisor.child import Child
from nono.supervisor.watches import LIMITS, try_watches

SYNC_INTERVAL_S = 0.2  # a killed machine loses at most this much of the audit log
GIVE_BACK_INTERVAL_S = 1.0
# The error uvloop ends with if it gets no watch although try_watches() found some, because another program
# was faster.
_STILLBORN = "Cannot close a running event loop"


class SyncedLog(Protocol):
    @property
    def needs_sync(self) -> bool: ...

    def sync(self) -> None: ...


def run[*Args, T](main: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
    """Run `main` on uvloop. Raises the one error that ended it, unwrapped from its task groups.

    Raises NonoError if the loop could not watch anything.
    """
    try_watches()
    try:
        return anyio.run(main, *args, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        raise unwrap_group(group) from group
    except RuntimeError as error:
        if str(error) != _STILLBORN:
            raise
        raise NonoError("the event loop cannot watch a descriptor.", hint=LIMITS) from error


def unwrap_group(error: BaseException) -> BaseException:
    """Return the one exception to raise for a group: the first NonoError, else the first exception."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if isinstance(each, NonoError)), error.exceptions[0])
    return error


def enable_gc() -> None:
    """Enable garbage collection if start-up deferred it; freeze the objects that exist by now."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


async def start_lookups() -> None:
    """Start the loop's look-up threads before a command can use up its user's limit of processes.

    libuv starts all of them for the first look-up, and aborts if it cannot. This look-up sends no query. The
    proxy uses threads of its own for names; webhooks and relayed ports use these.
    """
    with suppress(OSError):
        await asyncio.get_running_loop().getaddrinfo(b"nono.invalid", 0, flags=socket.AI_NUMERICHOST)


async def start_command(execute: Callable[[], None], *, is_watched: bool) -> None:
    """Start the command. `execute` returns once the command has exec'd.

    is_watched: the loop must answer the exec itself, so `execute` runs in a thread.
    """
    if is_watched:
        await anyio.to_thread.run_sync(execute)
    else:
        execute()


async def wait(child: Child) -> int:
    """Wait for the command, serving its signals, and return its exit code."""
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        child.serve_signals()
        if child.exit_code is not None:
            ended.set()

    loop.add_reader(child.descriptor, on_signal)
    try:
        on_signal()  # it may have ended before the loop watched it
        await ended.wait()
    finally:
        loop.remove_reader(child.descriptor)
    if child.exit_code is None:
        raise RuntimeError("a child that ended has no exit code")
    return child.exit_code


@asynccontextmanager
async def housekeeping(log: SyncedLog | None, flush: Callable[[], None]) -> AsyncIterator[None]:
    """Keep memory small, and sync the log if there is one, until the block is left."""
    async with anyio.create_task_group() as tasks:
        if log is not None:
            tasks.start_soon(_keep_written, log, flush)
        tasks.start_soon(_keep_small)
        yield
        tasks.cancel_scope.cancel()


async def _keep_small() -> None:
    """Return unused memory to the kernel until cancelled; half a millisecond each time."""
    while True:
        await anyio.sleep(GIVE_BACK_INTERVAL_S)
        libc.give_back_free_memory()
        finder.unload()


async def _keep_written(log: SyncedLog, flush: Callable[[], None]) -> None:
    """Flush pending events and sync the log to disk until cancelled.

    An OSError of either ends the run: actions that cannot be recorded must not continue.
    """
    while True:
        await anyio.sleep(SYNC_INTERVAL_S)
        flush()
        if log.needs_sync:
            # In a thread: on a slow disk fdatasync takes longer than a child should wait for a connect.
            await in_thread(log.sync)
