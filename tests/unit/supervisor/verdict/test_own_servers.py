"""A connection on loopback goes to the command's own server only if every socket that could answer is its."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from nono.kernel.sock_diag import Listener
from nono.supervisor.verdict.own_servers import Standing, may_serve, narrowed, reached, standing
from nono.supervisor.verdict.syscall_args import InetAddress

OWN, OTHER = 1, 2  # cookies


def inet(host: str, port: int = 5000) -> InetAddress:
    return InetAddress(ip_address(host), port)


def judged(host: str, *listeners: tuple[str, int]) -> Standing:
    found = [Listener(address, cookie, cookie, 0) for address, cookie in listeners]
    return standing(inet(host), found, lambda each: each.cookie == OWN)


@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0", "::", "::ffff:127.0.0.1"])
def test_a_listener_at_the_address_decides(bound: str) -> None:
    assert judged("127.0.0.1", (bound, OWN)) is Standing.OWN
    assert judged("127.0.0.1", (bound, OTHER)) is Standing.FOREIGN


@pytest.mark.parametrize("bound", ["127.0.0.2", "::1", "192.0.2.7"])
def test_a_listener_at_another_address_is_none(bound: str) -> None:
    assert judged("127.0.0.1", (bound, OTHER)) is Standing.NOBODY
    assert judged("127.0.0.1", (bound, OTHER), ("127.0.0.1", OWN)) is Standing.OWN


def test_a_listener_at_all_ipv4_addresses_does_not_answer_ipv6() -> None:
    assert judged("::1", ("0.0.0.0", OTHER)) is Standing.NOBODY
    assert judged("::1", ("::", OTHER)) is Standing.FOREIGN


@pytest.mark.parametrize("beside", ["127.0.0.1", "0.0.0.0", "::"])
def test_one_foreign_listener_among_those_that_match_is_enough_to_refuse(beside: str) -> None:
    assert judged("127.0.0.1", ("127.0.0.1", OWN), (beside, OTHER)) is Standing.FOREIGN


@pytest.mark.parametrize(
    ("asked", "is_v6_only", "expected"),
    [
        ("0.0.0.0", False, "127.0.0.1"),
        ("::", False, "127.0.0.1"),
        ("::", True, "::1"),
        ("127.0.0.9", False, "127.0.0.9"),
        ("192.0.2.7", False, "127.0.0.1"),
        ("2001:db8::7", False, "::1"),
    ],
)
def test_another_address_than_loopback_is_narrowed_to_it(asked: str, is_v6_only: bool, expected: str) -> None:
    assert narrowed(inet(asked), is_v6_only=is_v6_only) == inet(expected)


@pytest.mark.parametrize("port", [0, 1024, 65535])
def test_loopback_may_be_served_from_the_first_unprivileged_port_on(port: int) -> None:
    assert may_serve(inet("127.0.0.1", port))
    assert not may_serve(inet("192.0.2.7", port))


@pytest.mark.parametrize("port", [1, 80, 1023])
def test_a_port_of_the_system_may_not_be_served(port: int) -> None:
    assert not may_serve(inet("127.0.0.1", port))


def test_the_unspecified_address_reaches_loopback() -> None:
    assert reached(inet("0.0.0.0")) == inet("127.0.0.1")
    assert reached(inet("::")) == inet("::1")
    assert reached(inet("192.0.2.7")) is None
    assert reached(inet("127.0.0.1", 0)) is None
