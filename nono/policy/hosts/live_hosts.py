"""Let the host rules of a run change while it goes on: every verdict uses the current rules."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence, Set

from nono.named_tuple import NamedTuple
from nono.policy.hosts.host_filter import Allow, HostFilter, HostRule, Refuse


class LiveHosts:
    """Replaces a HostFilter. Filters derived from it follow its changes too."""

    def __init__(self, granted: HostFilter) -> None:
        self._granted = granted
        self.current = granted

    def put(self, allow: Iterable[HostRule], deny: Iterable[HostRule]) -> None:
        """Add exactly these rules to those the run started with. A denial beats every grant."""
        current = self._granted._replace(deny=(*deny, *self._granted.deny))
        for rule in allow:
            current = current.allowing(rule)
        self.current = current

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        """Judge like HostFilter.judge_name."""
        return self.current.judge_name(host, port)

    def judge_look_up(self, name: str) -> Allow | Refuse:
        """Judge like HostFilter.judge_look_up."""
        return self.current.judge_look_up(name)

    def ports_named(self, name: str) -> Set[int]:
        """Answer like HostFilter.ports_named."""
        return self.current.ports_named(name)

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        """Judge like HostFilter.judge_addresses."""
        return self.current.judge_addresses(host, port, addresses)

    def judge_reached(self, address: str, port: int) -> Refuse | None:
        """Judge like HostFilter.judge_reached."""
        return self.current.judge_reached(address, port)

    def allows_raw(self, host: str, port: int) -> bool:
        """Answer like HostFilter.allows_raw."""
        return self.current.allows_raw(host, port)

    def for_route(self, host: str, port: int, origin: str) -> DerivedHosts:
        """Return a filter like that of HostFilter.for_route, which follows the changes."""
        return DerivedHosts(self, lambda hosts: hosts.for_route(host, port, origin))

    def allowing(self, host: str, port: int, origin: str) -> DerivedHosts:
        """Return a filter that also allows `host`, which is canonical, and follows the changes."""
        return DerivedHosts(self, lambda hosts: hosts.allowing(HostRule(host, port, origin)))


class DerivedHosts(NamedTuple):
    """A filter derived from the current rules."""

    live: LiveHosts
    derive: Callable[[HostFilter], HostFilter]

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        """Judge like HostFilter.judge_name."""
        return self.derive(self.live.current).judge_name(host, port)

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        """Judge like HostFilter.judge_addresses."""
        return self.derive(self.live.current).judge_addresses(host, port, addresses)

    def allows_raw(self, host: str, port: int) -> bool:
        """Answer like HostFilter.allows_raw."""
        return self.derive(self.live.current).allows_raw(host, port)

    def for_route(self, host: str, port: int, origin: str) -> DerivedHosts:
        """Return a filter like that of HostFilter.for_route, which follows the changes."""
        return DerivedHosts(self.live, lambda hosts: self.derive(hosts).for_route(host, port, origin))
