"""Hex, the package manager of Elixir and Erlang, asks the proxy for its registry."""

from __future__ import annotations

import shutil

import pytest

from support.nono_run import nono_run

pytestmark = [
    pytest.mark.any_user,
    pytest.mark.skipif(shutil.which("mix") is None, reason="Elixir is not installed"),
]


@pytest.mark.parametrize(
    ("hosts", "reason"),
    [
        pytest.param(["builds.example"], "no address was found for builds.example", id="granted"),
        pytest.param([], "host builds.example is not in the allowlist", id="not granted"),
    ],
)
def test_mix_is_answered_for_the_host_that_it_names(hosts: list[str], reason: str) -> None:
    """Erlang's client states a length of 0 when it asks for a tunnel, which is no body."""
    with nono_run() as person:
        command = ["env", "HEX_BUILDS_URL=https://builds.example", "mix", "local.hex", "--force"]
        ended = person.run(command, profile={"network": {"allow_domain": hosts}})
    [asked] = {(event["target"], event["reason"]) for event in ended.network if event["mode"] == "connect"}
    assert asked == ("builds.example", reason)
