"""Which hosts a watched command reaches: those that are granted, and beyond them every public one."""

from __future__ import annotations

from collections.abc import Sequence

from nono.named_tuple import NamedTuple
from nono.policy.hosts.host_filter import Allow, HostFilter, Refuse

ORIGIN = "nono learn"


class LearningHosts(NamedTuple):
    """In the place of a HostFilter. What is denied is denied beyond the grants as well."""

    granted: HostFilter
    beyond: HostFilter

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        """As HostFilter.judge_name."""
        return self._filter(host, port).judge_name(host, port)

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        """As HostFilter.judge_addresses: a granted name may lead into a private network, no other may."""
        return self._filter(host, port).judge_addresses(host, port, addresses)

    def allows_raw(self, host: str, port: int) -> bool:
        """As HostFilter.allows_raw."""
        return self.granted.allows_raw(host, port)

    def for_route(self, host: str, port: int, origin: str) -> HostFilter:
        """As HostFilter.for_route."""
        return self.granted.for_route(host, port, origin)

    def _filter(self, host: str, port: int) -> HostFilter:
        return self.granted if isinstance(self.granted.judge_name(host, port), Allow) else self.beyond


def learning_hosts(hosts: HostFilter) -> LearningHosts:
    """hosts: of the run without learning. One that allows every host has granted none by its name."""
    granted = hosts if hosts.allow is not None else hosts._replace(allow=())
    beyond = hosts._replace(allow=None, deny_private=True, deny_private_origin=ORIGIN)
    return LearningHosts(granted, beyond)
