"""Parse the arguments of a system call into values, once: its registers, and bytes they point to."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from nono.named_tuple import NamedTuple
from nono.policy.files.unix_sockets import shown

# linux/socket.h, include/uapi/linux/un.h, include/uapi/linux/in6.h
AF_UNIX, AF_INET, AF_INET6, AF_NETLINK = 1, 2, 10, 16
SOCK_DGRAM, SOCK_RAW = 2, 3  # linux/net.h
_SOCK_TYPE_MASK = 0xF  # the other bits are flags, such as SOCK_CLOEXEC
_INT_BITS = 32
SA_FAMILY_BYTES = 2
SOCKADDR_IN_BYTES = 8  # family, port, address; the padding after them is ignored
SOCKADDR_IN6_BYTES = 24  # SIN6_LEN_RFC2133: everything but the scope id
SOCKADDR_UN_BYTES = 110
SOCKADDR_STORAGE_BYTES = 128


class InetAddress(NamedTuple):
    """A TCP destination or local address. IPv4-mapped IPv6 is kept as the IPv4 address it stands for."""

    host: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.host.version == 6 else f"{self.host}:{self.port}"

    def for_family(self, family: int) -> tuple[str, int]:
        """Return the address in the form that a socket of this family takes."""
        if family == AF_INET6 and self.host.version == 4:
            return f"::ffff:{self.host}", self.port
        return str(self.host), self.port


class UnixAddress(NamedTuple):
    """A pathname socket as the command spelled it: bytes, possibly relative to the command's directory."""

    path: bytes

    def __str__(self) -> str:
        return "unix:" + shown(self.path.decode("utf-8", "surrogateescape"))


class AbstractUnixAddress(NamedTuple):
    """A socket in the abstract namespace; `name` excludes the leading NUL."""

    name: bytes

    def __str__(self) -> str:
        return "unix:<abstract>"


class UnnamedUnixAddress(NamedTuple):
    """AF_UNIX without a name: binding to it picks an abstract one (autobind)."""

    def __str__(self) -> str:
        return "unix:<unnamed>"


class OtherAddress(NamedTuple):
    """A family that no rule covers, including AF_UNSPEC (dissolve the association)."""

    family: int

    def __str__(self) -> str:
        return f"family={self.family} loopback=false"


Address = InetAddress | UnixAddress | AbstractUnixAddress | UnnamedUnixAddress | OtherAddress


def unsigned(register: int) -> int:
    """Convert an unsigned int argument: the kernel ignores the upper half of its register."""
    return register & ((1 << _INT_BITS) - 1)


def signed(register: int) -> int:
    """Convert an int argument, likewise."""
    value = unsigned(register)
    return value - (1 << _INT_BITS) if value >> (_INT_BITS - 1) else value


def socket_kind(args: Sequence[int]) -> tuple[int, int, int]:
    """Return the family, the type without its flags, and the protocol that socket(2) is called with."""
    family, kind, protocol = map(unsigned, args[:3])
    return family, kind & _SOCK_TYPE_MASK, protocol


def parse_sockaddr(raw: bytes) -> Address:
    """Parse a sockaddr of exactly len(raw) bytes. Raises ValueError if it is cut short or too long."""
    if not SA_FAMILY_BYTES <= len(raw) <= SOCKADDR_STORAGE_BYTES:
        raise ValueError(f"a socket address of {len(raw)} bytes")
    (family,) = struct.unpack_from("=H", raw)
    if family == AF_INET:
        return _parse_inet(raw)
    if family == AF_INET6:
        return _parse_inet6(raw)
    if family == AF_UNIX:
        return _parse_unix(raw)
    return OtherAddress(family)


def _parse_inet(raw: bytes) -> InetAddress:
    if len(raw) < SOCKADDR_IN_BYTES:
        raise ValueError(f"an AF_INET address of {len(raw)} bytes")
    port, host = struct.unpack_from("!2xH4s", raw)
    return InetAddress(IPv4Address(host), port)


def _parse_inet6(raw: bytes) -> InetAddress:
    if len(raw) < SOCKADDR_IN6_BYTES:
        raise ValueError(f"an AF_INET6 address of {len(raw)} bytes")
    port, host = struct.unpack_from("!2xH4x16s", raw)
    return _unmapped(IPv6Address(host), port)


def inet_address(host: str, port: int) -> InetAddress:
    """Return the address that getsockname(2) tells."""
    return _unmapped(ip_address(host.partition("%")[0]), port)


def _unmapped(address: IPv4Address | IPv6Address, port: int) -> InetAddress:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return InetAddress(mapped or address, port)


def _parse_unix(raw: bytes) -> Address:
    if len(raw) > SOCKADDR_UN_BYTES:
        raise ValueError(f"an AF_UNIX address of {len(raw)} bytes")
    name = raw[SA_FAMILY_BYTES:]
    if not name:
        return UnnamedUnixAddress()
    if name[0] == 0:
        return AbstractUnixAddress(name[1:])
    return UnixAddress(name.split(b"\0", 1)[0])
