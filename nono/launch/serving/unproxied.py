"""Serve the network of a run without a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from nono.launch.control.live import Live
from nono.launch.serving.approver import approver_of
from nono.launch.serving.network import ServedNetwork
from nono.launch.start import RunContext
from nono.policy.live.ports import LivePorts
from nono.policy.live.sockets import LiveSockets
from nono.sandbox.plan.enforcement import NotifyProgram
from nono.supervisor.verdict.adjudicator import NetworkGrants


@asynccontextmanager
async def without_proxy(run: RunContext) -> AsyncIterator[ServedNetwork]:
    """Serve a run without a proxy that has some system calls trapped."""
    resolved, capabilities = run.prepared.resolved, run.prepared.capabilities
    unix = resolved.unix_sockets._replace(written=capabilities.grants)
    if not capabilities.mediates_unix_sockets:
        unix = unix._replace(files=capabilities.grants)
    traps = run.prepared.enforcement.sockets
    is_mediated = traps is not None and capabilities.mediates_unix_sockets
    live = Live(
        ports=LivePorts(capabilities.ports) if traps in (NotifyProgram.PORTS, NotifyProgram.NOTIFY) else None,
        sockets=LiveSockets(unix) if is_mediated else None,
    )
    # Unused if no socket call is trapped.
    grants = NetworkGrants(
        ports=live.ports or capabilities.ports,
        unix=live.sockets or unix,
        kept_ports=capabilities.kept_ports,
        is_open=not capabilities.restricts_network,
        reaches_abstract=not capabilities.scopes.abstract_unix_socket,
    )
    asks = run.prepared.enforcement.elevation and not run.is_watched
    async with approver_of(run) if asks else nullcontext() as approver:
        yield ServedNetwork(grants, approver, live)
