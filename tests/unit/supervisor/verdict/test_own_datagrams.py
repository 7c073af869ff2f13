"""Which sockets are UDP, and where a connect of one would lead."""

from __future__ import annotations

import errno
from ipaddress import ip_address

import pytest

from nono.supervisor.verdict.own_datagrams import (
    MADE_INSIDE,
    NOT_MADE,
    OWN_DATAGRAMS,
    is_udp_socket,
    judge_connect,
    no_name_server,
    refused_hint,
)
from nono.supervisor.verdict.syscall_args import InetAddress, OtherAddress

HIGH = 0xDEADBEEF << 32


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        ((2, 2, 0), True),
        ((10, 2 | 0o2004000, 17), True),
        ((HIGH | 2, HIGH | 2, HIGH | 17), True),
        ((2, 1, 0), False),
        ((2, 3, 17), False),
        ((2, 2, 1), False),
        ((2, 2, 136), False),
        ((1, 2, 0), False),
    ],
)
def test_only_udp_is_udp(args: tuple[int, ...], expected: bool) -> None:
    assert is_udp_socket(args) is expected


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.53", "::1", "0.0.0.0", "::"])
def test_a_connect_to_loopback_is_made(host: str) -> None:
    assert judge_connect(InetAddress(ip_address(host), 5000)) is None
    assert no_name_server(InetAddress(ip_address(host), 5000)) is None


def test_an_address_of_another_family_is_no_name_server() -> None:
    assert no_name_server(OtherAddress(0)) is None


@pytest.mark.parametrize("host", ["127.0.0.53", "::1", "192.0.2.53"])
def test_a_name_server_that_is_not_there_is_reported_as_one(host: str) -> None:
    """The kernel knows which name servers have an address in that network."""
    address = InetAddress(ip_address(host), 53)
    assert judge_connect(address) is None
    refusal = no_name_server(address)
    assert refusal is not None
    assert (refusal.target.partition(":")[0], refusal.errno_value) == ("dns", errno.ENETUNREACH)
    assert refusal.hint is not None
    assert "name servers of its own" in refusal.hint
    assert "start the run again" in refusal.hint


@pytest.mark.parametrize(
    ("host", "target"), [("192.0.2.1", "udp:192.0.2.1"), ("2001:db8::1", "udp:[2001:db8::1]")]
)
def test_a_connect_to_another_host_finds_no_network(host: str, target: str) -> None:
    refusal = judge_connect(InetAddress(ip_address(host), 443))
    assert refusal is not None
    assert (refusal.errno_value, refusal.target, refusal.port, refusal.rule) == (
        *(errno.ENETUNREACH, target, 443),
        OWN_DATAGRAMS,
    )


def test_a_connect_that_ends_a_connection_is_made() -> None:
    assert judge_connect(OtherAddress(0)) is None


def test_who_has_tcp_for_look_ups_is_not_sent_to_the_proxy_for_them() -> None:
    """The C library of a run without namespaces asks by TCP; elsewhere it has only UDP, which is refused."""
    assert "looks names up by TCP" in refused_hint()
    for where in (NOT_MADE, MADE_INSIDE):
        assert where in refused_hint(where)
        assert "TCP" not in refused_hint(where)
