"""Which TCP ports the command reaches or listens on without the proxy, at which addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

from nono.named_tuple import NamedTuple

if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address

# The rules by name, as they stand in profiles and in the audit log.
OPEN_PORT, CONNECT_PORT, LISTEN_PORT = "network.open_port", "network.connect_port", "network.listen_port"
PORT_MAX = 65535


class PortRange(NamedTuple):
    """TCP ports from first to last, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last


def united(ports: Iterable[int], ranges: Iterable[Sequence[int]] = ()) -> tuple[PortRange, ...]:
    """The same ports as few ranges, in order; adjacent ones are joined."""
    wanted = sorted([(port, port) for port in ports] + [(first, last) for first, last in ranges])
    joined: list[PortRange] = []
    for first, last in wanted:
        if joined and first <= joined[-1].last + 1:
            joined[-1] = PortRange(joined[-1].first, max(joined[-1].last, last))
        else:
            joined.append(PortRange(first, last))
    return tuple(joined)


class PortPolicy(Protocol):
    """Which rule lets a socket be connected or bound; None: there is none."""

    def to_connect(self, host: IPv4Address | IPv6Address, port: int) -> str | None: ...

    def to_bind(self, host: IPv4Address | IPv6Address, port: int) -> str | None: ...


class PortGrants(NamedTuple):
    """What a run may do with TCP ports beside the proxy's. Landlock sees ports only, no addresses."""

    listen: tuple[PortRange, ...] = ()  # bound at any address of this host
    open: tuple[PortRange, ...] = ()  # of loopback: reached there, and bound there
    connect: tuple[PortRange, ...] = ()  # reached at any host

    def to_connect(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """The rule that lets host be reached on port; None: there is none."""
        if host.is_loopback and _covers(self.open, port):
            return OPEN_PORT
        return CONNECT_PORT if _covers(self.connect, port) else None

    def to_bind(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """The rule that lets a server listen on port of the local address host; None: there is none."""
        if _covers(self.listen, port):
            return LISTEN_PORT
        return OPEN_PORT if host.is_loopback and _covers(self.open, port) else None

    @property
    def connected(self) -> tuple[PortRange, ...]:
        """Every port that some address may be reached on."""
        return united((), (*self.open, *self.connect))

    @property
    def bound(self) -> tuple[PortRange, ...]:
        """Every port that some address may be bound with."""
        return united((), (*self.listen, *self.open))


def _covers(ranges: Iterable[PortRange], port: int) -> bool:
    return any(port in each for each in ranges)
