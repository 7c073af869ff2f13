"""Read which names /etc/hosts gives which addresses (hosts(5))."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
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
    by_text: dict[str, list[str]] = {}  # lists of hosts to be blocked give one address ten thousands of names
    for line in hosts.decode("ascii", "replace").splitlines():
        text, *names = line.partition("#")[0].split() or [""]
        by_text.setdefault(text, []).extend(name.lower() for name in names)
    listed: dict[IPv4Address | IPv6Address, tuple[str, ...]] = {}
    for text, names in by_text.items():
        with suppress(ValueError):
            address = ip_address(text)
            listed[address] = (*listed.get(address, ()), *names)
    return listed
