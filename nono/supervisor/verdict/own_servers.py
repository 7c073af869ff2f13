"""Judge connections to loopback ports by who listens there: the command, another program or nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address

from nono.kernel.sock_diag import Listener
from nono.supervisor.verdict.syscall_args import InetAddress

# Lower ports belong to the system's services: serving one needs a grant, even for root.
FIRST_PORT = 1024
_LOOPBACKS: dict[int, IPv4Address | IPv6Address] = {4: IPv4Address("127.0.0.1"), 6: IPv6Address("::1")}


class Standing(Enum):
    """Who would accept a connection."""

    OWN = "own"
    NOBODY = "nobody"
    FOREIGN = "foreign"  # another program, or possibly one


def may_serve(address: InetAddress) -> bool:
    """Return True if the command may listen on this loopback address without a grant."""
    return address.host.is_loopback and (address.port == 0 or address.port >= FIRST_PORT)


def narrowed(address: InetAddress, *, is_v6_only: bool = False) -> InetAddress:
    """Return the loopback address to use instead of another address, or of the unspecified one.

    A socket of both families gets the IPv4 one, which every client tries.
    """
    if address.host.is_loopback:
        return address
    serves_both = address.host.is_unspecified and not is_v6_only
    return InetAddress(_LOOPBACKS[4 if serves_both else address.host.version], address.port)


def reached(address: InetAddress) -> InetAddress | None:
    """Return the loopback address that a connect to `address` reaches; None if it leads elsewhere."""
    if not address.port:
        return None
    if address.host.is_unspecified:  # the kernel connects it to loopback
        return InetAddress(_LOOPBACKS[address.host.version], address.port)
    return address if address.host.is_loopback else None


def standing(
    address: InetAddress, listeners: Iterable[Listener], is_own: Callable[[Listener], bool]
) -> Standing:
    """Judge a loopback address by all sockets that listen on its port.

    Of several that match, the kernel chooses one: it has to be the command's, whichever it is.
    """
    answering = [each for each in listeners if _answers(ip_address(each.host), address)]
    if not answering:
        return Standing.NOBODY
    return Standing.OWN if all(map(is_own, answering)) else Standing.FOREIGN


def _answers(local: IPv4Address | IPv6Address, address: InetAddress) -> bool:
    if local.version == 6:
        if local.is_unspecified:  # may accept IPv4 too
            return True
        local = local.ipv4_mapped or local
    return local == address.host or (local.is_unspecified and local.version == address.host.version)
