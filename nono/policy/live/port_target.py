"""Parse the target of a TCP port rule.

`5432` is a port of loopback, `*:5432` of any host, `192.0.2.1:5432` of one, and `listen:5432` one that the
command listens on, at any address of this host.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from nono.named_tuple import NamedTuple
from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal
from nono.policy.ports import PORT_MAX, PortRange

OWN, ANY, LISTEN = "", "*", "listen"  # loopback; every address; every address of this host, for bind(2) only


class PortTarget(NamedTuple):
    """TCP ports on loopback, on every address, on one, or of this host to listen on."""

    host: str  # OWN, ANY, LISTEN or an IP address
    ports: PortRange

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.ports}" if host else str(self.ports)

    def covers(self, host: IPv4Address | IPv6Address, port: int) -> bool:
        if port not in self.ports:
            return False
        if self.host == OWN:
            return host.is_loopback or host.is_unspecified  # connect(2) treats 0.0.0.0 and :: as loopback
        return self.host == ANY or self.host == str(host)  # never with LISTEN: that is no address


def parse_port_target(text: str) -> PortTarget:
    """Parse a target. Raises ValueError with the reason if it is malformed."""
    host, separator, ports = text.rpartition(":")
    if host in (ANY, LISTEN) or not separator or not host:
        return PortTarget(host, _range(ports, text))
    try:
        if ":" in host and not host.startswith("["):
            raise HostError("an IPv6 address must stand in brackets")
        address = ip_literal(canonical_host(host))
    except HostError as error:
        raise ValueError(f"{text!a} is not an address with a port: {error}") from error
    if address is None:
        raise ValueError(f"{text!a} is a name; connections are judged by address")
    is_own = address.is_loopback or address.is_unspecified
    return PortTarget(OWN if is_own else str(address), _range(ports, text))


def _range(ports: str, text: str) -> PortRange:
    first, separator, last = ports.partition("-")
    last = last if separator else first
    if not all(each.isascii() and each.isdecimal() and len(each) <= 5 for each in (first, last)):
        raise ValueError(f"{text!a} names no port")
    found = PortRange(int(first), int(last))
    if not 0 < found.first <= found.last <= PORT_MAX:
        raise ValueError(f"{text!a} names no port from 1 to {PORT_MAX}")
    return found
