"""Read which names /etc/hosts gives which addresses (hosts(5))."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address

PATH = "/etc/hosts"
_READ_BYTES = (
    1024 * 1024
)  # lists of hosts to be blocked are longer, and name no address that could be reached


def names_by_address() -> Mapping[IPv4Address | IPv6Address, tuple[str, ...]]:
    """Return the names of each address, in lower case and in order; none if it cannot be read."""
    try:
        with open(PATH, "rb", buffering=0) as file:
            return listed_in(file.read(_READ_BYTES))
    except OSError:
        return {}


def listed_in(hosts: bytes) -> dict[IPv4Address | IPv6Address, tuple[str, ...]]:
    """Return the names of each address in the bytes of a hosts file. What is malformed is left out."""
    listed: dict[IPv4Address | IPv6Address, tuple[str, ...]] = {}
    for line in hosts.decode("ascii", "replace").splitlines():
        text, *names = line.partition("#")[0].split() or [""]
        try:
            address = ip_address(text)
        except ValueError:
            continue
        listed[address] = (*listed.get(address, ()), *(name.lower() for name in names))
    return listed
