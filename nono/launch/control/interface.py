"""Open the control interface of a run at its session's socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

from nono.errors import NonoError
from nono.launch.start import RunContext

if TYPE_CHECKING:
    from nono.approval.broker import ApprovalBroker
    from nono.control.rules import Layer
    from nono.control.session import ControlledSession
    from nono.control.take_over import TakeOver
    from nono.launch.control.live import Live
    from nono.policy.live.rule import Kind
    from nono.sessions.meeting import Meeting

OPENS_AFTER_S = 0.05  # a command that ends sooner has no interface, and no command waits for it


@asynccontextmanager
async def controlled(run: RunContext, approver: ApprovalBroker | None, live: Live) -> AsyncIterator[None]:
    """Serve the interface until the block is left, where no terminal of the command is met at its socket."""
    if run.options.front is not None:
        yield
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_open_later, run, approver, live)
        yield
        tasks.cancel_scope.cancel()


async def _open_later(run: RunContext, approver: ApprovalBroker | None, live: Live) -> None:
    await anyio.sleep(OPENS_AFTER_S)
    # Without a free epoll watch, or if the socket cannot be made, the run continues without it.
    with suppress(OSError, NonoError):
        meeting = run.entry.listen()
        if meeting is None:
            return
        # Imported here: most runs end before they need it.
        from nono.supervisor.relay.server import Server

        control = take_over(run, approver, live, meeting)
        server = Server(asyncio.get_running_loop(), meeting, None, control.take)
        try:
            await anyio.sleep_forever()
        finally:
            server.close()
            with anyio.CancelScope(shield=True):
                await control.close()
            meeting.listener.close()


def take_over(run: RunContext, approver: ApprovalBroker | None, live: Live, meeting: Meeting) -> TakeOver:
    """Return what answers at the socket of the session; the caller closes it."""
    # Imported here, as above.
    from nono.control.take_over import TakeOver

    return TakeOver(lambda: _session(run, meeting.key, approver, live))


def _session(run: RunContext, key: str, approver: ApprovalBroker | None, live: Live) -> ControlledSession:
    from nono.control.rules import LiveRules
    from nono.control.session import ControlledSession

    questions = None if approver is None else approver.questions
    rules = LiveRules(_layers(run, live), run.session.record)
    spent = None if live.network is None else live.network.spent
    return ControlledSession(key, run.entry.now, run.events, questions, rules, run.traffic, spent)


def _layers(run: RunContext, live: Live) -> Mapping[Kind, Layer]:
    """Return the parts of the run that rules are for."""
    from nono.control.layers import Endpoints, Files, Hosts, NoFiles, NoHosts
    from nono.control.socket_layers import NoPorts, NoSockets, Ports, Sockets
    from nono.policy.live.endpoints import LiveEndpoints
    from nono.sandbox.plan.enforcement import Rung

    prepared, live_paths, network = run.prepared, run.live_paths, live.network
    capabilities, is_alone = prepared.capabilities, prepared.enforcement.rung is Rung.NETNS
    if network is None:
        hosts: Layer = NoHosts(capabilities.network)
        endpoints = Endpoints(LiveEndpoints(), {}, lambda: 0)
    else:
        hosts = Hosts(network.hosts, network.changed, live.ports, listens_by_rule=is_alone)
        endpoints = Endpoints(network.endpoints, network.services, network.changed)
    if live_paths is None:
        files: Layer = NoFiles(capabilities)
    else:
        files = Files(live_paths, capabilities, lambda: run.rules().files)
    sockets: Layer = NoSockets() if live.sockets is None else Sockets(live.sockets)
    if live.ports is None:
        is_learning = run.options.observation is not None
        ports: Layer = NoPorts(capabilities, is_alone=is_alone, is_learning=is_learning)
    else:
        ports = Ports(live.ports, live.proxy_port, capabilities.kept_ports)
    return {"host": hosts, "endpoint": endpoints, "path": files, "port": ports, "socket": sockets}
