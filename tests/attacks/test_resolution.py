"""H7, H8, H10: a granted name is judged again by every address it leads to, and the judged one is dialled.

The run sees a network, a hosts file and a DNS server of its own, which only root can set up.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import private_mounts
from support.canary import Canary
from support.clients.wire import Answer, Steps, connect, get, play, request
from support.nono_run import Ended, NonoRun
from support.private_network import (
    AZURE_WIRE_ADDRESS,
    METADATA_ADDRESS,
    METADATA_ADDRESS6,
    PRIVATE_ADDRESS,
    can_be_made,
    private_network,
)
from support.servers.dns import Questions, dns_server

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not can_be_made(), reason="a network of one's own, with a port 53, is root's to make"),
]

PLACES = {
    "loopback": "127.0.0.1",
    "private": PRIVATE_ADDRESS,
    "metadata": METADATA_ADDRESS,
    "metadata6": METADATA_ADDRESS6,
    "Azure wire server": AZURE_WIRE_ADDRESS,
}
HOSTS = f"""
127.0.0.1 localhost
{METADATA_ADDRESS} metadata.google.internal metadata.wild.test
{METADATA_ADDRESS6} metadata6.wild.test
{AZURE_WIRE_ADDRESS} azure.wild.test
127.0.0.1 loopback.wild.test
0.0.0.0 zero.wild.test
::ffff:127.0.0.1 mapped.wild.test
{PRIVATE_ADDRESS} private.wild.test
"""
ZONE = {
    "mixed.wild.test": [[PRIVATE_ADDRESS, "127.0.0.1"]],
    "rebind.wild.test": [[PRIVATE_ADDRESS], ["127.0.0.1"]],
    "evil.test": [[PRIVATE_ADDRESS]],
}
LOCAL = ("metadata", "metadata6", "azure", "loopback", "zero", "mapped", "mixed")


@dataclass(frozen=True, slots=True)
class Place:
    """Canaries at one port of every address, and the DNS server that the run asks."""

    canary: Canary
    port: int
    questions: Questions
    stage: list[str]


@pytest.fixture
def place(sandbox: NonoRun, tmp_path: Path) -> Iterator[Place]:
    with _place(sandbox, tmp_path) as prepared:
        yield prepared


@contextmanager
def _place(sandbox: NonoRun, tmp_path: Path) -> Iterator[Place]:
    hosts, resolv_conf = tmp_path / "hosts", tmp_path / "resolv.conf"
    hosts.write_text(HOSTS)
    resolv_conf.write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:1\n")
    with private_network(), Canary() as canary, dns_server(ZONE) as questions:
        port = canary.tcp("loopback", "127.0.0.1")
        for name, address in PLACES.items():
            if name != "loopback":
                canary.tcp(name, address, port)
        canary.start()
        yield Place(
            canary,
            port,
            questions,
            private_mounts.stage({"/etc/hosts": hosts, "/etc/resolv.conf": resolv_conf}),
        )


def ask(
    sandbox: NonoRun, place: Place, hosts: list[str], network: dict[str, object], *, by: str = "CONNECT"
) -> tuple[dict[str, Answer], Ended]:
    scripts: list[Steps] = []
    for host in hosts:
        authority = f"{host}:{place.port}".encode()
        is_connect = by == "CONNECT"
        scripts.append(
            [["send", connect(authority).hex()], ["read_head"]]
            if is_connect
            else request(get(b"http://" + authority + b"/", host=authority))
        )
    answers, run = play(sandbox, scripts, profile={"network": network}, stage=place.stage)
    return dict(zip(hosts, answers, strict=True)), run


@pytest.mark.parametrize("by", ["CONNECT", "absolute form"])
def test_a_granted_name_does_not_lead_to_a_local_or_metadata_address(
    by: str, sandbox: NonoRun, place: Place
) -> None:
    hosts = [f"{name}.wild.test" for name in LOCAL]
    answers, run = ask(sandbox, place, hosts, {"allow_domain": ["*.wild.test"]}, by=by)
    assert {host: answer.status for host, answer in answers.items()} == dict.fromkeys(hosts, 403)
    assert place.canary.seen() == {}
    assert run.denied_targets() == {(host, place.port) for host in hosts}
    assert all(event["reason"].startswith("resolved IP") for event in run.denied)


@pytest.mark.parametrize("deny_private", [False, True], ids=["allowed", "deny_private"])
def test_a_private_address_is_reached_unless_the_profile_denies_it(
    deny_private: bool, sandbox: NonoRun, place: Place
) -> None:
    network: dict[str, object] = {"allow_domain": ["*.wild.test"], "deny_private": deny_private}
    answers, run = ask(sandbox, place, ["private.wild.test"], network)
    assert answers["private.wild.test"].status == (403 if deny_private else 200)
    assert place.canary.seen() == ({} if deny_private else {"private": 1})
    assert len(run.denied) == deny_private


def test_the_address_that_was_judged_is_the_one_that_is_dialled(sandbox: NonoRun, place: Place) -> None:
    """H8: the second answer for the name is loopback. It is judged when it is asked for, and refused."""
    answers, run = ask(sandbox, place, ["rebind.wild.test"], {"allow_domain": ["*.wild.test"]})
    assert answers["rebind.wild.test"].status == 200
    addresses = [name for name, kind in place.questions.asked if name == "rebind.wild.test" and kind == 1]
    assert len(addresses) == 1
    again, second = ask(sandbox, place, ["rebind.wild.test"], {"allow_domain": ["*.wild.test"]})
    assert again["rebind.wild.test"].status == 403
    assert place.canary.seen() == {"private": 1}
    assert (len(run.denied), len(second.denied)) == (0, 1)


def test_no_question_leaves_for_a_name_that_is_not_granted(sandbox: NonoRun, place: Place) -> None:
    hosts = ["evil.test", "leak-of-a-secret.evil.test", "notwild.test", "wild.test", "mixed.wild.test"]
    answers, run = ask(sandbox, place, hosts, {"allow_domain": ["*.wild.test"]})
    assert {answer.status for answer in answers.values()} == {403}
    assert place.questions.names() == {"mixed.wild.test"}  # the control: granted, so it is looked up
    assert place.canary.seen() == {}
    assert {target for target, _ in run.denied_targets()} == set(hosts)


def test_a_name_that_is_granted_by_a_wildcard_of_everything_is_looked_up(
    sandbox: NonoRun, place: Place
) -> None:
    answers, _ = ask(sandbox, place, ["evil.test"], {"allow_domain": ["*"]})
    assert answers["evil.test"].status == 200
    assert place.canary.seen() == {"private": 1}
    assert "evil.test" in place.questions.names()


METADATA = [METADATA_ADDRESS, "metadata.google.internal", f"[{METADATA_ADDRESS6}]", AZURE_WIRE_ADDRESS]


@pytest.mark.parametrize("by", ["CONNECT", "absolute form"])
def test_no_grant_opens_a_metadata_service(by: str, sandbox: NonoRun, place: Place) -> None:
    granted = [*METADATA, PRIVATE_ADDRESS]
    spellings = [*granted, "metadata.google.internal."]
    answers, run = ask(sandbox, place, spellings, {"allow_domain": granted}, by=by)
    statuses = {host: answer.status for host, answer in answers.items()}
    # The control is an address that is granted and not special; its canary says nothing, hence 502.
    assert statuses.pop(PRIVATE_ADDRESS) == (200 if by == "CONNECT" else 502)
    assert statuses == dict.fromkeys([*METADATA, "metadata.google.internal."], 403)
    assert set(place.canary.seen()) == {"private"}
    assert len(run.denied) >= len(statuses)
