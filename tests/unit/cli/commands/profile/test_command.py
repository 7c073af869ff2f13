"""`nono profile` prints what there is, whole, and says of mistakes what they are."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from nono.cli.commands.profile import write as write_module
from nono.cli.main import main
from nono.policy.builtin import shipped
from nono.policy.schema.profile import Profile

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
    """Return the user's profile directory, empty."""
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
    assert set(shipped.profile_names()) | {"wide"} == set(listed)
    assert listed["default"] == {
        "format": 1,
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
    assert listed["broken"] == {"format": 1, "name": "broken", "source": "user", "pack": None}
    assert "Profile not found: 'under_score'" in listed["under_score"]["error"]
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


def test_only_what_is_left_unsaid_is_null(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    assert everywhere == set(shipped.groups())
    assert here["deny_credentials"] == {
        "format": 1,
        "name": "deny_credentials",
        "description": "Keys, tokens and cloud credentials",
        "platform": "cross-platform",
        "required": True,
        "allow": {"read": 0, "write": 0, "readwrite": 0},
        "deny": {"access": 20, "commands": 0, "unlink": False},
    }
    assert here["unlink_protection"]["deny"]["unlink"] is True


def test_a_group_is_shown_with_what_it_comes_to_here(
    profiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detail = Asked(capsys, "groups", "deny_credentials", "--json").json
    assert {"raw": "~/.ssh", "expanded": f"{tmp_path}/.ssh"} in detail["deny"]["access"]
    shown = Asked(capsys, "groups", "deny_credentials").out.split()
    assert shown[shown.index("~/.ssh") + 1] == f"({tmp_path}/.ssh)"


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
        ([], 2, "ACTION is missing."),
        (["lst"], 2, "did you mean 'list'?"),
        (["show"], 2, "PROFILE is missing."),
        (["show", "go-deb"], 1, "Profile not found: go-deb\nhint: did you mean 'go-dev'?"),
        (["show", "a_b"], 1, "Profile not found: 'a_b': a name has letters, digits and hyphens"),
        (["show", "./none.json"], 1, "Profile read error at ./none.json: profile file not found"),
        (["show", "default", "--jsn"], 2, "no such option: --jsn"),
        (["groups", "deny_credential"], 1, "Unknown policy group: 'deny_credential'\nhint: did you mean"),
        (["groups", "developer"], 1, "Unknown policy group: 'developer'\nhint: nono profile hosts developer"),
        (["groups", "llm_apis"], 1, "Unknown policy group: 'llm_apis'\nhint: nono profile hosts llm_apis"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(
    argv: list[str], status: int, said: str, profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked(capsys, *argv)
    assert (asked.status, asked.out) == (status, "")
    assert said in asked.err


def test_diff_tells_additions_from_removals(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    compared = Asked(capsys, "diff", "go-dev", "python-dev", "--json").json
    assert compared["groups"] == {
        "added": ["python_runtime"],
        "removed": ["go_runtime", "go_runtime_linux", "go_runtime_macos"],
    }
    assert compared["security"]["ipc_mode"] == {"from": "shared_memory_only", "to": "full", "changed": True}
    assert compared["capability_elevation"] == {"from": False, "to": False, "changed": False}
    assert compared["filesystem"]["read"] == {"added": [], "removed": []}
    text = Asked(capsys, "diff", "go-dev", "python-dev")
    assert text.out.splitlines()[:3] == ["groups:", "  - go_runtime", "  - go_runtime_linux"]
    assert "  + python_runtime\n" in text.out
    assert "security.ipc_mode: shared_memory_only -> full\n" in text.out


def test_diff_looks_at_every_field(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(profiles, "wide", WIDE)
    compared = Asked(capsys, "diff", "default", "wide", "--json").json
    assert {*Profile._fields} - {"meta"} <= compared.keys()
    assert compared["environment"]["set_vars"]["added"] == {"A": "1"}
    assert compared["network"]["custom_credentials"]["added"].keys() == {"s"}
    assert compared["network"]["allow_domain"] == {"from": None, "to": ALLOWED, "changed": True}
    back = Asked(capsys, "diff", "wide", "default").out
    assert "environment.set_vars:\n  - A: 1\n" in back
    assert "filesystem.read:\n  - /srv/a b\n  - /srv/c\n" in back
    assert [line for line in back.splitlines() if len(line) > 80 and " " in line.strip()] == []


def test_a_profile_does_not_differ_from_itself(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(profiles, "ab", {"filesystem": {"read": ["/a", "/b"]}, "environment": {"set_vars": {"A": "1"}}})
    assert Asked(capsys, "diff", "ab", "ab").out == "Nothing differs.\n"


def test_diff_names_another_order(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(profiles, "ab", {"filesystem": {"read": ["/a", "/b"]}, "environment": {"set_vars": {"A": "1"}}})
    write(profiles, "ba", {"filesystem": {"read": ["/b", "/a"]}, "environment": {"set_vars": {"A": "+2"}}})
    lines = Asked(capsys, "diff", "ab", "ba").out.splitlines()
    assert lines == ["filesystem.read: the same in another order", "environment.set_vars.A: 1 -> +2"]


def test_init_writes_a_valid_profile_that_grants_nothing_more(
    profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made_of = ("--extends", "go-dev", "--groups", "rust_runtime,user_caches_linux")
    made = Asked(capsys, "init", "mine", *made_of)
    assert (made.status, made.out) == (0, "")
    assert made.err.splitlines()[:2] == [
        f"Created {profiles}/mine.json",
        "Validate with: nono profile validate mine",
    ]
    assert Asked(capsys, "-s", "init", "mine", "--force", "--extends", "go-dev").err == ""
    assert Asked(capsys, "init", "mine", "--force", *made_of).status == 0
    document = json.loads((profiles / "mine.json").read_text())
    assert list(document) == ["extends", "meta", "groups", "workdir", "filesystem"]
    compared = Asked(capsys, "diff", "go-dev", "mine").out
    assert compared == "groups:\n  + rust_runtime\n  + user_caches_linux\n"


@pytest.mark.parametrize("extends", [(), ("--extends", "go-dev")], ids=["alone", "extending"])
def test_a_full_one_changes_nothing_either(
    extends: tuple[str, ...], profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Asked(capsys, "init", "all", "--full", *extends).status == 0
    base = extends[-1] if extends else "default"
    differs = Asked(capsys, "diff", base, "all").out
    assert differs == ("Nothing differs.\n" if extends else "workdir.access: none -> readwrite\n")


def test_init_overwrites_only_by_force(
    profiles: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = write(profiles, "mine", {"workdir": {"access": "read"}})
    asked = Asked(capsys, "init", "mine")
    assert asked.status == 1
    assert asked.err == f"nono: Profile file already exists: {kept}\nhint: Use --force to overwrite\n"
    assert json.loads(kept.read_text()) == {"workdir": {"access": "read"}}
    kept.rename(profiles / "mine.jsonc")
    assert Asked(capsys, "init", "mine").status == 1
    assert Asked(capsys, "init", "mine", "--force").status == 0
    assert sorted(profiles.iterdir()) == [profiles / "mine.jsonc"]  # the one that is read
    elsewhere = tmp_path / "new/deep/p.json"
    assert Asked(capsys, "init", "mine", "-o", str(elsewhere)).status == 0
    assert json.loads(elsewhere.read_text())["meta"] == {"name": "mine"}
    link = tmp_path / "link.json"
    link.symlink_to(kept.with_suffix(".jsonc"))  # left by a command of an earlier run
    assert Asked(capsys, "init", "mine", "-o", str(link), "--force").status == 0
    assert not link.is_symlink()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["go-dev"], "Try: nono profile init go-dev-local --extends go-dev"),
        (["ns/pack@1"], "Try: nono profile init pack-local"),
        (["a_b"], "Invalid profile name 'a_b': must be alphanumeric with hyphens only\n"),
        (["x", "--extends", "a_b"], "Profile not found: 'a_b': a name has letters"),
        (["x", "--extends", "go-de"], "Profile not found: go-de\nhint: did you mean 'go-dev'?"),
        (["x", "--groups", "git_confg"], "Unknown security group 'git_confg'. Use `nono profile groups`"),
        (["x", "-o", "/dev/null/d/x.json"], "Failed to write config to /dev/null/d/x.json: Not a directory"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_init_refuses_what_would_be_no_profile(
    argv: list[str], said: str, profiles: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = Asked(capsys, "init", *argv)
    assert (asked.status, asked.out) == (1, "")
    assert said in asked.err
    assert list(profiles.iterdir()) == []


class Drafts:
    """A draft of the profile 'mine'."""

    def __init__(self, profiles: Path) -> None:
        self.directory = profiles.parent / "profile-drafts"
        self.directory.mkdir()
        self.target = profiles / "mine.json"

    def draft(self, document: object, based_on: Path | None = None) -> Path:
        if based_on is not None:
            digest = sha256(based_on.read_bytes()).hexdigest()
            (self.directory / "mine.base").write_text(digest + "\n")
        return write(self.directory, "mine", document)


@pytest.fixture
def drafts(profiles: Path) -> Drafts:
    return Drafts(profiles)


DRAFT = {"meta": {"name": "mine"}, "filesystem": {"read": ["/srv/new"]}}


def test_a_draft_is_promoted_when_somebody_agrees(drafts: Drafts, capsys: pytest.CaptureFixture[str]) -> None:
    draft = drafts.draft(DRAFT)
    looked = Asked(capsys, "promote", "mine", "--diff")
    assert looked.status == 0
    assert looked.out == "mine, compared with default:\nfilesystem.read:\n  + /srv/new\n"
    assert not drafts.target.exists()
    asked = Asked(capsys, "promote", "mine")  # stdin is no terminal
    assert (asked.status, asked.err.count("--yes")) == (1, 1)
    assert draft.exists()
    assert Asked(capsys, "promote", "mine", "--yes").status == 0
    assert json.loads(drafts.target.read_text()) == DRAFT
    assert list(drafts.directory.iterdir()) == []
    assert list(drafts.target.parent.iterdir()) == [drafts.target]


def test_a_draft_replaces_only_the_profile_it_was_made_from(
    drafts: Drafts, capsys: pytest.CaptureFixture[str]
) -> None:
    old = write(drafts.target.parent, "mine", {"meta": {"name": "mine"}})
    drafts.draft(DRAFT)
    for how in ("--diff", "--yes"):
        assert "has changed since its draft was made" in Asked(capsys, "promote", "mine", how).err
    drafts.draft(DRAFT, based_on=old)
    old.write_text(old.read_text() + " ")
    assert Asked(capsys, "promote", "mine", "--yes").status == 1
    assert json.loads(old.read_text()) == {"meta": {"name": "mine"}}
    drafts.draft(DRAFT, based_on=old)
    promoted = Asked(capsys, "promote", "mine", "--yes")
    assert (promoted.status, promoted.out.splitlines()[0]) == (0, "Changes to mine:")
    assert json.loads(old.read_text()) == DRAFT


def test_a_profile_that_changes_while_a_person_is_asked_is_not_replaced(
    drafts: Drafts, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(drafts.target.parent, "mine", {"meta": {"name": "mine"}})
    draft = drafts.draft(DRAFT, based_on=old)

    def agrees_late() -> bool:
        old.write_text("{}")
        return True

    monkeypatch.setattr(write_module, "_confirmed", agrees_late)
    assert "has changed since its draft was made" in Asked(capsys, "promote", "mine").err
    assert (old.read_text(), draft.exists()) == ("{}", True)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({**DRAFT, "meta": {"name": "other"}}, "its meta.name is 'other', not 'mine'"),
        ({**DRAFT, "groups": {"include": ["nonesuch"]}}, "Unknown policy group: 'nonesuch'"),
        ({**DRAFT, "groups": {"exclude": ["deny_credentials"]}}, "Cannot exclude required groups"),
        ({**DRAFT, "filesystm": {}}, "filesystm: no such field"),
        ("{", "profile-drafts/mine.json"),
    ],
    ids=["another name", "unknown group", "required group", "unknown field", "no JSON"],
)
def test_a_draft_that_is_no_profile_is_not_promoted(
    document: object, said: str, drafts: Drafts, capsys: pytest.CaptureFixture[str]
) -> None:
    draft = drafts.draft(document)
    asked = Asked(capsys, "promote", "mine", "--yes")
    assert (asked.status, said in asked.err) == (1, True)
    assert draft.exists()
    assert list(drafts.target.parent.iterdir()) == []


def test_a_draft_hides_no_built_in_profile(drafts: Drafts, capsys: pytest.CaptureFixture[str]) -> None:
    write(drafts.directory, "go-dev", {"meta": {"name": "go-dev"}})
    assert "'go-dev' is a built-in profile" in Asked(capsys, "promote", "go-dev", "--yes").err


def test_only_a_file_is_promoted(drafts: Drafts, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no draft" in Asked(capsys, "promote", "mine", "--yes").err
    os.mkfifo(drafts.directory / "mine.json")
    assert "not a regular file" in Asked(capsys, "promote", "mine", "--yes").err


def test_several_profiles_are_checked_one_by_one(profiles: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a hook of pre-commit hands them over."""
    (profiles / "good.json").write_text("{}")
    (profiles / "bad.json").write_text('{"netwrok": {}}')
    both = Asked(capsys, "validate", "good", "bad")
    assert (both.status, both.err) == (1, "nono: validation failed\n")
    assert both.out.startswith("good:\n")
    assert "\nbad:\n" in both.out
    assert Asked(capsys, "validate", "good", "go-dev").status == 0
    assert Asked(capsys, "validate", "--json", "good", "bad").status == 2
