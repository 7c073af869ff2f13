"""Hold the rules of a run that may change while it runs."""

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
    services: Mapping[str, EndpointPolicy]  # the rules from the start of the run
    changed: Callable[[], int]  # makes it judge again; returns how many connections it cut
    spent: Callable[[], Spent | None]  # the usage of models so far; None: nothing yet


class Live(NamedTuple):
    """The rules that may change; None: these rules were fixed at the start."""

    network: LiveNetwork | None = None  # for its proxy
    ports: LivePorts | None = None  # for its trapped connect(2) and bind(2) calls, as is the next field
    sockets: LiveSockets | None = None
    proxy_port: int = 0  # the port on which its proxy listens; 0: there is no proxy
