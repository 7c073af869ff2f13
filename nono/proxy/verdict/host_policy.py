"""What the proxy asks the host filter, and the one destination it refuses by itself: its own port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nono.policy.hosts.host_filter import Allow, Refuse
from nono.policy.hosts.hostname import ip_literal


class HostPolicy(Protocol):
    """The part of nono.policy.hosts.host_filter.HostFilter that the proxy needs. Hosts are canonical."""

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        """Before any DNS query leaves."""
        ...

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        """After the one look-up; a single bad address among many is enough."""
        ...

    def allows_raw(self, host: str, port: int) -> bool:
        """Whether a tunnel there may carry something else than TLS."""
        ...

    def for_route(self, host: str, port: int, origin: str) -> HostPolicy:
        """The same denials, and host as the only one allowed: the filter of a credential route."""
        ...


def reaches_proxy(host: str, port: int, own_port: int) -> bool:
    """Whether host:port is the proxy itself: a loop, and a way around whatever was judged on the first pass.

    host: canonical, or an address as the resolver returned it.
    """
    if port != own_port:
        return False
    address = ip_literal(host)
    return host == "localhost" if address is None else address.is_loopback or address.is_unspecified


def own_port_refused(host: str) -> Refuse:
    return Refuse(
        f"{host} is the proxy, which does not connect to itself",
        "own port",
        "built in",
        "use http://127.0.0.1 with the path of the service directly",
    )
