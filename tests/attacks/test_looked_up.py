"""D1: look-ups by the command, and the addresses that they give, lead to nothing but the proxy.

The run sees a network, a resolv.conf and a DNS server of its own, which only root can set up.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from support import private_mounts
from support.nono_run import NonoRun, program
from support.private_network import PRIVATE_ADDRESS, can_be_made, private_network
from support.running.needs import has_datagrams
from support.servers.dns import dns_server
from support.servers.http1 import upstream

pytestmark = [
    pytest.mark.needs("listener"),
    pytest.mark.root,
    pytest.mark.skipif(not can_be_made(), reason="a network of one's own, with a port 53, is root's to make"),
]
GRANTED, REFUSED = "granted.test", "refused.test"


# Where nothing is trapped, the kernel refuses what nobody listens for, and nothing is recorded.
WAYS: dict[str, tuple[list[str], dict[str, str], set[tuple[str, int | None]]]] = {
    "notify": (
        [],
        {"no host's": "EACCES", "another port": "ECONNRESET"},
        {("198.19.255.254", 443), (GRANTED, 444)},
    ),
    "netns": (
        ["--sandbox-policy=netns"],
        {"no host's": "ECONNREFUSED", "another port": "ECONNREFUSED"},
        set(),
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_no_question_leaves_and_no_address_leads_past_the_rules(
    way: str, sandbox: NonoRun, tmp_path: Path
) -> None:
    flags, refusals, recorded = WAYS[way]
    if way == "notify" and not has_datagrams(sandbox.user.uid):
        pytest.skip("no network of its own here")
    files = {"hosts": "127.0.0.1 localhost\n", "resolv.conf": f"nameserver {PRIVATE_ADDRESS}\n"}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    stage = private_mounts.stage({f"/etc/{name}": tmp_path / name for name in files})
    zone = {name: [[PRIVATE_ADDRESS]] for name in (GRANTED, REFUSED)}
    with (
        private_network(),
        dns_server(zone, PRIVATE_ADDRESS) as questions,
        upstream(address=(PRIVATE_ADDRESS, 443)) as reached,
        upstream(address=(PRIVATE_ADDRESS, 444)) as beside,
    ):
        command = program("sending.looked_up", PRIVATE_ADDRESS, GRANTED, REFUSED)
        network = {"allow_domain": [f"{GRANTED}:443"]}
        run = sandbox.run(command, profile={"network": network}, flags=flags, stage=stage)
        outcomes = run.outcomes()
        assert (reached.requests, beside.connections) == ([], [])
    assert questions.names() <= {GRANTED}
    assert outcomes["address"] == outcomes["again"] == "198.18.0.1"
    assert set(outcomes["others"].values()) == {None}
    assert (outcomes["refused"], outcomes["flood"]) == (None, True)
    assert outcomes["takes its port"] in ("EADDRINUSE", "EACCES")  # below 1024 it is not for everybody
    assert {name: outcomes[name] for name in refusals} == refusals
    assert outcomes["next address"] == outcomes["no host's"]
    assert outcomes["another port"] == outcomes["the proxy's port"]
    assert outcomes["no TLS"] == "ok"  # an alert
    denied = {(event["target"], event["port"]) for event in run.denied}
    assert recorded | {(REFUSED, None), (GRANTED, 443)} <= denied
