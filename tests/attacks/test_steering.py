"""K23: no socket option has a packet leave for anybody but the address that was judged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from support import watched_network
from support.modes import BUSY, HAS_TCP_RULES
from support.nono_run import NonoRun, program
from support.ports import unused_port

# Each with the level and number that the audit log has for it.
REFUSED = {
    "SO_BINDTODEVICE": (1, 25),
    "SO_BINDTODEVICE, IPv6": (1, 25),
    "SO_BINDTODEVICE when connected": (1, 25),
    "SO_BINDTOIFINDEX": (1, 62),
    "IP_OPTIONS": (0, 4),
    "IP_UNICAST_IF": (0, 50),
    "IPV6_UNICAST_IF": (41, 76),
    "IPV6_PKTINFO": (41, 50),
    "IPV6_RTHDR": (41, 57),
    "IPV6_2292PKTOPTIONS": (41, 6),
    "IPV6_HOPOPTS": (41, 54),
    "IPV6_RTHDRDSTOPTS": (41, 55),
    "IPV6_DSTOPTS": (41, 59),
    "IPV6_FLOWLABEL_MGR": (41, 32),
    "IPV6_FREEBIND": (41, 78),
    "IP_FREEBIND, IPv6": (0, 15),
    "IP_ADD_MEMBERSHIP": (0, 35),
    "IP_ADD_SOURCE_MEMBERSHIP": (0, 39),
    "MCAST_JOIN_GROUP": (0, 42),
    "MCAST_JOIN_SOURCE_GROUP": (0, 46),
    "IPV6_ADD_MEMBERSHIP": (41, 20),
    "MCAST_JOIN_GROUP, IPv6": (41, 42),
    "TCP_FASTOPEN_CONNECT": (6, 30),
    "TCP_FASTOPEN_NO_COOKIE": (6, 34),
    "TCP_ULP": (6, 31),
}
HARMLESS = (
    *("SO_REUSEADDR", "SO_REUSEPORT", "SO_KEEPALIVE", "SO_LINGER", "SO_PRIORITY", "SO_SNDTIMEO"),
    *("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_USER_TIMEOUT", "TCP_FASTOPEN", "TCP_DEFER_ACCEPT"),
    *("IP_TOS", "IPV6_TCLASS", "IPV6_V6ONLY", "ancillary data"),
)
# What leaves without nono, an ordinary user's command included, on every kernel from 5.10 on.
LEAVES = {
    "SO_BINDTODEVICE": "tcp",
    "SO_BINDTODEVICE, IPv6": "tcp",
    "SO_BINDTOIFINDEX": "tcp",
    "IPV6_RTHDR": "tcp",
    "IPV6_FREEBIND": "tcp",
    "IP_FREEBIND, IPv6": "tcp",
    "IP_ADD_SOURCE_MEMBERSHIP": "multicast",
    "MCAST_JOIN_GROUP": "multicast",
    "MCAST_JOIN_SOURCE_GROUP": "multicast",
    "MCAST_JOIN_GROUP, IPv6": "multicast",
}
# Of a proxy-only run each rung, and ports without a proxy.
RUNS = {
    "notify": ((), ()),
    "netns": (("--sandbox-policy=netns",), ()),
    "ports": (("--block-net",), ()),
    **({"landlock": ((), BUSY.command([]))} if HAS_TCP_RULES else {}),
}


@pytest.fixture(scope="module", autouse=True)
def can_watch() -> None:
    if not watched_network.available():
        pytest.skip("no network can be made here to be watched: ip(8), veth")


def stage(file: Path) -> Sequence[str]:
    return (*watched_network.STAGE, str(file))


@pytest.mark.parametrize(
    "name",
    [pytest.param(each, marks=pytest.mark.needs("listener") if each == "notify" else ()) for each in RUNS],
)
def test_no_socket_option_sends_a_packet_elsewhere(name: str, sandbox: NonoRun, tmp_path: Path) -> None:
    flags, wrapper = RUNS[name]
    port, bound = unused_port(), unused_port()
    seen = tmp_path / "seen"
    run = sandbox.run(
        program("sockets.steering", port, bound),
        profile={} if name == "ports" else {"network": {"allow_domain": []}},
        flags=[*flags, f"--open-port={port}", f"--listen-port={bound}"],
        environment={"HTTP_PROXY": f"http://127.0.0.1:{port}"},  # where nono makes no proxy
        wrapper=wrapper,
        stage=stage(seen),
    )
    outcomes = run.outcomes()
    assert json.loads(seen.read_text()) == {}
    assert {each: outcomes[each] for each in REFUSED} == dict.fromkeys(REFUSED, "EPERM")
    assert {each: outcomes[each] for each in HARMLESS} == dict.fromkeys(HARMLESS, "ok")
    if name == "notify":
        targets = {f"setsockopt(level={level}, option={option})" for level, option in REFUSED.values()}
        reasons = {event["target"]: event["reason"] for event in run.denied}
        expected = "the option could send packets elsewhere than to the address that was judged"
        assert {target: reasons.get(target) for target in targets} == dict.fromkeys(targets, expected)


@pytest.mark.parametrize("name", LEAVES)
def test_the_socket_option_sends_a_packet_elsewhere_without_nono(
    name: str, sandbox: NonoRun, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    proxy = {"HTTP_PROXY": f"http://127.0.0.1:{unused_port()}"}
    command = program("sockets.steering", unused_port(), unused_port(), name)
    assert sandbox.bare(command, environment=proxy, stage=stage(seen)).outcomes() == {name: "ok"}
    assert json.loads(seen.read_text())[LEAVES[name]] >= 1
