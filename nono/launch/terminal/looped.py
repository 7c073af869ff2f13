"""Relay the command's own terminal on an event loop, and admit viewers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from nono.control.take_over import TakeOver
from nono.launch.terminal.own_terminal import LOOK_S, OwnTerminal, Shown, Visitor
from nono.sessions.meeting import Meeting
from nono.supervisor.relay.server import Server

Others = Callable[[Meeting], TakeOver]


@asynccontextmanager
async def relayed(shown: Shown, others: Others) -> AsyncIterator[Callable[[], None]]:
    """Relay a terminal on the running loop until the block is left, which shows the command's last output.

    Yields a function to call once the command runs.

    others: Creates the handler for connections that neither attach nor detach.
    """
    terminal = OwnTerminal(shown, asyncio.get_running_loop())
    async with AsyncExitStack() as stack:
        stack.callback(terminal.close)
        stack.push_async_callback(_last_words, terminal)

        def started() -> None:
            terminal.listen()
            terminal.started()
            if (meeting := terminal.meeting) is not None:
                terminal.relay.follow_screen()
                control = others(meeting)
                stack.push_async_callback(control.close)
                server = Server(asyncio.get_running_loop(), meeting, terminal.relay, control.take)
                stack.callback(server.close)

        yield started


@asynccontextmanager
async def moved(terminal: OwnTerminal, visitors: Sequence[Visitor], others: Others) -> AsyncIterator[None]:
    """Relay a terminal on the running loop that was relayed on another one, and hand its visitors on."""
    assert terminal.meeting is not None  # or nobody could have come
    loop = asyncio.get_running_loop()
    terminal.move_to(loop)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(_last_words, terminal)
        control = others(terminal.meeting)
        stack.push_async_callback(control.close)
        server = visitors[0].server
        server.move_to(loop, control.take)
        stack.callback(server.close)
        for visitor in visitors:
            control.take(visitor.connection, visitor.received)
        yield


async def _last_words(terminal: OwnTerminal) -> None:
    began = asyncio.get_running_loop().time()
    while not terminal.relay.has_said_all(began):  # noqa: ASYNC110 - silence, which is waited for, is no event
        await asyncio.sleep(LOOK_S)
