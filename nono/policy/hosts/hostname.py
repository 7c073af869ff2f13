"""Normalise every host name and address to one spelling before anything is decided.

DNS, TLS libraries and URL parsers disagree about odd spellings, and each disagreement is a way around a
filter. So this refuses anything that is not plainly a host name (RFC 1123 section 2.1) or an address.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    # Imported below where an address is read: most hosts of a run are names.
    from ipaddress import IPv4Address, IPv6Address

type IpAddress = IPv4Address | IPv6Address

MAX_HOST_LENGTH = 253  # RFC 1035 section 2.3.4, without the root label
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)  # "_" is not RFC 1123, but in use
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*", re.ASCII)  # read as a number by inet_aton(3)
_PORT = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_MAX_PORT = 65535

# Of the hosts that stand for MCP servers. Names below alt are in no DNS (RFC 9476).
MCP_DOMAIN = ".mcp.nono.alt"
METADATA_HOSTS = frozenset(
    ("169.254.169.254", "metadata.google.internal", "metadata.google", "metadata.azure.internal")
)


class HostError(ValueError):
    """The text is not a host, or not one that is understood the same way everywhere."""


def canonical_host(raw: str) -> str:
    """Return `raw` as a lower-case A-label name, or as a canonical IP address without brackets.

    Idempotent. Drops a trailing dot; turns an IPv4-mapped IPv6 address into the IPv4 address.

    Raises HostError for everything else that is not a host name: inet_aton spellings (``0x7f.1``, ``127.1``,
    ``2130706433``), zone ids, user info, control bytes, empty labels, more than 253 characters.
    """
    if len(raw) > MAX_HOST_LENGTH + 1:  # one for a trailing dot; also bounds the work of the idna tables
        raise HostError("it is longer than 253 characters")
    if raw.startswith("[") and raw.endswith("]"):
        return str(_ipv6(raw[1:-1]))
    if ":" in raw:
        return str(_ipv6(raw))
    host = (raw if raw.isascii() else _a_label(raw)).lower().removesuffix(".")
    if len(host) > MAX_HOST_LENGTH:
        raise HostError("it is longer than 253 characters")
    labels = host.split(".")
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise HostError(f"{label!a} is not a label of a host name")
    if _NUMBER.fullmatch(labels[-1]):
        return str(_ipv4(host))
    return host


def ip_literal(host: str) -> IpAddress | None:
    """Return the address that a canonical host spells, or None for a name."""
    is_v6 = ":" in host
    if not is_v6 and not (host[-1:].isdigit() and _NUMBER.fullmatch(host.rpartition(".")[2])):
        return None
    from ipaddress import IPv4Address, IPv6Address

    return IPv6Address(host) if is_v6 else IPv4Address(host)


def parse_port(text: str) -> int:
    """Parse a port from 1 to 65535 in plain decimal digits. Raises HostError otherwise."""
    if not _PORT.fullmatch(text) or int(text) > _MAX_PORT:
        raise HostError(f"{text[:20]!a} is not a port (1 to 65535)")
    return int(text)


def parse_authority(text: str) -> tuple[str, int]:
    """Parse ``host:port`` (RFC 9112 section 3.2.3) into a canonical host and a port.

    Raises HostError if either is missing or malformed; an IPv6 address needs brackets.
    """
    host, colon, port = text.rpartition(":")
    if not colon:
        raise HostError("the port is missing")
    if ":" in host and not host.startswith("["):
        raise HostError("an IPv6 address must stand in brackets")
    return canonical_host(host), parse_port(port)


def split_optional_port(text: str) -> tuple[str, int | None]:
    """Split a policy's ``host``, ``host:port``, IPv6 address or ``[address]:port``; the host stays raw.

    Raises HostError for a malformed port.
    """
    if text.startswith("["):
        host, bracket, rest = text.partition("]")
        if rest and not rest.startswith(":"):
            raise HostError("only a port may follow the brackets")
        return host + bracket, parse_port(rest[1:]) if rest else None
    host, colon, port = text.partition(":")
    if not colon or ":" in port:
        return text, None
    return host, parse_port(port)


def _ipv4(text: str) -> IPv4Address:
    from ipaddress import IPv4Address

    try:
        return IPv4Address(text)
    except ValueError as error:
        raise HostError("it ends in a number but is not an IPv4 address in canonical form") from error


def _ipv6(text: str) -> IpAddress:
    if "%" in text:
        raise HostError("an address with a zone id is not accepted")
    from ipaddress import IPv6Address

    try:
        address = IPv6Address(text)
    except ValueError as error:
        raise HostError("it is not an IPv6 address") from error
    # No listener tells ::ffff:127.0.0.1 from 127.0.0.1 (RFC 4291 section 2.5.5.2), so no rule may either.
    return address.ipv4_mapped or address


def _a_label(text: str) -> str:
    import idna  # imported here: an ASCII name never needs its tables

    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except (idna.IDNAError, UnicodeError) as error:
        raise HostError("it is not an internationalised domain name") from error
