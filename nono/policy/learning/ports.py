"""Decide the ports a command may listen on and connect to in learn mode: granted ones and its own."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from nono.policy.ports import LISTEN_PORT, OPEN_PORT, PortGrants

PRIVILEGED = 1024  # ports below are for the machine's own servers
_EVERY_ADDRESS = {
    ip_address("127.0.0.1"): (ip_address("0.0.0.0"), ip_address("::")),
    ip_address("::1"): (ip_address("::"),),
}

Address = IPv4Address | IPv6Address


class LearningPorts:
    """Replaces PortGrants in learn mode. Whoever binds for the command calls bound() afterwards."""

    def __init__(self, granted: PortGrants, note: Callable[[Address, int], None]) -> None:
        """Create the rules. `note` is called with each port the command listens on."""
        self._granted = granted
        self._note = note
        self._own: set[tuple[Address, int]] = set()

    def bound(self, host: Address, port: int, *, is_shared: bool) -> None:
        """Note a bound port. If `is_shared` (SO_REUSEPORT), other processes may answer connections to it."""
        self._note(host, port)
        if not is_shared:
            self._own.add((_plain(host), port))

    def denied(self, host: Address, port: int) -> str | None:
        """Judge as PortGrants does."""
        return self._granted.denied(host, port)

    def denied_to_bind(self, host: Address, port: int) -> str | None:
        """Judge as PortGrants does."""
        return self._granted.denied_to_bind(host, port)

    def to_connect(self, host: Address, port: int) -> str | None:
        """Judge as PortGrants does, and allow local ports the command listens on, at exactly that address."""
        rule = self._granted.to_connect(host, port)
        if rule is not None:
            return rule
        host = _plain(host)
        candidates = (host, *_EVERY_ADDRESS.get(host, ()))
        is_own = host.is_loopback and any((address, port) in self._own for address in candidates)
        return OPEN_PORT if is_own else None

    def to_bind(self, host: Address, port: int) -> str | None:
        """Judge as PortGrants does, and allow every unprivileged port. Port 0 has no rule in a profile."""
        rule = self._granted.to_bind(host, port)
        if rule is not None or port < PRIVILEGED:
            return rule
        return OPEN_PORT if host.is_loopback else LISTEN_PORT


def _plain(host: Address) -> Address:
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return host if mapped is None else mapped
