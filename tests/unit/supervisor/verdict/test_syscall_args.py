"""A socket address is understood as the kernel understands it, or refused."""

import socket
import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.supervisor.verdict.syscall_args import (
    AbstractUnixAddress,
    InetAddress,
    OtherAddress,
    UnixAddress,
    UnnamedUnixAddress,
    inet_address,
    parse_sockaddr,
)

LOOPBACK_80 = b"\x02\x00\x00\x50\x7f\x00\x00\x01"


def inet6(host: str, port: int) -> bytes:
    return struct.pack("=H", 10) + struct.pack("!HI16sI", port, 0, IPv6Address(host).packed, 0)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", IPv4Address("127.0.0.1")),
        ("::ffff:127.0.0.1", IPv4Address("127.0.0.1")),
        ("::1", IPv6Address("::1")),
        ("::127.0.0.1", IPv6Address("::127.0.0.1")),
        ("fe80::1%lo", IPv6Address("fe80::1")),
    ],
)
def test_the_name_of_a_socket_is_what_its_address_is_parsed_as(
    host: str, expected: IPv4Address | IPv6Address
) -> None:
    """What is mapped is loopback to the ipaddress of Python 3.12.4 and newer only."""
    assert inet_address(host, 80) == InetAddress(expected, 80)


@pytest.mark.parametrize(
    ("host", "family", "form", "shown"),
    [
        ("192.0.2.7", socket.AF_INET, "192.0.2.7", "192.0.2.7:80"),
        ("192.0.2.7", socket.AF_INET6, "::ffff:192.0.2.7", "192.0.2.7:80"),
        ("2001:db8::7", socket.AF_INET6, "2001:db8::7", "[2001:db8::7]:80"),
    ],
)
def test_an_address_has_the_form_that_the_family_of_the_socket_takes(
    host: str, family: int, form: str, shown: str
) -> None:
    address = InetAddress(ip_address(host), 80)
    assert (address.for_family(family), str(address)) == ((form, 80), shown)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(LOOPBACK_80, InetAddress(IPv4Address("127.0.0.1"), 80), id="inet, shortest form"),
        pytest.param(LOOPBACK_80 + bytes(8), InetAddress(IPv4Address("127.0.0.1"), 80), id="inet, padded"),
        pytest.param(inet6("::1", 443), InetAddress(IPv6Address("::1"), 443), id="inet6"),
        pytest.param(
            inet6("::1", 443)[:24], InetAddress(IPv6Address("::1"), 443), id="inet6 without a scope id"
        ),
        pytest.param(
            inet6("::ffff:127.0.0.1", 80), InetAddress(IPv4Address("127.0.0.1"), 80), id="mapped is IPv4"
        ),
        pytest.param(
            inet6("::127.0.0.1", 80), InetAddress(IPv6Address("::127.0.0.1"), 80), id="compatible is not"
        ),
        pytest.param(
            b"\x01\x00/run/x.sock\0garbage", UnixAddress(b"/run/x.sock"), id="unix path ends at NUL"
        ),
        pytest.param(b"\x01\x00" + b"p" * 108, UnixAddress(b"p" * 108), id="unix path without NUL"),
        pytest.param(b"\x01\x00\0name", AbstractUnixAddress(b"name"), id="abstract"),
        pytest.param(b"\x01\x00", UnnamedUnixAddress(), id="unnamed"),
        pytest.param(b"\x00\x00", OtherAddress(0), id="AF_UNSPEC"),
        pytest.param(b"\x10\x00" + bytes(10), OtherAddress(16), id="netlink"),
    ],
)
def test_a_socket_address_is_read_as_the_kernel_reads_it(raw: bytes, expected: object) -> None:
    assert parse_sockaddr(raw) == expected


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x02", id="half a family"),
        pytest.param(LOOPBACK_80[:7], id="inet cut short"),
        pytest.param(inet6("::1", 1)[:23], id="inet6 cut short"),
        pytest.param(b"\x01\x00" + b"p" * 109, id="unix path too long"),
        pytest.param(bytes(129), id="longer than sockaddr_storage"),
    ],
)
def test_a_socket_address_the_kernel_would_refuse_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="bytes"):
        parse_sockaddr(raw)


@given(st.binary(max_size=200))
def test_no_bytes_make_the_parser_fail_in_another_way(raw: bytes) -> None:
    try:
        address = parse_sockaddr(raw)
    except ValueError:
        return
    assert str(address)
