"""`nono profile` prints what there is, whole, and says of mistakes what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nono.cli.main import main
from nono.policy import builtin
from nono.policy.profile import Profile

ALLOWED = ["a.example", {"domain": "b.example", "endpoints": [{"method": "GET", "path": "/**"}]}]
WIDE = {
    "extends": "go-dev",
    "meta": {"name": "wide", "description": "What a person wrote " * 9, "author": "ada"},
    "security": {"approval_backends": {"web": {"type": "webhook", "url": "https://a.example/ask"}}},
    "groups": {"include": ["git_config"], "exclude": ["dangerous_commands"]},
    "filesystem": {"read": ["/srv/a b", "/srv/c"], "deny": ["/srv/c/d"], "bypass_protection": ["~/.ssh"]},
    "network": {
        "allow_domain": ALLOWED,
        "deny_domain": ["c.example"],
        "connect_port": [5432],
        "open_port_range": [[8000, 8010]],
        "custom_credentials": {"s": {"upstream": "https://s.example", "credential_key": "s_key"}},
    },
    "environment": {"allow_vars": ["LANG"], "set_vars": {"A": "1"}},
    "env_credentials": {"env://B": "C"},
    "allow_gpu": True,
}


@pytest.fixture
def profiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's profile directory, empty."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    directory = tmp_path / "config/nono/profiles"
    directory.mkdir(parents=True)
    return directory


class Asked:
    """The answer of one `nono profile` command."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *argv: str) -> None:
        try:
            self.status = main(["profile", *argv])
        except SystemExit as ended:
            self.status = int(ended.code or 0)
        self.out, self.err = capsys.readouterr()

    @property
    def json(self) -> Any:
        assert (self.status, self.err) == (0, "")
        return json.loads(self.out)


def write(directory: Path, name: str, document: object) -> Path:
    path = directory / f"{name}.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_every_profile_is_listed_with_where_it_is_from(
    profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(profiles, "wide", WIDE)
    write(profiles, "go-dev", {"meta": {"name": "go-dev", "description": "Mine"}, "extends": "default"})
    listed = {each["name"]: each for each in Asked(capsys, "list", "--json").json}
    assert set(builtin.profile_names()) | {"wide"} == set(listed)
    assert listed["default"] == {
        "name": "default",
        "source": "built-in",
        "pack": None,
        "description": "Conservative base that every other profile starts from",
        "extends": [],
    }
    assert listed["wide"]["source"] == "user"
    assert listed["go-dev"]["source"] == "user (overrides built-in)"
    assert listed["go-dev"]["description"] == "Mine"
    assert listed["go-dev"]["extends"] == ["default"]


def test_a_broken_profile_is_listed_with_what_breaks_it(
    profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(profiles, "broken", {"netwrok": {}})
    write(profiles, "under_score", {})
    asked = Asked(capsys, "list", "--json")
    listed = {each["name"]: each for each in asked.json}
    assert "did you mean 'network'?" in listed["broken"].pop("error")
    assert listed["broken"] == {"name": "broken", "source": "user", "pack": None}
    assert "Invalid profile name 'under_score'" in listed["under_score"]["error"]
    text = Asked(capsys, "list")
    assert (text.status, text.err) == (0, "")
    assert "[error: Profile parse error:" in text.out


def test_show_leaves_no_field_out(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(profiles, "wide", WIDE)
    shown = Asked(capsys, "show", "wide", "--json").json
    assert (shown["name"], shown["extends"], shown["author"]) == ("wide", ["go-dev"], "ada")
    for name in ("security", "filesystem", "network", "workdir"):
        fields = type(Profile._field_defaults[name])._fields
        assert set(shown[name]) == set(fields), name
    network = shown["network"]
    assert network["allow_domain"] == ALLOWED
    assert network["deny_domain"] == ["c.example"]
    assert (network["connect_port"], network["open_port_range"]) == ([5432], [[8000, 8010]])
    assert network["network_profile"] == "developer"  # of its base
    assert network["custom_credentials"]["s"]["credential_key"] == "s_key"
    assert shown["environment"]["set_vars"] == {"A": "1"}
    assert shown["env_credentials"] == {"env://B": "C"}
    assert shown["allow_gpu"] is True
    assert shown["workdir"] == {"access": "readwrite"}


def test_show_names_the_groups_that_are_in_force(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(profiles, "wide", WIDE)
    groups = Asked(capsys, "show", "wide", "--json").json["groups"]
    assert {"deny_credentials", "go_runtime", "git_config"} <= set(groups["include"])
    assert "dangerous_commands" not in groups["include"]
    assert groups["exclude"] == ["dangerous_commands"]


def test_what_nothing_is_said_about_is_null_and_an_empty_list_is_not(
    profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(profiles, "closed", {"meta": {"name": "closed"}, "network": {"allow_domain": []}})
    assert Asked(capsys, "show", "closed", "--json").json["network"]["allow_domain"] == []
    assert Asked(capsys, "show", "default", "--json").json["network"]["allow_domain"] is None


def test_raw_is_the_file_without_its_bases(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(profiles, "mine", {"extends": "go-dev", "workdir": {"access": "read"}})
    for reference in ("mine", str(path)):
        shown = Asked(capsys, "show", reference, "--raw").json
        assert shown == {"extends": "go-dev", "workdir": {"access": "read"}}


@pytest.mark.parametrize(
    "argv", [["list"], ["show", "wide"], ["groups"], ["groups", "deny_credentials"]], ids=" ".join
)
def test_text_fits_80_columns(argv: list[str], profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(profiles, "wide", WIDE)
    asked = Asked(capsys, *argv)
    assert (asked.status, asked.err) == (0, "")
    # A word that is longer is not broken: a path is copied whole.
    assert [line for line in asked.out.splitlines() if len(line) > 80 and " " in line.strip()] == []


def test_a_description_cannot_command_the_terminal(
    profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    meta = {"name": "evil", "description": "\x1b[2J\u202egood"}
    write(profiles, "evil", {"meta": meta, "filesystem": {"read": ["/\x1b]0;x"]}})
    write(profiles, "bad", {"\x1b[31m": 1})
    (profiles / "\x1b[7m.json").write_text("{}")
    for argv in (["list"], ["show", "evil"], ["list", "--json"], ["show", "evil", "--json"], ["show", "bad"]):
        asked = Asked(capsys, *argv)
        assert "\x1b" not in asked.out + asked.err
        assert "\u202e" not in asked.out + asked.err


def test_groups_are_those_of_this_platform_unless_all_are_asked_for(
    profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = {each["name"]: each for each in Asked(capsys, "groups", "--json").json}
    everywhere = {each["name"] for each in Asked(capsys, "groups", "--json", "--all-platforms").json}
    assert "codex_macos" not in here
    assert everywhere == set(builtin.groups())
    assert here["deny_credentials"] == {
        "name": "deny_credentials",
        "description": "Keys, tokens and cloud credentials",
        "platform": "cross-platform",
        "required": True,
        "allow": {"read": 0, "write": 0, "readwrite": 0},
        "deny": {"access": 20, "commands": 0, "unlink": False},
    }
    assert here["unlink_protection"]["deny"]["unlink"] is True


def test_a_group_is_shown_as_written_and_as_it_is_here(
    profiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = Asked(capsys, "groups", "deny_credentials", "--json").json
    assert {"raw": "~/.ssh", "expanded": f"{tmp_path}/.ssh"} in detail["deny"]["access"]
    assert f"~/.ssh  ({tmp_path}/.ssh)" in Asked(capsys, "groups", "deny_credentials").out


def test_groups_are_listed_without_a_home_but_not_shown(
    profiles: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("HOME")
    assert Asked(capsys, "groups").status == 0
    shown = Asked(capsys, "groups", "deny_credentials")
    assert (shown.status, "'HOME' validation failed" in shown.err) == (1, True)


@pytest.mark.parametrize(
    ("argv", "status", "said"),
    [
        ([], 2, "the following arguments are required: ACTION"),
        (["lst"], 2, "did you mean 'list'?"),
        (["show"], 2, "the following arguments are required: PROFILE"),
        (["show", "go-deb"], 1, "Profile not found: go-deb\nhint: did you mean 'go-dev'?"),
        (["show", "a_b"], 1, "Invalid profile name 'a_b': must be alphanumeric with hyphens only"),
        (["show", "./none.json"], 1, "Profile read error at ./none.json: profile file not found"),
        (["show", "default", "--jsn"], 2, "unrecognized arguments: --jsn"),
        (["groups", "deny_credential"], 1, "Unknown policy group: 'deny_credential'\nhint: did you mean"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(
    argv: list[str], status: int, said: str, profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked(capsys, *argv)
    assert (asked.status, asked.out) == (status, "")
    assert said in asked.err
