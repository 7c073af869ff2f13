"""Which ports a watched command listens on and reaches: those that are granted, and its own."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address

from nono.policy.ports import LISTEN_PORT, OPEN_PORT, PortGrants

PRIVILEGED = 1024  # ports below it are for servers of the machine
_EVERY_ADDRESS = {
    ip_address("127.0.0.1"): (ip_address("0.0.0.0"), ip_address("::")),
    ip_address("::1"): (ip_address("::"),),
}

Address = IPv4Address | IPv6Address


class LearningPorts:
    """In the place of PortGrants. Whoever binds for the command says so when it is done."""

    def __init__(self, granted: PortGrants, note: Callable[[Address, int], None]) -> None:
        """note: is told of each port that the command listens on."""
        self._granted = granted
        self._note = note
        self._own: set[tuple[Address, int]] = set()

    def bound(self, host: Address, port: int, *, is_shared: bool) -> None:
        """is_shared: others may listen on the same port (SO_REUSEPORT), and be who is reached there."""
        self._note(host, port)
        if not is_shared:
            self._own.add((_plain(host), port))

    def to_connect(self, host: Address, port: int) -> str | None:
        """As PortGrants; and of this machine what the command listens on, at that very address."""
        rule = self._granted.to_connect(host, port)
        if rule is not None:
            return rule
        host = _plain(host)
        candidates = (host, *_EVERY_ADDRESS.get(host, ()))
        is_own = host.is_loopback and any((address, port) in self._own for address in candidates)
        return OPEN_PORT if is_own else None

    def to_bind(self, host: Address, port: int) -> str | None:
        """As PortGrants; and every port that any user may listen on. Port 0 has no rule in a profile."""
        rule = self._granted.to_bind(host, port)
        if rule is not None or port < PRIVILEGED:
            return rule
        return OPEN_PORT if host.is_loopback else LISTEN_PORT


def _plain(host: Address) -> Address:
    mapped = host.ipv4_mapped if isinstance(host, IPv6Address) else None
    return host if mapped is None else mapped
