"""Each special range of addresses is known to its ends, and what lies beside it is ordinary."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.hosts.address import METADATA_ADDRESSES, Class, classify, describe
from nono.policy.hosts.hostname import IpAddress


@pytest.mark.parametrize(
    ("kind", "first", "last", "beside"),
    [
        ("link-local", "169.254.0.0", "169.254.255.255", ("169.253.255.255", "169.255.0.0")),
        ("loopback", "127.0.0.0", "127.255.255.255", ("126.255.255.255", "128.0.0.0")),
        ("unusable", "0.0.0.0", "0.255.255.255", ("1.0.0.0",)),
        ("unusable", "224.0.0.0", "255.255.255.255", ("223.255.255.255",)),
        ("private", "10.0.0.0", "10.255.255.255", ("9.255.255.255", "11.0.0.0")),
        ("private", "172.16.0.0", "172.31.255.255", ("172.15.255.255", "172.32.0.0")),
        ("private", "192.168.0.0", "192.168.255.255", ("192.167.255.255", "192.169.0.0")),
        ("private", "100.64.0.0", "100.127.255.255", ("100.63.255.255", "100.128.0.0")),
        ("link-local", "fe80::", "febf:ffff::", ("fe7f:ffff::",)),
        ("loopback", "::1", "::1", ()),
        ("unusable", "::", "::", ()),
        ("unusable", "ff00::", "ffff:ffff::", ()),
        ("embedding", "::2", "::ffff:ffff", ("::1:0:0",)),
        ("embedding", "::ffff:1.2.3.4", "::ffff:255.255.255.255", ("::fffe:1.2.3.4",)),
        ("embedding", "::ffff:0:0:0", "::ffff:0:ffff:ffff", ("::ffff:1:0:0",)),
        ("embedding", "64:ff9b::", "64:ff9b::ffff:ffff", ("64:ff9b::1:0:0", "64:ff9a::")),
        ("embedding", "64:ff9b:1::", "64:ff9b:1:ffff::", ("64:ff9b:2::",)),
        ("embedding", "2002::", "2002:ffff::", ("2003::",)),
        ("embedding", "2001::", "2001:0:ffff::", ("2001:1::",)),
        ("private", "fc00::", "fdff:ffff::", ("fbff::",)),
        ("private", "fec0::", "feff:ffff::", ()),
    ],
)
def test_a_range_is_known_from_its_first_address_to_its_last(
    kind: str, first: str, last: str, beside: tuple[str, ...]
) -> None:
    assert [classify(ip_address(each)) for each in (first, last)] == [kind, kind]
    assert [classify(ip_address(each)) for each in beside] == [None] * len(beside)


@pytest.mark.parametrize(
    "text",
    [
        *("100.100.100.200", "168.63.129.16", "192.0.0.192"),
        *("fd00:c1::a9fe:a9fe", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fd00:42::42"),
    ],
)
def test_an_address_of_a_metadata_service_is_known_among_its_neighbours(text: str) -> None:
    assert classify(ip_address(text)) == "metadata"
    assert classify(ip_address(text) + 1) != "metadata"
    assert ip_address(text) in METADATA_ADDRESSES


@pytest.mark.parametrize(
    ("text", "kind"),
    [("168.63.129.16", "metadata"), ("169.254.169.254", "link-local"), ("127.0.0.1", "embedding")],
)
def test_of_a_mapped_address_the_more_serious_reason_is_named(text: str, kind: Class) -> None:
    mapped = IPv6Address(f"::ffff:{text}")
    assert classify(mapped) == kind
    assert ("cloud metadata protection" in describe(mapped, kind)) is (kind != "embedding")


_few_bits = st.builds(
    lambda prefix, host: IPv6Address(prefix << 112 | host),
    st.sampled_from([0, 0xFE80, 0xFF00, 0xFF02, 0x2001, 0xFC00]),
    st.integers(0, 3),
)


@given(st.ip_addresses() | _few_bits)
def test_no_address_of_this_machine_or_of_many_is_ordinary(address: IpAddress) -> None:
    if address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified:
        assert classify(address) is not None
