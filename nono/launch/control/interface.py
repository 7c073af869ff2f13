"""Opens the control interface of a run, at the socket of its session."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import anyio

from nono.errors import NonoError
from nono.launch.start import RunContext
from nono.named_tuple import NamedTuple

if TYPE_CHECKING:
    from nono.approval.broker import ApprovalBroker
    from nono.audit.traffic import Spent
    from nono.control.rules import Layer
    from nono.control.session import ControlledSession
    from nono.control.take_over import TakeOver
    from nono.policy.endpoints.policy import EndpointPolicy
    from nono.policy.hosts.live_hosts import LiveHosts
    from nono.policy.live.endpoints import LiveEndpoints
    from nono.policy.live.rule import Kind
    from nono.sessions.meeting import Meeting

OPENS_AFTER_S = 0.05  # a command that ends sooner does without, and none waits for it to start


class LiveNetwork(NamedTuple):
    """The rules of a proxy, which may change while it runs."""

    hosts: LiveHosts
    endpoints: LiveEndpoints
    services: Mapping[str, EndpointPolicy]  # the rules of the start
    changed: Callable[[], int]  # has it judge anew; returns how many connections it cut
    spent: Callable[[], Spent | None]  # what models have used so far; None: nothing yet


@asynccontextmanager
async def controlled(
    run: RunContext, approver: ApprovalBroker | None, live: LiveNetwork | None
) -> AsyncIterator[None]:
    """Serve the interface until the block is left, where no terminal of the command is met at its socket."""
    if run.front is not None:
        yield
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_open_later, run, approver, live)
        yield
        tasks.cancel_scope.cancel()


async def _open_later(run: RunContext, approver: ApprovalBroker | None, live: LiveNetwork | None) -> None:
    await anyio.sleep(OPENS_AFTER_S)
    # The user has no watch of epoll left, or the socket cannot be made: the run goes on without.
    with suppress(OSError, NonoError):
        meeting = run.entry.listen()
        if meeting is None:
            return
        # Imported here: most runs end before they need it.
        from nono.supervisor.relay.server import met

        control = take_over(run, approver, live, meeting)
        try:
            async with met(meeting, control):
                await anyio.sleep_forever()
        finally:
            with anyio.CancelScope(shield=True):
                await control.close()


def take_over(
    run: RunContext, approver: ApprovalBroker | None, live: LiveNetwork | None, meeting: Meeting
) -> TakeOver:
    """Return what answers at the socket of the session; the caller closes it."""
    # Imported here, as above.
    from nono.control.take_over import TakeOver

    return TakeOver(lambda: _session(run, meeting.key, approver, live))


def _session(
    run: RunContext, key: str, approver: ApprovalBroker | None, live: LiveNetwork | None
) -> ControlledSession:
    from nono.control.rules import LiveRules
    from nono.control.session import ControlledSession

    questions = None if approver is None else approver.questions
    rules = LiveRules(_layers(run, live), run.session.record)
    return ControlledSession(
        key, run.entry.now, run.events, questions, rules, run.traffic, None if live is None else live.spent
    )


def _layers(run: RunContext, live: LiveNetwork | None) -> Mapping[Kind, Layer]:
    """Return the parts of the run that rules are for."""
    from nono.control.layers import Endpoints, Files, Hosts, NoFiles, NoHosts
    from nono.policy.live.endpoints import LiveEndpoints

    capabilities, live_paths = run.prepared.capabilities, run.live_paths
    if live is None:
        hosts: Layer = NoHosts(capabilities.network)
        endpoints = Endpoints(LiveEndpoints(), {}, lambda: 0)
    else:
        hosts = Hosts(live.hosts, live.changed)
        endpoints = Endpoints(live.endpoints, live.services, live.changed)
    if live_paths is None:
        files: Layer = NoFiles(capabilities)
    else:
        files = Files(live_paths, capabilities, lambda: run.rules().files)
    return {"host": hosts, "endpoint": endpoints, "path": files}
