"""Supervise a run on one event loop: its command, its served system calls, and its proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

from nono.audit import windows  # noqa: F401 - imported for the first connect, which an update may come before
from nono.audit.dedup import DedupRecorder
from nono.kernel import process
from nono.launch.control.interface import controlled, take_over
from nono.launch.control.live import Live
from nono.launch.serving.network import Network, ServedNetwork
from nono.launch.serving.opens import trapped_opens
from nono.launch.start import RunContext
from nono.sandbox.plan.enforcement import has_own_datagrams
from nono.supervisor import loop
from nono.supervisor.calls.caller_paths import CallerPaths
from nono.supervisor.calls.trapped_command import TrappedCommand
from nono.supervisor.notify_loop import NotifyLoop

if TYPE_CHECKING:
    from nono.launch.terminal.looped import Others
    from nono.launch.terminal.own_terminal import OwnTerminal, Visitor


def supervise(
    run: RunContext,
    record: DedupRecorder,
    network: Network,
    trapped: TrappedCommand | None,
    *,
    is_started: bool,
) -> int:
    """Serve the command to its end. Returns its exit code.

    trapped: Its trapped calls, if any.
    is_started: It is already running; otherwise it is started once everything is served.
    """
    return loop.run(_supervise, run, record, network, trapped, is_started)


async def _supervise(
    run: RunContext, record: DedupRecorder, network: Network, trapped: TrappedCommand | None, is_started: bool
) -> int:
    flush = record.flush if run.beside.carried is None else run.beside.carried.after(record.flush)
    async with loop.housekeeping(run.session.log, flush):
        try:
            async with network.serve() as served:
                return await _run_command(run, record, network, served, trapped, is_started)
        finally:
            record.drain()


async def _run_command(
    run: RunContext,
    record: DedupRecorder,
    network: Network,
    served: ServedNetwork,
    trapped: TrappedCommand | None,
    is_started: bool,
) -> int:
    others = partial(take_over, run, served.approver, served.live)
    async with (
        served.private_network(record),
        _served(run, trapped, network.readable, served, record),
        controlled(run, served.approver, served.live),
        _terminal_relayed(run, network, others) as shows_terminal,
    ):
        if not is_started:
            if network.listener is not None or served.approver is not None:
                await loop.start_lookups()
            run.child.lower_priority()
            await loop.start_command(run.go, is_watched=run.is_watched)
        shows_terminal()
        loop.enable_gc()
        return await loop.wait(run.child)


@asynccontextmanager
async def _terminal_relayed(
    run: RunContext, network: Network, others: Others
) -> AsyncIterator[Callable[[], None]]:
    """Relay the command's own terminal, if it has one, until the block is left.

    Yields a function to call once the command runs.

    others: Answers visitors of the session that neither attach nor detach.
    """
    if run.options.front is None:
        yield lambda: None
        return
    # Imported here: other runs have no terminal of their own.
    from nono.launch.terminal.looped import relayed
    from nono.launch.terminal.own_terminal import Shown

    shown = Shown(run.options.front, run.child, run.entry, run.session, run.env_credentials, network.leaks)
    async with relayed(shown, others) as started:
        yield started


def go_on(run: RunContext, terminal: OwnTerminal, visitors: Sequence[Visitor]) -> int:
    """Go on with a command that runs, whose session is asked for more than its terminal."""

    async def wait() -> int:
        # Imported here, as above.
        from nono.launch.terminal.looped import moved

        others = partial(take_over, run, None, Live())
        async with loop.housekeeping(run.session.log, lambda: None), moved(terminal, visitors, others):
            loop.enable_gc()
            return await loop.wait(run.child)

    process.raise_open_files()
    return loop.run(wait)


@asynccontextmanager
async def _served(
    run: RunContext,
    trapped: TrappedCommand | None,
    readable: Sequence[str],
    network: ServedNetwork,
    record: DedupRecorder,
) -> AsyncIterator[None]:
    """Answer trapped calls, if there are any, until the block is left."""
    if trapped is None:
        yield
        return
    async with trapped_opens(run, trapped.listener, readable, network.approver) as opens:
        listener, root = trapped.hand_over()
        paths = CallerPaths(trapped.standing, root)
        notify_loop = NotifyLoop(
            *(listener, network.grants, record, network.connected, paths, opens, network.bound),
            maker=run.launcher.lifeline if has_own_datagrams(run.prepared.enforcement) else None,
            names=network.names,
        )
        if network.live.ports is not None:
            network.live.ports.changed = notify_loop.forget_verdicts
        notify_loop.start()
        try:
            yield
        finally:
            notify_loop.close()
