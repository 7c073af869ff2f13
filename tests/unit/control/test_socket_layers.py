"""nono.control.socket_layers: which rules for ports and sockets a run takes, and why not the others."""

from __future__ import annotations

import pytest

from nono.control.rules import Layer
from nono.control.socket_layers import NoPorts, NoSockets, Ports, Sockets
from nono.policy.capability import Access, NetworkMode
from nono.policy.files.unix_sockets import UnixSocketRules
from nono.policy.live.ports import LivePorts
from nono.policy.live.rule import Decision, Kind, LiveRule, Wanted
from nono.policy.live.sockets import LiveSockets
from nono.policy.ports import KeptPort, PortGrants, united
from nono.policy.socket_grant import SocketGrant, SocketScope
from support.host_facts import PROXIED


def reason(layer: Layer, decision: Decision, kind: Kind, target: str) -> str:
    refused = layer.refusal(Wanted(decision, kind, target, Access.READ, None))
    return "" if refused is None else f"{refused.reason}; {refused.hint}"


def live_ports() -> Ports:
    live = LivePorts(PortGrants(open=united([], [(5000, 5009)]), connect=united([22])))
    live.put(
        [
            LiveRule(target, "deny", "port", target, Access.READ, "a person", 0, None)
            for target in ("6000", "listen:6001")
        ]
    )
    return Ports(live, 4000, (KeptPort(7000, "sends a key"),))


@pytest.mark.parametrize(
    ("decision", "target", "said"),
    [
        ("allow", "5432", ""),
        ("allow", "5000-5009", "was granted already"),
        ("allow", "5000-5010", ""),
        ("allow", "*:22", "was granted already"),
        ("allow", "22", ""),
        ("allow", "192.0.2.1:22", "was granted already"),
        ("allow", "192.0.2.1:23", ""),
        ("allow", "6000", "a denial beats every grant"),
        ("allow", "listen:6001", "a denial beats every grant"),
        ("allow", "*:6001", ""),
        ("allow", "7000", ""),
        ("allow", "listen:7001", ""),
        ("allow", "listen:6999-7001", "nono itself sends a key on port 7000"),
        ("deny", "5000", ""),
        ("deny", "4000", "the proxy of the run listens there"),
        ("deny", "4000-4009", ""),
        ("deny", "*:4000", ""),
        ("deny", "listen:4000", ""),
    ],
)
def test_a_rule_for_ports_that_would_change_nothing_is_refused(
    decision: Decision, target: str, said: str
) -> None:
    refused = reason(live_ports(), decision, "port", target)
    assert said in refused
    assert bool(said) == bool(refused)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (NoPorts(PROXIED, is_alone=False, is_learning=False), "Landlock fixed the ports"),
        (NoPorts(PROXIED, is_alone=True, is_learning=False), "a network of its own"),
        (NoPorts(PROXIED, is_alone=False, is_learning=True), "learns which ports"),
        (
            NoPorts(PROXIED._replace(network=NetworkMode.BLOCKED), is_alone=False, is_learning=False),
            "without a network",
        ),
        (
            NoPorts(PROXIED._replace(network=NetworkMode.ALLOWED), is_alone=False, is_learning=False),
            "an open network",
        ),
    ],
    ids=["landlock", "netns", "learning", "blocked", "open"],
)
def test_ports_that_were_fixed_at_the_start_are_said_to_be(layer: NoPorts, said: str) -> None:
    assert said in reason(layer, "allow", "port", "5432")
    assert said in reason(layer, "deny", "port", "*:5432")


def test_the_option_for_the_next_run_is_named() -> None:
    fixed = NoPorts(PROXIED, is_alone=False, is_learning=False)
    assert "--open-port 5000-5009" in reason(fixed, "allow", "port", "5000-5009")
    assert "--allow-connect-port 22" in reason(fixed, "allow", "port", "192.0.2.1:22")


def test_no_option_is_named_for_a_port_that_an_open_network_has_already() -> None:
    layer = NoPorts(PROXIED._replace(network=NetworkMode.ALLOWED), is_alone=False, is_learning=False)
    allowed = layer.refusal(Wanted("allow", "port", "5432", Access.READ, None))
    denied = layer.refusal(Wanted("deny", "port", "5432", Access.READ, None))
    assert allowed is not None
    assert allowed.hint is None
    assert denied is not None
    assert "--allow-domain HOST" in str(denied.hint)


def test_a_socket_is_allowed_once() -> None:
    live = LiveSockets(UnixSocketRules())
    assert reason(Sockets(live), "allow", "socket", "/run/a") == ""
    live.put([LiveRule("0", "allow", "socket", "/run/a", Access.READ, "a person", 0, None)])
    assert "is allowed already" in reason(Sockets(live), "allow", "socket", "/run/a")
    assert Sockets(live).refusal(Wanted("allow", "socket", "/run/a", Access.READWRITE, None)) is None
    live.put([LiveRule("0", "deny", "socket", "/run/a", Access.READ, "a person", 0, None)])
    assert "a denial beats every grant" in reason(Sockets(live), "allow", "socket", "/run/a")
    assert reason(Sockets(live), "deny", "socket", "/run/b") == ""


def test_a_denial_that_a_rename_would_evade_is_refused() -> None:
    grants = (SocketGrant("/p", SocketScope.DIR_CHILDREN, True, "user", "/p"),)
    layer = Sockets(LiveSockets(UnixSocketRules(grants)))
    assert "the command may rename /p/a.sock, and --allow-unix-socket-dir-bind /p" in reason(
        layer, "deny", "socket", "/p/a.sock"
    )
    assert reason(layer, "deny", "socket", "/q/a.sock") == ""


def test_sockets_that_nobody_looks_at_are_said_to_be_open() -> None:
    assert "connects to each one already" in reason(NoSockets(), "allow", "socket", "/run/a")
    assert "linux.af_unix_mediation" in reason(NoSockets(), "deny", "socket", "/run/a")
