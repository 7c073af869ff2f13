"""Supervises a run on one event loop: its command, its served system calls, and its proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from signal import SIGKILL
from typing import TYPE_CHECKING

from nono.audit import event
from nono.audit.dedup import DedupRecorder
from nono.kernel import process
from nono.launch.opens import trapped_opens
from nono.launch.start import RunContext
from nono.named_tuple import NamedTuple
from nono.supervisor import abort, loop
from nono.supervisor.calls.caller_paths import CallerPaths
from nono.supervisor.notify_loop import NotifyLoop
from nono.supervisor.verdict.adjudicator import NetworkGrants

if TYPE_CHECKING:
    from nono.approval.broker import ApprovalBroker
    from nono.policy.environment.inheritance import Withheld
    from nono.supervisor.calls.inet import Bound, Connected
    from nono.supervisor.verdict.peer_registry import PeerAddress


def _not_kept(_peer: PeerAddress, _cookie: int) -> None:
    """Forget a connection: without a proxy nobody asks whose it was."""


class Network(NamedTuple):
    """The network of one command, with or without a proxy."""

    grants: NetworkGrants  # judge trapped calls
    approver: ApprovalBroker | None  # None: nothing may need approval
    proxy_port: int | None = None
    variables: Mapping[str, str] = {}  # tell clients how to reach and trust the proxy
    readable: Sequence[str] = ()  # the files these variables name; canonical
    relayed: AbstractAsyncContextManager[None] = nullcontext()  # ports into and out of a private network
    connected: Connected = _not_kept  # takes each connection made to the proxy
    bound: Bound | None = None  # told of listening sockets in a watched run
    withheld: tuple[Withheld, ...] = ()  # variables that hold a key this run has loaded


def supervise(run: RunContext, network: Callable[[RunContext], AbstractAsyncContextManager[Network]]) -> int:
    """Run the command to its end. Returns its exit code.

    network is called before the loop starts, because a slow keyring would block it, and entered on the loop.
    """
    record = DedupRecorder(run.session.record)
    process.raise_open_files()  # the launcher, which becomes the command, was forked before
    run = run.recorded_by(record)
    with abort.ended_in_order(lambda: _end(run, record)):
        return loop.run(_supervise, run, record, network(run))


def _end(run: RunContext, record: DedupRecorder) -> None:
    """End the run from within an abort(3) of this process."""
    run.child.send(SIGKILL)
    try:
        record.drain()
        run.session.record(event.session_ended(abort.EXIT_CODE))
    finally:
        try:
            run.session.warn(abort.REASON)
        finally:
            run.close()


async def _supervise(
    run: RunContext, record: DedupRecorder, network: AbstractAsyncContextManager[Network]
) -> int:
    async with loop.housekeeping(run.session.log, record.flush):
        try:
            async with network as entered:
                return await _run_command(run, record, entered)
        finally:
            record.drain()


async def _run_command(run: RunContext, record: DedupRecorder, network: Network) -> int:
    number = run.restrict(
        network.variables, network.proxy_port, readable=network.readable, withheld=network.withheld
    )
    # By pidfd_getfd: the listener would trap the sendmsg that sends it.
    listener = None if number is None else process.duplicate_descriptor(run.launcher.pid, number)
    async with network.relayed, _served(run, listener, network, record), _terminal_relayed(run):
        if network.proxy_port is not None or network.approver is not None:
            await loop.start_lookups()
        run.child.lower_priority()
        await loop.start_command(run.go, is_watched=run.is_watched)
        if run.background is not None:
            run.background.started(run.entry.shown())
        loop.enable_gc()
        return await loop.wait(run.child)


@asynccontextmanager
async def _terminal_relayed(run: RunContext) -> AsyncIterator[None]:
    """Relay the terminal of a detached session, if this is one, until the block is left."""
    if run.background is None:
        yield
        return
    # Imported here: other runs have no terminal of their own.
    from nono.supervisor.relay.server import relayed

    def attached(is_attached: bool) -> None:
        run.session.record(event.terminal_shown(is_attached))
        run.entry.attached(is_attached)

    listener, key = run.entry.listen()
    master = run.background.pty.master
    async with relayed(master, listener, key, attached, lambda: run.child.exit_code):
        yield


@asynccontextmanager
async def without_proxy(run: RunContext) -> AsyncIterator[Network]:
    """Open the network of a run without a proxy that has some system calls served."""
    resolved, capabilities = run.prepared.resolved, run.prepared.capabilities
    unix = resolved.unix_sockets._replace(written=capabilities.grants)
    if not capabilities.mediates_unix_sockets:
        unix = unix._replace(files=capabilities.grants)
    # Unused if no socket call is trapped.
    grants = NetworkGrants(
        ports=capabilities.ports,
        unix=unix,
        is_open=not capabilities.restricts_network,
        reaches_abstract=not capabilities.scopes.abstract_unix_socket,
    )
    asks = run.prepared.enforcement.elevation and not run.is_watched
    async with approver_of(run) if asks else nullcontext() as approver:
        yield Network(grants, approver)


@asynccontextmanager
async def approver_of(run: RunContext) -> AsyncIterator[ApprovalBroker | None]:
    """Open the approval broker of a run until the block is left; None if nothing may need approval."""
    approval = run.prepared.resolved.approval
    if approval is None:
        yield None
        return
    # Imported here: few runs ask.
    from nono.launch.approvals import approvals
    from nono.supervisor.job_stop import job_stopped

    async with approvals(approval, run.session, job_stopped) as approver:
        yield approver


@asynccontextmanager
async def _served(
    run: RunContext, listener: int | None, network: Network, record: DedupRecorder
) -> AsyncIterator[None]:
    """Answer trapped calls, if there is a listener, until the block is left."""
    if listener is None:
        yield
        return
    async with trapped_opens(run, listener, network.readable, network.approver) as opens:
        paths = CallerPaths(run.launcher.pid)
        notify_loop = NotifyLoop(
            listener, network.grants, record, network.connected, paths, opens, network.bound
        )
        notify_loop.start()
        try:
            yield
        finally:
            notify_loop.close()
