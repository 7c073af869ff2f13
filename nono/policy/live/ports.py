"""Add rules for TCP ports that bypass the proxy to those from the start of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from nono.policy.live.port_target import LISTEN, OWN, PortTarget
from nono.policy.ports import PortGrants

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

    from nono.policy.hosts.host_filter import HostRule
    from nono.policy.live.rule import LiveRule


class LivePorts:
    """Replaces PortGrants in a run whose rules may change. Every verdict uses the current rules."""

    def __init__(self, granted: PortGrants) -> None:
        self.granted = granted
        self.changed: Callable[[], None] = lambda: None  # called to discard cached verdicts
        self._allow: tuple[PortTarget, ...] = ()
        self._deny: tuple[tuple[PortTarget, str], ...] = ()
        self._denied_hosts: tuple[HostRule, ...] = ()

    def put(self, rules: Iterable[LiveRule]) -> None:
        """Replace the added rules by these. A denial beats every grant."""
        rules = tuple(rules)
        self._allow = tuple(rule.port_target for rule in rules if rule.decision == "allow")
        self._deny = tuple((rule.port_target, rule.origin) for rule in rules if rule.decision == "deny")
        self.changed()

    def put_denied_hosts(self, rules: Iterable[HostRule]) -> None:
        """Deny connections past the proxy to these hosts, as far as rules name them by address."""
        self._denied_hosts = tuple(rules)
        self.changed()

    def denied(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """Return the origin of the rule that denies this port of `host`; None if none does."""
        return next((origin for target, origin in self._deny if target.covers(host, port)), None)

    def to_connect(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """Judge as PortGrants does."""
        rule = self.granted.to_connect(host, port)
        if rule is None and not host.is_unspecified:
            rule = next((_label(target) for target in self._allow if target.covers(host, port)), None)
        return None if rule is None or self._is_denied_host(host, port) else rule

    def to_bind(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """Judge as PortGrants does."""
        rule = self.granted.to_bind(host, port)
        if rule is None:
            allowed = (
                each for each in self._allow if each.host == LISTEN or (each.host == OWN and host.is_loopback)
            )
            rule = next((_label(target) for target in allowed if port in target.ports), None)
        return rule

    def denied_to_bind(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """Return the origin of the rule that denies listening on this port of `host`; None if none does."""
        to_listen = (
            origin for target, origin in self._deny if target.host == LISTEN and port in target.ports
        )
        return next(to_listen, None) or self.denied(host, port)

    @property
    def leads_past_the_proxy(self) -> bool:
        """True if the command may connect somewhere without the proxy."""
        return bool(self.granted.connected or any(each.host != LISTEN for each in self._allow))

    def _is_denied_host(self, host: IPv4Address | IPv6Address, port: int) -> bool:
        is_own = host.is_loopback or host.is_unspecified
        names = (str(host), "localhost", "127.0.0.1", "::1") if is_own else (str(host),)
        return any(rule.matches(name, port) for rule in self._denied_hosts for name in names)


def _label(target: PortTarget) -> str:
    return f"nono allow[{target}]"
