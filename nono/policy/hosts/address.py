"""Classify addresses that a host name must not resolve to, whatever the allow list says about the name."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from nono.policy.hosts.hostname import IpAddress

Class = Literal["metadata", "link-local", "loopback", "unusable", "embedding", "private"]

# Cloud metadata services outside the link-local ranges: Alibaba, Azure's wire server, Oracle (two), AWS (the
# second has the credentials of pods in EKS), Google, Scaleway.
METADATA_ADDRESSES: frozenset[IpAddress] = frozenset(
    (
        IPv4Address("100.100.100.200"),
        IPv4Address("168.63.129.16"),
        IPv4Address("192.0.0.192"),
        IPv6Address("fd00:c1::a9fe:a9fe"),
        IPv6Address("fd00:ec2::254"),
        IPv6Address("fd00:ec2::23"),
        IPv6Address("fd20:ce::254"),
        IPv6Address("fd00:42::42"),
    )
)

_RANGES_V4: tuple[tuple[Class, tuple[IPv4Network, ...]], ...] = (
    ("link-local", (IPv4Network("169.254.0.0/16"),)),
    ("loopback", (IPv4Network("127.0.0.0/8"),)),
    # "This network" reaches the host itself on Linux; the others are multicast, reserved and broadcast.
    ("unusable", (IPv4Network("0.0.0.0/8"), IPv4Network("224.0.0.0/4"), IPv4Network("240.0.0.0/4"))),
    (
        "private",  # RFC 1918, and RFC 6598 for carrier-grade NAT
        (
            IPv4Network("10.0.0.0/8"),
            IPv4Network("172.16.0.0/12"),
            IPv4Network("192.168.0.0/16"),
            IPv4Network("100.64.0.0/10"),
        ),
    ),
)
_RANGES_V6: tuple[tuple[Class, tuple[IPv6Network, ...]], ...] = (
    ("link-local", (IPv6Network("fe80::/10"),)),
    ("loopback", (IPv6Network("::1/128"),)),
    ("unusable", (IPv6Network("::/128"), IPv6Network("ff00::/8"))),
    (
        # Contains an IPv4 address: mapped, compatible, translated, NAT64, 6to4, Teredo.
        "embedding",
        (
            IPv6Network("::ffff:0:0/96"),
            IPv6Network("::/96"),
            IPv6Network("::ffff:0:0:0/96"),
            IPv6Network("64:ff9b::/96"),
            IPv6Network("64:ff9b:1::/48"),
            IPv6Network("2002::/16"),
            IPv6Network("2001::/32"),
        ),
    ),
    ("private", (IPv6Network("fc00::/7"), IPv6Network("fec0::/10"))),
)


def classify(address: IpAddress) -> Class | None:
    """Return the special class of `address`; None for an ordinary one."""
    if address in METADATA_ADDRESSES:
        return "metadata"
    if isinstance(address, IPv4Address):
        return next((kind for kind, ranges in _RANGES_V4 if any(address in r for r in ranges)), None)
    mapped = address.ipv4_mapped
    if mapped is not None and classify(mapped) in ("metadata", "link-local"):
        return classify(mapped)  # refused either way; this names the more serious reason
    return next((kind for kind, ranges in _RANGES_V6 if any(address in r for r in ranges)), None)


def describe(address: IpAddress, kind: Class) -> str:
    """Return the reason to refuse a name that resolves to `address`."""
    match kind:
        case "link-local":
            return f"resolved IP {address} is in the link-local range (cloud metadata protection)"
        case "metadata":
            return f"resolved IP {address} belongs to a cloud metadata service (cloud metadata protection)"
        case "loopback":
            return f"resolved IP {address} is a loopback address"
        case "unusable":
            return f"resolved IP {address} is an unspecified, multicast or reserved address"
        case "embedding":
            return f"resolved IP {address} hides an IPv4 address"
        case "private":
            return f"resolved IP {address} is a private address"
