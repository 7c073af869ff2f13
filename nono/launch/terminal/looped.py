"""Relays the terminal that a command has of its own on an event loop, and lets viewers in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from nono.launch.terminal.own_terminal import LOOK_S, OwnTerminal, Shown
from nono.supervisor.relay.server import Server


@asynccontextmanager
async def relayed(shown: Shown) -> AsyncIterator[Callable[[], None]]:
    """Relay a terminal on the running loop until the block is left, which says the last words of the command.

    Yields a function to call once the command runs.
    """
    terminal = OwnTerminal(shown, asyncio.get_running_loop())
    async with AsyncExitStack() as stack:
        stack.callback(terminal.close)
        stack.push_async_callback(_last_words, terminal)

        def started() -> None:
            meeting = terminal.started()
            if meeting is not None:
                stack.push_async_callback(Server(meeting, terminal.relay).close)

        yield started


@asynccontextmanager
async def moved(terminal: OwnTerminal) -> AsyncIterator[None]:
    """Relay a terminal on the running loop that was relayed on another one before."""
    terminal.move_to(asyncio.get_running_loop())
    server = None if terminal.meeting is None else Server(terminal.meeting, terminal.relay)
    try:
        yield
    finally:
        if server is not None:
            await server.close()
        await _last_words(terminal)


async def _last_words(terminal: OwnTerminal) -> None:
    began = asyncio.get_running_loop().time()
    while not terminal.relay.has_said_all(began):  # noqa: ASYNC110 - silence, which is waited for, is no event
        await asyncio.sleep(LOOK_S)
