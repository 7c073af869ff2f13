"""The hosts of network profiles, listed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nono.cli.commands.profile.hosts import hosts
from nono.errors import ConfigError


def printed(name: str | None, capsys: pytest.CaptureFixture[str], *, as_json: bool = False) -> str:
    assert hosts(name, {"HOME": "/nowhere"}, as_json=as_json) == 0
    return capsys.readouterr().out


def test_the_hosts_of_a_network_profile_are_printed_by_group(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed("claude-code", capsys).splitlines()
    assert lines[0].startswith("claude-code: ")
    assert lines.index("  api.anthropic.com") > lines.index("anthropic:")
    assert "  api.openai.com" not in lines


def test_a_profile_stands_for_its_network_profile(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed("rust-dev", capsys) == printed("developer", capsys)


def test_a_group_of_hosts_is_printed_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(printed("anthropic", capsys, as_json=True))["groups"].keys() == {"anthropic"}


def test_without_a_name_every_network_profile_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    listed = json.loads(printed(None, capsys, as_json=True))
    counts = {each["network_profile"]: each["hosts"] for each in listed}
    assert counts["minimal"] < counts["developer"] < counts["enterprise"]


@pytest.mark.parametrize(
    ("name", "told", "hint"),
    [
        ("develloper", "No network profile, profile or group of hosts", "did you mean 'developer'?"),
        ("default", "has no network profile", "nono profile hosts"),
    ],
)
def test_what_has_no_hosts_is_told(name: str, told: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        hosts(name, {"HOME": str(tmp_path)}, as_json=False)
    assert caught.value.hint == hint
