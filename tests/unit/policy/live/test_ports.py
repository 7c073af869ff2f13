"""nono.policy.live.ports: what is laid over the ports of the start, and taken back."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from nono.policy.capability import Access
from nono.policy.hosts.host_filter import parse_rule
from nono.policy.live.port_target import parse_port_target
from nono.policy.live.ports import LivePorts
from nono.policy.live.rule import Decision, LiveRule
from nono.policy.ports import CONNECT_PORT, OPEN_PORT, PortGrants, united


def rule(decision: Decision, target: str) -> LiveRule:
    return LiveRule("0", decision, "port", target, Access.READ, "a person", 0, None)


NOTHING = PortGrants()


def ports(*rules: tuple[Decision, str], granted: PortGrants = NOTHING) -> LivePorts:
    live = LivePorts(granted)
    live.put(rule(*each) for each in rules)
    return live


@pytest.mark.parametrize(
    ("target", "host", "port", "connects", "binds"),
    [
        ("5432", "127.0.0.1", 5432, True, True),
        ("5432", "::1", 5432, True, True),
        ("5432", "127.0.0.1", 5433, False, False),
        ("5432", "192.0.2.1", 5432, False, False),
        ("5432", "0.0.0.0", 5432, False, False),
        ("5000-5009", "127.0.0.1", 5009, True, True),
        ("5000-5009", "127.0.0.1", 5010, False, False),
        ("*:5432", "192.0.2.1", 5432, True, False),
        ("*:5432", "192.0.2.1", 5433, False, False),
        ("*:5432", "0.0.0.0", 5432, False, False),
        ("192.0.2.1:5432", "192.0.2.1", 5432, True, False),
        ("192.0.2.1:5432", "192.0.2.2", 5432, False, False),
        ("[2001:db8::1]:5432", "2001:db8::1", 5432, True, False),
    ],
)
def test_an_allowed_port_is_reached_at_its_place_only(
    target: str, host: str, port: int, connects: bool, binds: bool
) -> None:
    live = ports(("allow", target))
    rule = f"nono allow[{target}]"
    assert live.to_connect(ip_address(host), port) == (rule if connects else None)
    assert live.to_bind(ip_address(host), port) == (rule if binds else None)


@pytest.mark.parametrize(
    ("target", "host", "is_denied"),
    [
        ("5432", "127.0.0.1", True),
        ("5432", "0.0.0.0", True),
        ("5432", "::", True),
        ("5432", "192.0.2.1", False),
        ("*:5432", "192.0.2.1", True),
        ("*:5432", "0.0.0.0", True),
        ("*:5433", "192.0.2.1", False),
        ("192.0.2.1:5432", "192.0.2.1", True),
        ("192.0.2.1:5432", "192.0.2.2", False),
    ],
)
def test_a_port_is_denied_at_its_place_only(target: str, host: str, is_denied: bool) -> None:
    live, address = ports(("deny", target)), ip_address(host)
    denier = "nono deny, by a person" if is_denied else None
    assert live.denied(address, 5432) == denier
    assert live.denied_to_bind(address, 5432) == denier


def test_a_denial_alone_leads_nowhere() -> None:
    both: list[tuple[Decision, str | None]] = [("allow", "nono allow[5432]"), ("deny", None)]
    for decision, label in both:
        live = ports((decision, "5432"))
        assert live.to_connect(ip_address("127.0.0.1"), 5432) == label
        assert live.to_bind(ip_address("127.0.0.1"), 5432) == label
        assert live.leads_past_the_proxy is (label is not None)


def test_rules_that_are_taken_back_leave_those_of_the_start() -> None:
    live = ports(("allow", "*:5432"), ("deny", "22"), granted=PortGrants(open=united([22])))
    live.put(())
    assert live.to_connect(ip_address("192.0.2.1"), 5432) is None
    assert live.denied(ip_address("127.0.0.1"), 22) is None
    assert live.to_connect(ip_address("127.0.0.1"), 22) == OPEN_PORT


@pytest.mark.parametrize("denied", ["192.0.2.1", "192.0.2.1:5432", "*"])
def test_a_denied_host_is_not_reached_past_the_proxy(denied: str) -> None:
    live = ports(granted=PortGrants(connect=united([5432])))
    host = ip_address("192.0.2.1")
    assert live.to_connect(host, 5432) == CONNECT_PORT
    live.put_denied_hosts([parse_rule(denied, "")])
    assert live.to_connect(host, 5432) is None


@pytest.mark.parametrize("denied", ["localhost", "127.0.0.1", "[::1]"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_this_machine_is_denied_by_whatever_address(denied: str, host: str) -> None:
    live = ports(granted=PortGrants(connect=united([5432])))
    live.put_denied_hosts([parse_rule(denied, "")])
    assert live.to_connect(ip_address(host), 5432) is None


def test_another_host_is_reached_past_the_proxy_still() -> None:
    live = ports(granted=PortGrants(connect=united([5432])))
    live.put_denied_hosts([parse_rule("192.0.2.1:5433", ""), parse_rule("a.test", "")])
    assert live.to_connect(ip_address("192.0.2.1"), 5432) == CONNECT_PORT


def test_whoever_remembers_verdicts_hears_of_each_change() -> None:
    live, heard = LivePorts(PortGrants()), []
    live.changed = lambda: heard.append(True)
    live.put([rule("allow", "5432")])
    live.put_denied_hosts([])
    assert heard == [True, True]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        (":5432", "5432"),
        ("127.0.0.1:5432", "5432"),
        ("[::1]:5432", "5432"),
        ("0.0.0.0:5432", "5432"),
        ("[::ffff:192.0.2.1]:5432", "192.0.2.1:5432"),
        ("05432", "5432"),
        ("7-7", "7"),
    ],
)
def test_a_target_has_one_spelling(text: str, canonical: str) -> None:
    assert str(parse_port_target(text)) == canonical


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "9-5", "x", "1-x", "-5", "a.test:5432", "localhost:22", "1.2:5", "::1:5", "*"]
)
def test_what_names_no_port_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"port|address"):
        parse_port_target(text)


@pytest.mark.parametrize(
    ("target", "host", "port", "binds"),
    [
        ("listen:3000", "0.0.0.0", 3000, True),
        ("listen:3000", "127.0.0.1", 3000, True),
        ("listen:3000", "::", 3000, True),
        ("listen:3000", "0.0.0.0", 3001, False),
        ("listen:3000-3009", "192.0.2.1", 3009, True),
    ],
)
def test_a_port_to_listen_on_is_for_nothing_else(target: str, host: str, port: int, binds: bool) -> None:
    live, address = ports(("allow", target)), ip_address(host)
    assert live.to_bind(address, port) == (f"nono allow[{target}]" if binds else None)
    assert live.to_connect(address, port) is None
    assert not live.leads_past_the_proxy


def test_a_port_that_is_denied_for_listening_is_still_connected_to() -> None:
    live = ports(
        ("deny", "listen:3000"), granted=PortGrants(listen=united([3000, 3001]), open=united([3000]))
    )
    address = ip_address("127.0.0.1")
    assert live.denied_to_bind(address, 3000) == "nono deny, by a person"
    assert live.denied_to_bind(address, 3001) is None
    assert live.denied(address, 3000) is None
    assert live.to_connect(address, 3000) == OPEN_PORT
