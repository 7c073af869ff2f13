"""What of a run may change while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from nono.named_tuple import NamedTuple

if TYPE_CHECKING:
    from nono.audit.traffic import Spent
    from nono.policy.endpoints.policy import EndpointPolicy
    from nono.policy.hosts.live_hosts import LiveHosts
    from nono.policy.live.endpoints import LiveEndpoints
    from nono.policy.live.ports import LivePorts
    from nono.policy.live.sockets import LiveSockets


class LiveNetwork(NamedTuple):
    """The rules of a proxy, which may change while it runs."""

    hosts: LiveHosts
    endpoints: LiveEndpoints
    services: Mapping[str, EndpointPolicy]  # the rules of the start
    changed: Callable[[], int]  # has it judge anew; returns how many connections it cut
    spent: Callable[[], Spent | None]  # what models have used so far; None: nothing yet


class Live(NamedTuple):
    """The rules that may change; None: those have been fixed at the start."""

    network: LiveNetwork | None = None  # the rules of its proxy
    ports: LivePorts | None = None  # those of its trapped calls, as the next
    sockets: LiveSockets | None = None
    proxy_port: int = 0  # where its proxy listens; 0: it has none
