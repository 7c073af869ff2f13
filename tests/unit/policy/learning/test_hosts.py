"""Hosts of a watched command: what is granted as it is granted, and beyond that the public ones."""

from __future__ import annotations

import pytest

from nono.policy.hosts.host_filter import Allow, HostFilter, Refuse, parse_rule
from nono.policy.learning.hosts import LearningHosts, learning_hosts

PUBLIC, PRIVATE, LOOPBACK, METADATA = "203.0.114.7", "10.0.0.1", "127.0.0.1", "169.254.169.254"


def hosts(*allow: str, deny: tuple[str, ...] = (), is_open: bool = False) -> LearningHosts:
    rules = None if is_open else tuple(parse_rule(text, "--allow-domain") for text in allow)
    return learning_hosts(HostFilter(rules, tuple(parse_rule(text, "--deny-domain") for text in deny)))


def reaches(filter_: LearningHosts, host: str, address: str, port: int = 443) -> bool:
    by_name = isinstance(filter_.judge_name(host, port), Allow)
    by_address = isinstance(filter_.judge_addresses(host, port, [address]), Allow)
    return by_name and by_address


@pytest.mark.parametrize("is_open", [False, True])
def test_only_public_hosts_are_reached(is_open: bool) -> None:
    watched = hosts(is_open=is_open)
    assert reaches(watched, "api.example", PUBLIC)
    for address in (PRIVATE, LOOPBACK, METADATA, "fe80::1", "fd00:ec2::254", "192.168.1.1"):
        assert not reaches(watched, "api.example", address), address
    assert not reaches(watched, "localhost", LOOPBACK)
    for name in (LOOPBACK, PRIVATE, METADATA, "metadata.google.internal"):
        assert isinstance(watched.judge_name(name, 443), Refuse), name


def test_what_a_person_has_named_is_reached_as_in_any_run() -> None:
    watched = hosts("intranet.example", "localhost:8080")
    assert reaches(watched, "intranet.example", PRIVATE)
    assert not reaches(watched, "intranet.example", METADATA)
    assert reaches(watched, "localhost", LOOPBACK, 8080)
    assert not reaches(watched, "localhost", LOOPBACK, 8081)


def test_what_is_denied_stays_denied() -> None:
    watched = hosts("good.example", deny=("*.example",))
    for host in ("good.example", "bad.example"):
        assert isinstance(watched.judge_name(host, 443), Refuse)
    assert reaches(watched, "other.test", PUBLIC)


def test_a_credential_goes_to_its_own_host_alone() -> None:
    route = hosts().for_route("api.example", 443, "service")
    assert isinstance(route.judge_name("api.example", 443), Allow)
    assert isinstance(route.judge_name("other.example", 443), Refuse)


@pytest.mark.parametrize(
    ("name", "may_be_reached"), [("api.example", True), ("intranet.example", True), ("denied.example", False)]
)
def test_any_name_but_a_denied_one_is_looked_up(name: str, may_be_reached: bool) -> None:
    watched = hosts("intranet.example:5432", deny=("denied.example",))
    assert isinstance(watched.judge_look_up(name), Allow) is may_be_reached
