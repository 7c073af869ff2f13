"""Relays the terminal that a command has of its own on an event loop, and lets viewers in."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from nono.control.take_over import TakeOver
from nono.launch.terminal.own_terminal import LOOK_S, OwnTerminal, Shown
from nono.sessions.meeting import Meeting
from nono.supervisor.relay.server import Server

Others = Callable[[Meeting], TakeOver]


@asynccontextmanager
async def relayed(shown: Shown, others: Others) -> AsyncIterator[Callable[[], None]]:
    """Relay a terminal on the running loop until the block is left, which says the last words of the command.

    Yields a function to call once the command runs.
    others: Makes what answers those that neither attach nor detach.
    """
    terminal = OwnTerminal(shown, asyncio.get_running_loop())
    async with AsyncExitStack() as stack:
        stack.callback(terminal.close)
        stack.push_async_callback(_last_words, terminal)

        def started() -> None:
            meeting = terminal.started()
            if meeting is not None:
                terminal.relay.follow_screen()
                control = others(meeting)
                stack.push_async_callback(control.close)
                stack.push_async_callback(Server(meeting, terminal.relay, control).close)

        yield started


@asynccontextmanager
async def moved(terminal: OwnTerminal, visitor: socket.socket, others: Others) -> AsyncIterator[None]:
    """Relay a terminal on the running loop that was relayed on another one, and let a first visitor in."""
    assert terminal.meeting is not None  # or nobody could have come
    terminal.move_to(asyncio.get_running_loop())
    terminal.relay.follow_screen()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_last_words, terminal)
        control = others(terminal.meeting)
        stack.push_async_callback(control.close)
        server = Server(terminal.meeting, terminal.relay, control)
        stack.push_async_callback(server.close)
        server.admit(visitor)
        yield


async def _last_words(terminal: OwnTerminal) -> None:
    began = asyncio.get_running_loop().time()
    while not terminal.relay.has_said_all(began):  # noqa: ASYNC110 - silence, which is waited for, is no event
        await asyncio.sleep(LOOK_S)
