"""The proxy-only run: credentials, proxy, adjudicator and child on one event loop."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import anyio

from nono.audit import event
from nono.audit.folding import FoldingRecorder
from nono.credentials.phantom import make_session_token
from nono.kernel import process
from nono.launch.assembly import Assembly, Listening, assemble, proxy_of
from nono.launch.cause import cause_of
from nono.launch.git_ssh import git_ssh
from nono.launch.start import RunContext
from nono.launch.thread_naming import with_thread_names
from nono.policy.environment import child_environment
from nono.policy.ports import OPEN_PORT, PortGrants, PortPolicy, PortRange
from nono.sandbox.plan import Rung
from nono.supervisor import loop
from nono.supervisor.adjudicator import NetworkGrants, loopback
from nono.supervisor.caller_paths import CallerPaths
from nono.supervisor.notify_loop import NotifyLoop
from nono.supervisor.peer_registry import PeerRegistry

if TYPE_CHECKING:
    from nono.approval.desk import Desk
    from nono.supervisor.notify_loop import PathCalls


def run(start: RunContext) -> int:
    """The command's exit code. Credentials are read before there is a loop that a slow keyring could stop."""
    record = FoldingRecorder(start.session.record)
    start = start.recorded_by(record)
    assembly = assemble(start.prepared.resolved, start.session, start.ahead)
    try:
        return anyio.run(_supervise, start, record, assembly, backend_options={"use_uvloop": True})
    except BaseExceptionGroup as group:
        raise cause_of(group) from group


async def _supervise(start: RunContext, record: FoldingRecorder, assembly: Assembly) -> int:
    log = start.session.log
    peers = PeerRegistry()
    rung = start.prepared.enforcement.rung
    # On the notify rung the supervisor makes every connection itself, and so knows its own child's. On netns
    # nobody else is in the network where the proxy listens.
    admits = peers.take if rung is Rung.NOTIFY else None
    async with anyio.create_task_group() as tasks:
        if log is not None:
            tasks.start_soon(loop.keep_written, log, record.flush)
        tasks.start_soon(loop.keep_small)
        try:
            with _private_network(start) as (private, maker):
                listening = Listening(port=start.proxy_port, listener=private)
                async with (
                    _approver(start) as approver,
                    proxy_of(assembly, make_session_token(), listening, admits, approver) as proxy,
                ):
                    port = proxy.running.port
                    prepared = start.prepared
                    inherited = child_environment(start.session.environ, prepared.resolved.environment)
                    hosts = prepared.resolved.host_filter
                    assert hosts is not None  # or there was no proxy
                    ssh = git_ssh(inherited, hosts, prepared.capabilities.grants)
                    added = {**proxy.variables, **ssh.variables}
                    readable = (*proxy.files, *ssh.files)
                    listener = _take_listener(start, start.restrict(added, port, readable=readable))
                    ports = prepared.capabilities.ports
                    grants = NetworkGrants(loopback(port), _ports(start), prepared.resolved.unix_sockets)
                    async with (
                        _relay(maker, ports, record),
                        _opens(start, listener, readable, approver) as others,
                    ):
                        with (
                            with_thread_names(start, listener, record, others) as opens,
                            _adjudicator(start, listener, grants, record, peers, opens),
                        ):
                            start.child.give_way()
                            await loop.go(start.go, is_watched=start.observation is not None)
                            loop.begin_collecting()
                            exit_code = await loop.wait(start.child)
            start.session.say([f"  [nono] used: {line}" for line in proxy.running.usage_lines])
        finally:
            record.drain()
        tasks.cancel_scope.cancel()
    return exit_code


@contextmanager
def _private_network(
    start: RunContext,
) -> Iterator[tuple[socket.socket | None, socket.socket | None]]:
    """From the network of the command, if it gets one: the proxy's listener, the channel of a socket maker.

    Without a port that is granted nothing has to get in or out, and there is no maker.
    """
    if start.prepared.enforcement.rung is not Rung.NETNS:
        yield None, None
        return
    ports = start.prepared.capabilities.ports
    makes_sockets = bool(ports.listen or ports.open)
    number, maker = start.launcher.leave_network(start.proxy_port, makes_sockets=makes_sockets)
    with ExitStack() as stack:
        listener = stack.enter_context(_take_socket(start, number))
        listener.setblocking(False)
        yield listener, None if maker is None else stack.enter_context(_take_socket(start, maker))


def _take_socket(start: RunContext, number: int) -> socket.socket:
    return socket.socket(fileno=process.duplicate_descriptor(start.launcher.pid, number))


@asynccontextmanager
async def _relay(
    maker: socket.socket | None, ports: PortGrants, record: FoldingRecorder
) -> AsyncIterator[None]:
    """Relays granted ports between this host and the private network, if there is one that has some."""
    if maker is None:
        yield
        return
    # Imported here: few runs have one.
    from nono.supervisor.port_relay import ADDRESS, relayed

    def reached(port: int) -> None:
        record(event.network(mode="connect", decision="allow", target=ADDRESS, port=port, rule=OPEN_PORT))

    async with relayed(_each(ports.listen), _each(ports.open), maker, reached):
        yield


def _each(ranges: Sequence[PortRange]) -> list[int]:
    return [port for each in ranges for port in range(each.first, each.last + 1)]


def _ports(start: RunContext) -> PortPolicy:
    """What there is beside the proxy."""
    return start.prepared.capabilities.ports if start.observation is None else start.observation.ports


def _take_listener(start: RunContext, number: int | None) -> int | None:
    """A descriptor of the launcher's listener; by pidfd_getfd, since sending it would be trapped by it."""
    return None if number is None else process.duplicate_descriptor(start.launcher.pid, number)


@asynccontextmanager
async def _approver(start: RunContext) -> AsyncIterator[Desk | None]:
    """Who is asked, if anything may need approval."""
    approval = start.prepared.resolved.approval
    if approval is None:
        yield None
        return
    # Imported here: few runs ask.
    from nono.launch.elevation import approvals
    from nono.supervisor.stillness import held_still

    async with approvals(approval, start.session.record, start.session.log, held_still) as approver:
        yield approver


@asynccontextmanager
async def _opens(
    start: RunContext, listener: int | None, readable: Sequence[str], approver: Desk | None
) -> AsyncIterator[PathCalls | None]:
    """What watches trapped opens or asks about them, if anything does."""
    if listener is not None and start.observation is not None:
        # Imported here: few runs are watched.
        from nono.launch.watching import path_watch

        with path_watch(start, listener, readable, start.observation) as watch:
            yield watch
        return
    if listener is None or approver is None or not start.prepared.enforcement.elevation:
        yield None
        return
    # Imported here: few runs ask.
    from nono.launch.elevation import file_opens

    async with file_opens(start, listener, readable, approver, start.session.record) as opens:
        yield opens


@contextmanager
def _adjudicator(
    start: RunContext,
    listener: int | None,
    grants: NetworkGrants,
    record: FoldingRecorder,
    peers: PeerRegistry,
    opens: PathCalls | None,
) -> Iterator[None]:
    """Serves the listener, if there is one, until the block is left."""
    if listener is None:
        yield
        return
    paths = CallerPaths(start.launcher.pid)
    bound = None if start.observation is None else start.observation.ports.bound
    adjudicator = NotifyLoop(listener, grants, record, peers.register, paths, opens, bound)
    adjudicator.start()
    try:
        yield
    finally:
        adjudicator.close()
