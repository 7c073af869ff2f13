"""Rules laid over a host filter: a denial beats every grant, and what was derived follows."""

from __future__ import annotations

import pytest

from nono.policy.hosts.host_filter import Allow, HostFilter, parse_rule
from nono.policy.hosts.live_hosts import LiveHosts


def live(allow: tuple[str, ...] | None = (), deny: tuple[str, ...] = ()) -> LiveHosts:
    return LiveHosts(
        HostFilter(
            None if allow is None else tuple(parse_rule(text, "start") for text in allow),
            tuple(parse_rule(text, "start") for text in deny),
        )
    )


def allows(hosts: LiveHosts, name: str) -> bool:
    return isinstance(hosts.judge_name(name, 443), Allow)


@pytest.mark.parametrize(
    ("hosts", "allow", "deny"),
    [
        (live(deny=("a.test",)), ("a.test",), ()),
        (live(deny=("*.test",)), ("a.test",), ()),
        (live(), ("a.test",), ("a.test",)),
        (live(("a.test",)), ("a.test",), ("*",)),
        (live(None), (), ("a.test",)),
    ],
)
def test_a_denial_beats_every_grant(hosts: LiveHosts, allow: tuple[str, ...], deny: tuple[str, ...]) -> None:
    hosts.put([parse_rule(text, "now") for text in allow], [parse_rule(text, "now") for text in deny])
    assert not allows(hosts, "a.test")


def test_a_grant_adds_to_the_list() -> None:
    hosts = live(("a.test",))
    hosts.put([parse_rule("b.test", "now")], ())
    assert [allows(hosts, name) for name in ("a.test", "b.test", "c.test")] == [True, True, False]


def test_a_port_that_a_later_grant_names_is_named() -> None:
    hosts = live(("a.test:443",))
    hosts.put([parse_rule("a.test:8443", "now")], ())
    assert (hosts.ports_named("a.test"), hosts.ports_named("b.test")) == ({443, 8443}, set())


def test_each_change_replaces_the_one_before() -> None:
    hosts = live()
    hosts.put([parse_rule("a.test", "now")], ())
    hosts.put([parse_rule("b.test", "now")], ())
    assert [allows(hosts, name) for name in ("a.test", "b.test")] == [False, True]


@pytest.mark.parametrize("target", ["b.test", "8.8.8.8"])
def test_a_grant_where_every_name_is_allowed_makes_no_list(target: str) -> None:
    hosts = live(None)
    hosts.put([parse_rule(target, "now")], ())
    assert allows(hosts, target)
    assert allows(hosts, "any.test")
    assert not allows(hosts, "9.9.9.9")


def test_no_grant_reaches_the_metadata_of_a_cloud() -> None:
    hosts = live()
    hosts.put([parse_rule("169.254.169.254", "now"), parse_rule("metadata.google.internal", "now")], ())
    assert not allows(hosts, "metadata.google.internal")
    assert not isinstance(hosts.judge_addresses("169.254.169.254", 80, ["169.254.169.254"]), Allow)


def test_the_filter_of_a_route_follows_a_denial() -> None:
    hosts = live()
    route = hosts.for_route("api.test", 443, "a route")
    assert isinstance(route.judge_name("api.test", 443), Allow)
    hosts.put((), [parse_rule("api.test", "now")])
    assert not isinstance(route.judge_name("api.test", 443), Allow)
    assert not isinstance(route.judge_addresses("api.test", 443, ["8.8.8.8"]), Allow)


def test_a_filter_for_one_more_host_follows_a_denial() -> None:
    hosts = live()
    once = hosts.allowing("a.test", 443, "a person")
    assert isinstance(once.judge_name("a.test", 443), Allow)
    assert not isinstance(once.judge_name("a.test", 80), Allow)
    assert not allows(hosts, "a.test")
    hosts.put((), [parse_rule("a.test", "now")])
    assert not isinstance(once.judge_name("a.test", 443), Allow)
