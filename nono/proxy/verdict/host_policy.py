"""Define the proxy's interface to the host filter, and refuse the proxy's own port."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from nono.policy.hosts.address import classify
from nono.policy.hosts.host_filter import Allow, Refuse
from nono.policy.hosts.hostname import ip_literal


class HostPolicy(Protocol):
    """The part of nono.policy.hosts.host_filter.HostFilter that the proxy uses. Hosts are canonical."""

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        """Judge the name, before any DNS query is sent."""
        ...

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        """Judge the result of the one look-up. A single bad address is enough to refuse."""
        ...

    def allows_raw(self, host: str, port: int) -> bool:
        """Return True if a tunnel to host:port may carry something other than TLS."""
        ...

    def for_route(self, host: str, port: int, origin: str) -> HostPolicy:
        """Return the filter of a credential route: the same denials, and only `host` allowed."""
        ...


def reaches_proxy(host: str, port: int, own_port: int) -> bool:
    """Return True if host:port is the proxy itself: a loop, and a way around the verdict of the first pass.

    `host` is canonical, or an address as the resolver returned it.
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


def refused_since(hosts: HostPolicy, host: str, port: int) -> str | None:
    """Return why the current rules refuse a host that was allowed before; None if they do not."""
    verdict = hosts.judge_name(host, port)
    return f"the rules changed: {verdict.reason}" if isinstance(verdict, Refuse) else None


def is_refused(hosts: HostPolicy, host: str, port: int) -> bool:
    """Return True if the current rules refuse the name of a host."""
    return refused_since(hosts, host, port) is not None


def may_be_asked(denied: Refuse, host: str) -> bool:
    """Return True if a person may be asked to allow a canonical host. This machine is never asked about."""
    address = ip_literal(host)
    is_local = host == "localhost" if address is None else classify(address) not in (None, "private")
    return denied.is_ungranted and not is_local
