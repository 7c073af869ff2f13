"""What the connections of a proxy share: who judges, who dials, who records, and where they are listed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from nono.audit.event import Event, Recorder
from nono.policy.network import Allow, Refuse
from nono.proxy.connection_set import ConnectionSet
from nono.proxy.dial import Dialer
from nono.proxy.dispatch import Dispatcher
from nono.proxy.filter import HostPolicy, own_port_refused, reaches_proxy
from nono.proxy.pool import Pool


@dataclass(frozen=True, slots=True)
class Engine:
    """The parts that connections and exchanges work with; times are in seconds."""

    dispatcher: Dispatcher
    dialer: Dialer
    pool: Pool
    recorder: Recorder
    spawn: Callable[[Callable[[], Awaitable[None]]], object]  # into the proxy's task group
    connections: ConnectionSet = field(default_factory=ConnectionSet)  # of clients, tunnels among them
    tunnel_ends: ConnectionSet = field(default_factory=ConnectionSet)  # the upstream ends of tunnels
    head_timeout_s: float = 30.0
    idle_timeout_s: float = 120.0
    tunnel_idle_timeout_s: float = 3600.0

    def record(self, event: Event) -> bool:
        """Whether it was written; if not, what it describes must not happen."""
        try:
            self.recorder(event)
        except OSError:
            return False
        return True

    def judge_addresses(
        self, filter_: HostPolicy, host: str, port: int, addresses: Sequence[str]
    ) -> Allow | Refuse:
        """The filter's verdict on what host resolved to, after the proxy's own."""
        own_port = self.dispatcher.own_port
        if any(reaches_proxy(address, port, own_port) for address in addresses):
            return own_port_refused(host)
        return filter_.judge_addresses(host, port, addresses)
