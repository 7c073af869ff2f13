"""Decide the hosts a command may reach in learn mode: the granted ones and every public one."""

from __future__ import annotations

from collections.abc import Sequence, Set

from nono.named_tuple import NamedTuple
from nono.policy.hosts.host_filter import Allow, HostFilter, Refuse

ORIGIN = "nono learn"


class LearningHosts(NamedTuple):
    """Replaces a HostFilter in learn mode. Denials also apply beyond the grants."""

    granted: HostFilter
    beyond: HostFilter

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        """Judge like HostFilter.judge_name."""
        return self._filter(host, port).judge_name(host, port)

    def judge_look_up(self, name: str) -> Allow | Refuse:
        """Judge like HostFilter.judge_look_up."""
        granted = self.granted.judge_look_up(name)
        return granted if isinstance(granted, Allow) else self.beyond.judge_look_up(name)

    def ports_named(self, name: str) -> Set[int]:
        """Answer like HostFilter.ports_named."""
        return self.granted.ports_named(name)

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        """Judge like HostFilter.judge_addresses; only a granted name may resolve to a private address."""
        return self._filter(host, port).judge_addresses(host, port, addresses)

    def allows_raw(self, host: str, port: int) -> bool:
        """Answer like HostFilter.allows_raw."""
        return self.granted.allows_raw(host, port)

    def for_route(self, host: str, port: int, origin: str) -> HostFilter:
        """Return the same filter as HostFilter.for_route."""
        return self.granted.for_route(host, port, origin)

    def _filter(self, host: str, port: int) -> HostFilter:
        return self.granted if isinstance(self.granted.judge_name(host, port), Allow) else self.beyond


def learning_hosts(hosts: HostFilter) -> LearningHosts:
    """Extend the filter `hosts` of the run. A filter that allows every host grants none by name."""
    granted = hosts if hosts.allow is not None else hosts._replace(allow=())
    beyond = hosts._replace(allow=None, deny_private=True, deny_private_origin=ORIGIN)
    return LearningHosts(granted, beyond)
