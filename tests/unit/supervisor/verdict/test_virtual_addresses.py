"""Which names get an address, and what a connect to one means."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from nono.policy.hosts.host_filter import Refuse
from nono.supervisor.verdict import virtual_addresses
from nono.supervisor.verdict.dns_message import AAAA, NAME_ERROR, NO_ERROR, REFUSED, A, Query
from nono.supervisor.verdict.syscall_args import InetAddress
from nono.supervisor.verdict.virtual_addresses import Answered, VirtualAddresses

GRANTED = ("api.granted.test", "other.granted.test")
TXT, HTTPS = 16, 65


def refusal_of(name: str) -> Refuse | None:
    return None if name in GRANTED else Refuse(f"{name} is not granted", None, None, f"--allow-domain {name}")


@pytest.fixture
def names() -> VirtualAddresses:
    return VirtualAddresses(refusal_of, "Laptop")


def asked(names: VirtualAddresses, name: str | None, kind: int = A) -> Answered:
    return names.look_up(Query(1, 0, b"", name, kind))


def address_of(names: VirtualAddresses, name: str) -> IPv4Address:
    packed = asked(names, name).address
    assert packed is not None
    return IPv4Address(packed)


def test_each_granted_host_has_one_address_of_its_own(names: VirtualAddresses) -> None:
    first, second = (address_of(names, name) for name in GRANTED)
    assert first != second
    assert first in virtual_addresses.NETWORK
    assert address_of(names, "API.Granted.TEST") == first
    assert names.destination(InetAddress(first, 443)) == ("api.granted.test", 443)
    assert names.destination(InetAddress(second, 22)) == ("other.granted.test", 22)


@pytest.mark.parametrize("host", [IPv4Address("198.18.0.9"), IPv4Address("192.0.2.1"), IPv6Address("::1")])
def test_an_address_that_was_not_given_means_no_host(
    host: IPv4Address | IPv6Address, names: VirtualAddresses
) -> None:
    address_of(names, GRANTED[0])
    assert names.destination(InetAddress(host, 443)) is None


@pytest.mark.parametrize("kind", [AAAA, TXT, HTTPS])
def test_a_granted_host_has_records_of_no_other_type(kind: int, names: VirtualAddresses) -> None:
    assert asked(names, GRANTED[0], kind) == Answered(NO_ERROR)


def test_a_refused_host_does_not_exist_and_is_recorded_once_for_each_look_up(names: VirtualAddresses) -> None:
    """Resolvers ask for both types of address."""
    for _ in range(2):
        answered = asked(names, "refused.test")
        assert (answered.code, answered.address) == (NAME_ERROR, None)
        assert answered.refused == ("refused.test", refusal_of("refused.test"))
        assert asked(names, "refused.test", AAAA) == Answered(NAME_ERROR)
        assert asked(names, "refused.test", TXT) == Answered(NAME_ERROR)


def test_who_asks_for_no_address_is_not_recorded(names: VirtualAddresses) -> None:
    assert asked(names, "refused.test", TXT) == Answered(NAME_ERROR)


def test_who_asks_for_an_ipv6_address_alone_is_recorded_too(names: VirtualAddresses) -> None:
    assert asked(names, "refused.test", AAAA).refused is not None


@pytest.mark.parametrize(
    ("before", "name", "is_recorded"),
    [
        pytest.param("refused.test", "refused.test.corp.example", False, id="after the name itself"),
        pytest.param(None, "api.granted.test.corp.example", False, id="of a granted name"),
        pytest.param(None, "refused.test.corp.example", True, id="of no name known"),
        pytest.param("example", "host.example", True, id="below a name without a dot"),
        pytest.param("refused.test", "www.refused.test", True, id="in front of the name"),
    ],
)
def test_a_name_with_a_search_domain_appended_is_not_recorded(
    before: str | None, name: str, is_recorded: bool, names: VirtualAddresses
) -> None:
    if before is not None:
        asked(names, before)
    answered = asked(names, name)
    assert answered.code == NAME_ERROR
    assert (answered.refused is not None) is is_recorded


def test_a_name_of_many_labels_costs_a_bounded_number_of_verdicts() -> None:
    judged: list[str] = []

    def refuses(name: str) -> Refuse | None:
        judged.append(name)
        return refusal_of(name)

    assert asked(VirtualAddresses(refuses, "laptop"), "a." * 120 + "test").refused is not None
    assert len(judged) < 10
    # ns.svc.cluster.local is a search domain of Kubernetes.
    assert asked(VirtualAddresses(refuses, "laptop"), f"{GRANTED[0]}.ns.svc.cluster.local").refused is None


@pytest.mark.parametrize("name", ["localhost", "app.localhost", "laptop", "LAPTOP"])
def test_this_machine_is_at_loopback(name: str, names: VirtualAddresses) -> None:
    assert address_of(names, name) == IPv4Address("127.0.0.1")
    assert asked(names, name, AAAA) == Answered(NO_ERROR)


@pytest.mark.parametrize(
    "name",
    [None, "", "*", "10.0.0.1", "0x7f.1", "9", "host.test:443", "user@host.test", "a b.test", "a\n.test"],
)
def test_what_names_no_host_is_not_judged_and_does_not_exist(name: str | None) -> None:
    judged: list[str] = []
    assert asked(VirtualAddresses(judged.append, "laptop"), name) == Answered(NAME_ERROR)
    assert judged == []
    assert asked(VirtualAddresses(judged.append, "laptop"), "_x.xn--vil-9la.test").address is not None
    assert judged == ["_x.xn--vil-9la.test"]


def test_of_a_refused_name_nothing_is_judged_that_may_be_an_address() -> None:
    """Without its last labels `1.2.3.test` is no name of a host."""
    judged: list[str] = []

    def refuses(name: str) -> Refuse | None:
        judged.append(name)
        return refusal_of(name)

    assert asked(VirtualAddresses(refuses, "laptop"), "1.2.3.a.test").refused is not None
    assert judged == ["1.2.3.a.test", "1.2.3.a"]


def test_a_host_that_is_refused_later_has_no_address_any_more() -> None:
    granted = {"api.granted.test"}
    names = VirtualAddresses(lambda name: None if name in granted else refusal_of("x"), "laptop")
    address_of(names, "api.granted.test")
    granted.clear()
    assert asked(names, "api.granted.test").code == NAME_ERROR


def test_a_run_has_a_bounded_number_of_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_addresses, "NAMES_MAX", 2)
    names = VirtualAddresses(lambda _: None, "laptop")
    first = address_of(names, "1.test")
    address_of(names, "2.test")
    beyond = asked(names, "3.test")
    assert (beyond.code, beyond.address) == (REFUSED, None)
    assert beyond.refused is not None
    assert (beyond.refused.name, beyond.refused.refusal.origin) == ("3.test", "built in")
    assert address_of(names, "1.test") == first


LISTED = {
    ip_address("10.0.0.5"): ("refused.test", GRANTED[0]),
    ip_address("10.0.0.6"): ("refused.test",),
    ip_address("2001:db8::5"): (GRANTED[1],),
    ip_address("127.0.0.1"): (GRANTED[0],),
    ip_address("0.0.0.0"): (GRANTED[0],),
}


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("10.0.0.5", GRANTED[0], id="the first that may be reached"),
        pytest.param("2001:db8::5", GRANTED[1], id="of IPv6"),
        pytest.param("10.0.0.6", None, id="refused"),
        pytest.param("10.0.0.7", None, id="not listed"),
        pytest.param("127.0.0.1", None, id="this machine"),
        pytest.param("0.0.0.0", None, id="this machine at any address"),
    ],
)
def test_a_host_of_the_hosts_file_is_meant_by_its_own_address(host: str, expected: str | None) -> None:
    names = VirtualAddresses(refusal_of, "laptop", lambda: LISTED)
    destination = names.destination(InetAddress(ip_address(host), 8443))
    assert destination == (None if expected is None else (expected, 8443))


def test_a_run_remembers_a_bounded_number_of_refused_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that is not remembered is recorded for each type of address."""
    monkeypatch.setattr(virtual_addresses, "NAMES_MAX", 1)
    names = VirtualAddresses(refusal_of, "laptop")
    for name, is_remembered in (("first.test", True), ("second.test", False)):
        assert asked(names, name).refused is not None
        assert (asked(names, name, AAAA).refused is None) is is_remembered
