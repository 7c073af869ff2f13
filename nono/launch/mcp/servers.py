"""Start MCP servers beside a command, and end those that are left with it.

A client of the proxy that is let through to a server's host gets the server's streams. Nothing but their
bytes passes between the two sandboxes.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from nono.bytecode.writer import own_flags
from nono.kernel import process
from nono.launch.mcp import carrier
from nono.launch.mcp.place import environment
from nono.policy.files.grants import at_every_mount
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.hosts.mcp_servers import PORT
from nono.policy.schema.route_rules import RateLimit
from nono.policy.services.rate_limit import TokenBucket

if TYPE_CHECKING:
    from nono.launch.start import RunContext
    from nono.proxy.config import Address, OpenProgram

AT_ONCE = 16  # servers of one run
# A start takes a second of a processor, which no limit of the run counts. An agent starts each server once.
STARTS = RateLimit(requests_per_minute=12, burst=2 * AT_ONCE, max_delay_s=30)
_PATIENCE_S = 1.0


@asynccontextmanager
async def mcp_servers(run: RunContext) -> AsyncIterator[Mapping[Address, OpenProgram]]:
    """Yield what starts each server of a run, by the host and port that stand for it.

    Leave the block once their clients are gone, which ends them.
    """
    resolved = run.prepared.resolved
    grants = [*at_every_mount(run.prepared.capabilities.grants, HostFilesystem())]
    running = _Running(environment(run.session.environ, grants), run.child.spared)
    # Of the command and of every server: each has its own alone.
    kept = resolved.environment.withheld
    try:
        yield {
            (server.host, PORT): partial(running.open, server.name, kept - server.reads)
            for server in resolved.mcp_servers
        }
    finally:
        with anyio.CancelScope(shield=True):
            await running.end(run.session.warn)


class _Running:
    """The servers of one run, as processes that carry their streams."""

    def __init__(self, environ: Mapping[str, str], spared: set[int]) -> None:
        """spared: Takes the processes that are not the command's."""
        self._environ = environ
        self._spared = spared
        self._carriers = dict[int, int]()  # pidfd, pid
        self._starts = TokenBucket(STARTS, time.monotonic())

    async def open(self, name: str, withheld: frozenset[str]) -> socket.socket:
        """Start a server. Returns the client's end of its streams, which the caller closes.

        Waits first if this run has started many.

        withheld: Variables that may hold the key of somebody else.

        Raises OSError.
        """
        self._refuse_too_many()  # first: what is refused here starts nothing, and counts for nothing
        wait_s = self._starts.take(time.monotonic())
        if wait_s is None:
            raise OSError("this run has started servers too often")
        await anyio.sleep(wait_s)
        self._refuse_too_many()
        theirs, ours = socket.socketpair()
        with ours:
            try:
                pid = self._spawned(name, withheld, ours)
                self._carriers[os.pidfd_open(pid)] = pid
            except BaseException:
                theirs.close()  # ends what has been started
                raise
        self._spared.add(pid)
        process.restore_open_files(pid)
        return theirs

    def _refuse_too_many(self) -> None:
        """Raise OSError if no other server may run beside those that have not ended."""
        self._forget_ended()
        if len(self._carriers) == AT_ONCE:
            raise OSError(f"{AT_ONCE} servers of this run have not ended")

    def _spawned(self, name: str, withheld: frozenset[str], client: socket.socket) -> int:
        return os.posix_spawn(
            sys.executable,
            [sys.executable, *own_flags(), "-m", carrier.__name__, name],
            {each: value for each, value in self._environ.items() if each not in withheld},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, client.fileno(), 0),
                (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
            ],
            setsid=True,  # Ctrl-C and the terminal are the command's
            setsigmask=(),
            setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
        )

    async def end(self, warn: Callable[[str], object]) -> None:
        """Wait for all of them: each ends its server once its client is gone.

        warn: Is told if that takes long.
        """
        with anyio.move_on_after(carrier.ENDS_WITHIN_S):
            with anyio.move_on_after(_PATIENCE_S) as patience:
                await self._all_ended()
            if patience.cancelled_caught:
                warn("waiting for MCP servers to end; those that go on are killed soon.")
                await self._all_ended()
        for pidfd in self._carriers:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            await anyio.wait_readable(pidfd)
        self._forget_ended()

    async def _all_ended(self) -> None:
        for pidfd in self._carriers:
            await anyio.wait_readable(pidfd)

    def _forget_ended(self) -> None:
        ended = select.poll()
        for pidfd in self._carriers:
            ended.register(pidfd, select.POLLIN)
        for pidfd, _ in ended.poll(0):
            pid = self._carriers.pop(pidfd)
            os.close(pidfd)
            with suppress(ChildProcessError):  # reaped with the command's
                os.waitpid(pid, 0)
            self._spared.discard(pid)
