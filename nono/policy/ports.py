"""Define the TCP ports the command may use without the proxy, and at which addresses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ipaddress import IPv4Address, IPv6Address
    from typing import Protocol
else:
    Protocol = object

# Rule names, as used in profiles and in the audit log.
OPEN_PORT, CONNECT_PORT, LISTEN_PORT = "network.open_port", "network.connect_port", "network.listen_port"
OWN_SERVER = "network.own_server"  # in the audit log only: any port that the command listens on
PORT_MAX = 65535


class PortRange(NamedTuple):
    """TCP ports from `first` to `last`, inclusive."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    def __contains__(self, port: object) -> bool:
        return isinstance(port, int) and self.first <= port <= self.last


class KeptPort(NamedTuple):
    """A port of this machine where nono itself asks somebody: the command never listens there.

    use: completes "where nono ...".
    must_be_held: A run in which nothing holds the command to it does not start.
    """

    port: int
    use: str
    must_be_held: bool = True


def united(ports: Iterable[int], ranges: Iterable[Sequence[int]] = ()) -> tuple[PortRange, ...]:
    """Return the same ports as sorted ranges, with adjacent and overlapping ones joined."""
    wanted = sorted([(port, port) for port in ports] + [(first, last) for first, last in ranges])
    joined: list[PortRange] = []
    for first, last in wanted:
        if joined and first <= joined[-1].last + 1:
            joined[-1] = PortRange(joined[-1].first, max(joined[-1].last, last))
        else:
            joined.append(PortRange(first, last))
    return tuple(joined)


class PortPolicy(Protocol):
    """Names the rule that allows a connect or bind; None if no rule does."""

    def denied(self, host: IPv4Address | IPv6Address, port: int) -> str | None: ...

    def denied_to_bind(self, host: IPv4Address | IPv6Address, port: int) -> str | None: ...

    def to_connect(self, host: IPv4Address | IPv6Address, port: int) -> str | None: ...

    def to_bind(self, host: IPv4Address | IPv6Address, port: int) -> str | None: ...


class PortGrants(NamedTuple):
    """TCP ports granted to a run besides the proxy's. Landlock sees only ports, not addresses."""

    listen: tuple[PortRange, ...] = ()  # bind at any address of this host
    open: tuple[PortRange, ...] = ()  # connect and bind on loopback
    connect: tuple[PortRange, ...] = ()  # connect at any host

    def denied(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """Return who denies the port, whatever else allows it: nobody, in the rules of the start."""
        return None

    def denied_to_bind(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """Return who denies listening on the port: nobody, in the rules of the start."""
        return None

    def to_connect(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """Return the rule that allows connecting to `host` on `port`, or None."""
        if host.is_loopback and _covers(self.open, port):
            return OPEN_PORT
        return CONNECT_PORT if _covers(self.connect, port) else None

    def to_bind(self, host: IPv4Address | IPv6Address, port: int) -> str | None:
        """Return the rule that allows listening on `port` of the local address `host`, or None."""
        if _covers(self.listen, port):
            return LISTEN_PORT
        return OPEN_PORT if host.is_loopback and _covers(self.open, port) else None

    @property
    def connected(self) -> tuple[PortRange, ...]:
        """All ports that may be connected to at some address."""
        return united((), (*self.open, *self.connect))

    def bound(self, kept: Iterable[KeptPort] = ()) -> tuple[PortRange, ...]:
        """Return all ports that may be bound at some address, without those that are kept."""
        left = united((), (*self.listen, *self.open))
        for port, *_ in kept:
            parts = [(each.first, min(each.last, port - 1)) for each in left]
            parts += [(max(each.first, port + 1), each.last) for each in left]
            left = united((), (part for part in parts if part[0] <= part[1]))
        return left


def _covers(ranges: Iterable[PortRange], port: int) -> bool:
    return any(port in each for each in ranges)
