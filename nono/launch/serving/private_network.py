"""Serve a private network beside the proxy's listener there: look-ups, and relayed ports."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from nono.audit import event
from nono.audit.event import Recorder
from nono.policy.ports import OPEN_PORT, PortGrants, PortRange
from nono.supervisor.look_ups.name_server import LookUps
from nono.supervisor.private_network import looked_up_hosts
from nono.supervisor.private_network.port_relay import ADDRESS, relayed
from nono.supervisor.private_network.sockets import PrivateNetwork

if TYPE_CHECKING:
    from nono.proxy.server import RunningProxy
    from nono.supervisor.verdict.virtual_addresses import VirtualAddresses


@asynccontextmanager
async def served(
    maker: socket.socket,
    names: VirtualAddresses,
    proxy: RunningProxy,
    ports: PortGrants,
    record: Recorder,
) -> AsyncIterator[None]:
    """Serve the private network until the block is left.

    maker: The channel of its socket maker; the caller closes it.
    names: The hosts that the command may look up, which `proxy` serves.
    ports: Those that are relayed.

    Raises LaunchError if nothing can listen on a port, OSError or TimeoutError if the maker is gone.
    """
    inside = PrivateNetwork(maker)

    def reached(port: int) -> None:
        record(event.network(mode="connect", decision="allow", target=ADDRESS, port=port, rule=OPEN_PORT))

    async with (
        looked_up_hosts.answered(inside, LookUps(names, record), proxy.ports_named, proxy.serve_also),
        relayed(_each(ports.listen), _each(ports.open), inside, reached),
    ):
        yield


def _each(ranges: Sequence[PortRange]) -> list[int]:
    return [port for each in ranges for port in range(each.first, each.last + 1)]
