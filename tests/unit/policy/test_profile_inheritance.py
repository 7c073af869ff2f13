"""Bases, conditions, overrides and replacements of profile files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nono.errors import ProfileError
from nono.policy.document.check import validated
from nono.policy.document.when import Host, holds
from nono.policy.files.active_groups import group_names
from nono.policy.profile.files import find, user_directory
from nono.policy.profile.store import load_profile

UBUNTU = Host(id="ubuntu", id_like=("debian",), version="24.04", variant="server")
ROLLING = Host(id="arch")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".config/nono/profiles").mkdir(parents=True)
    return {"HOME": str(tmp_path)}


def write(environ: dict[str, str], **files: Any) -> None:
    for name, document in files.items():
        Path(environ["HOME"], ".config/nono/profiles", f"{name}.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("linux", True),
        ("!linux", False),
        ("macos", False),
        ("!macos", True),
        ("plan9", False),
        ("!plan9", True),
        ("linux:ubuntu", True),
        ("linux:debian", False),
        ("linux:debian-like", True),
        ("linux:ubuntu-like", True),
        ("linux:fedora-like", False),
        ("linux:ubuntu:24.04", True),
        ("linux:ubuntu:24", True),
        ("linux:ubuntu:22.04", False),
        ("linux:ubuntu:>=22.04", True),
        ("linux:ubuntu:>=24.10", False),
        ("linux:ubuntu:<24.10", True),
        ("linux:ubuntu:<24.04", False),
        ("linux:ubuntu:<=24.04", True),
        ("linux:ubuntu:>24", False),
        ("linux:ubuntu:==24.04:server", True),
        ("linux:ubuntu:24.04:desktop", False),
        ("!linux:ubuntu:24.04:desktop", True),
        ("macos:>=14", False),
        ("windows:10:19045", False),
    ],
)
def test_a_predicate_is_about_this_host(predicate: str, expected: bool) -> None:
    assert holds(predicate, UBUNTU) is expected


def test_a_release_without_a_version_has_none_to_compare() -> None:
    assert not holds("linux:arch:>=1", ROLLING)
    assert holds("linux:arch", ROLLING)


@pytest.mark.parametrize(
    "predicate",
    [
        "",
        "!",
        "linux:",
        "linux::24.04",
        "linux:a:1:b:c",
        "macos:1:2",
        "linux:ubuntu:~24",
        "linux:ubuntu:=>1",
        "x:",
    ],
)
def test_what_is_no_predicate_is_refused(predicate: str) -> None:
    with pytest.raises(ValueError, match=r"segment|version"):
        holds(predicate, UBUNTU)


def merged(environ: dict[str, str], host: Host = UBUNTU, **files: Any) -> dict[str, Any]:
    write(environ, **files)
    document: dict[str, Any] = validated(find("mine", environ), host)["document"]
    return document


CONDITIONAL = {
    "filesystem": {
        "read": [
            "/a",
            {"path": "/u", "when": "linux:ubuntu"},
            {"path": "/f", "when": ["linux:fedora", "macos"]},
        ],
        "deny": [{"path": "/d", "when": ["macos", "linux"]}],
    },
    "groups": {"exclude": [{"name": "user_tools", "when": "!linux:ubuntu"}]},
    "env_credentials": {"a": {"env_var": "A", "when": "macos"}, "b": {"env_var": "B", "when": "linux"}},
    "open_urls": {"allow_origins": [{"origin": "https://a.example", "when": "linux:ubuntu"}]},
}


def test_an_entry_counts_where_its_condition_holds(environ: dict[str, str]) -> None:
    there = merged(environ, mine=CONDITIONAL)
    assert there["filesystem"] == {"read": ["/a", "/u"], "deny": ["/d"]}
    assert there["groups"] == {"exclude": []}
    assert there["env_credentials"] == {"b": {"env_var": "B"}}
    assert there["open_urls"] == {"allow_origins": ["https://a.example"]}
    elsewhere = merged(environ, ROLLING)
    assert elsewhere["filesystem"] == {"read": ["/a"], "deny": ["/d"]}
    assert elsewhere["groups"] == {"exclude": ["user_tools"]}


def test_a_mistake_behind_conditions_is_shown_where_it_stands(environ: dict[str, str]) -> None:
    entries = [{"path": "/a", "when": "macos"}, "", {"path": "/b", "when": "linux:"}]
    with pytest.raises(ProfileError) as error:
        merged(environ, mine={"filesystem": {"read": entries}})
    first, second = error.value.message.splitlines()
    assert "filesystem.read.1: '' is not a path" in first
    assert "filesystem.read.2.when: invalid when predicate 'linux:': it has an empty segment" in second


def test_the_override_of_this_platform_is_laid_over_everything_else(environ: dict[str, str]) -> None:
    found = merged(
        environ,
        base={"platform_overrides": {"linux": {"workdir": {"access": "write"}, "skipdirs": ["b"]}}},
        mine={
            "extends": "base",
            "workdir": {"access": "read"},
            "platform_overrides": {"linux": {"skipdirs": ["m"]}, "macos": {"workdir": {"access": "none"}}},
        },
    )
    assert found["workdir"] == {"access": "write"}
    assert found["skipdirs"] == ["b", "m"]
    assert "platform_overrides" not in found


def test_a_mistake_in_the_override_of_another_platform_is_one(environ: dict[str, str]) -> None:
    with pytest.raises(ProfileError, match=r"platform_overrides\.macos\.workdir\.access: expected"):
        merged(environ, mine={"platform_overrides": {"macos": {"workdir": {"access": "rw"}}}})
    with pytest.raises(ProfileError, match=r"platform_overrides\.linux\.extends: no such field"):
        merged(environ, mine={"platform_overrides": {"linux": {"extends": "default"}}})


BASE = {
    "filesystem": {"allow": ["/a"], "deny": ["/d"]},
    "workdir": {"access": "readwrite"},
    "environment": {"allow_vars": ["A*"], "deny_vars": ["B"]},
    "network": {"allow_domain": ["a.example"], "deny_domain": ["b.example"]},
}


def test_a_profile_narrows_only_what_it_replaces(environ: dict[str, str]) -> None:
    replaced = ["filesystem.allow", "workdir.access", "environment.allow_vars", "network.allow_domain"]
    narrow = {"extends": "base", "replace": replaced, "filesystem": {"allow": ["/b"]}}
    found = merged(environ, base=BASE, mine=narrow)
    assert found["filesystem"] == {"allow": ["/b"], "deny": ["/d"]}
    assert found["environment"] == {"allow_vars": [], "deny_vars": ["B"]}
    assert found["network"] == {"allow_domain": [], "deny_domain": ["b.example"]}
    profile = load_profile("mine", environ)
    assert profile.workdir.access == "none"
    assert profile.environment.allow_vars == ()
    wide = merged(environ, mine={**narrow, "replace": []})
    assert wide["filesystem"]["allow"] == ["/a", "/b"]


def test_a_file_that_allows_a_host_twice_allows_the_paths_it_names(environ: dict[str, str]) -> None:
    limited = {"domain": "x.example", "endpoints": [{"method": "GET", "path": "/a"}]}
    found = merged(environ, mine={"network": {"allow_domain": ["X.example", limited]}})
    assert found["network"]["allow_domain"] == [{**limited, "domain": "X.example"}]


def test_replacing_concerns_a_profiles_own_bases_only(environ: dict[str, str]) -> None:
    found = merged(
        environ,
        one={"filesystem": {"allow": ["/one"]}},
        two={"extends": "base", "replace": ["filesystem.allow"], "filesystem": {"allow": ["/two"]}},
        base=BASE,
        mine={"extends": ["one", "two"]},
    )
    assert found["filesystem"]["allow"] == ["/one", "/two"]


@pytest.mark.parametrize(
    "field", ["filesystem.deny", "groups.exclude", "network.block", "security", "extends"]
)
def test_a_denial_cannot_be_replaced(environ: dict[str, str], field: str) -> None:
    with pytest.raises(
        ProfileError, match=r"replace: '.*' is not a field whose inherited value can be replaced"
    ):
        merged(environ, mine={"extends": "default", "replace": field})


def test_old_names_are_drained_behind_todays(environ: dict[str, str]) -> None:
    old = {
        "security": {"groups": ["nix_runtime"], "allowed_commands": ["rm"]},
        "groups": {"include": ["git_config"]},
        "policy": {
            "exclude_groups": ["user_tools"],
            "add_allow_read": ["/r"],
            "add_allow_write": ["/w"],
            "add_allow_readwrite": ["/rw"],
            "add_deny_access": ["/d"],
            "add_deny_commands": ["git"],
            "override_deny": ["/o"],
        },
        "filesystem": {"read": ["/first"], "ignore": ["/i"]},
        "undo": {"exclude_globs": ["*.o"]},
        "brokered_commands": ["-v"],
    }
    write(environ, mine=old)
    entry = validated(find("mine", environ), UBUNTU)
    assert entry["document"]["groups"] == {
        "include": ["git_config", "nix_runtime"],
        "exclude": ["user_tools"],
    }
    assert entry["document"]["commands"] == {"allow": ["rm"], "deny": ["git"]}
    assert entry["document"]["filesystem"] == {
        "read": ["/first", "/r"],
        "suppress_save_prompt": ["/i"],
        "write": ["/w"],
        "allow": ["/rw"],
        "deny": ["/d"],
        "bypass_protection": ["/o"],
    }
    assert entry["document"]["rollback"] == {"exclude_globs": ["*.o"]}
    assert entry["document"]["command_args"] == ["-v"]
    assert len(entry["warnings"]) == 9  # the aliases are silent


def test_a_mistake_below_an_old_name_is_told_at_its_own_place(environ: dict[str, str]) -> None:
    write(environ, mine={"policy": {"add_allow_read": ["/r", ""]}, "filesystem": {"read": ["/first"]}})
    with pytest.raises(ProfileError, match=r"policy\.add_allow_read\.1: '' is not a path"):
        validated(find("mine", environ), UBUNTU)


def test_a_profile_named_default_has_the_groups_that_deny(environ: dict[str, str]) -> None:
    write(environ, default={"meta": {"name": "default"}}, mine={"extends": "default"})
    for name in ("default", "mine"):
        profile = load_profile(name, environ)
        assert profile.groups.include == ()
        assert "deny_credentials" in group_names(profile)


def test_a_profile_extends_the_shipped_one_that_it_hides(environ: dict[str, str]) -> None:
    write(environ, **{"go-dev": {"extends": "go-dev", "workdir": {"access": "read"}}})
    profile = load_profile("go-dev", environ)
    assert profile.workdir.access == "read"
    assert "go_runtime" in profile.groups.include


def test_what_nono_ships_extends_what_nono_ships(environ: dict[str, str]) -> None:
    write(environ, default={"filesystem": {"allow": ["/"]}})
    assert load_profile("go-dev", environ).filesystem.allow == ()


def test_a_base_profile_is_looked_for_beside_the_file_first(environ: dict[str, str], tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "sub").mkdir(parents=True)
    (project / "base.jsonc").write_text('{"binary": "beside",}')
    (project / "sub/far.json").write_text('{"extends": "../base.jsonc", "skipdirs": ["far"]}')
    (project / "near.json").write_text('{"extends": "base"}')
    write(environ, base={"binary": "user's"}, near={"extends": "base"})
    assert load_profile(str(project / "near.json"), environ).binary == "beside"
    assert load_profile("near", environ).binary == "user's"
    assert load_profile(str(project / "sub/far.json"), environ).binary == "beside"


@pytest.mark.parametrize(("own", "label"), [({}, "the profile"), ({"meta": {"name": "b"}}, "profile b")])
def test_what_a_profile_says_is_not_told_as_its_bases(
    environ: dict[str, str], own: dict[str, Any], label: str
) -> None:
    """Of the denials of a profile without meta it was said that the shipped one denies them."""
    write(environ, mine={"extends": "claude-code", **own})
    profile = load_profile("mine", environ)
    assert profile.label == label
    assert profile.meta.description is None
    assert load_profile("claude-code", environ).meta.description == "Claude Code"


def test_a_circle_through_paths_is_one(environ: dict[str, str]) -> None:
    write(environ, a={"extends": "./b.json"}, b={"extends": "../profiles/a.json"})
    with pytest.raises(ProfileError, match=r"circular dependency detected: a -> \./b\.json -> "):
        load_profile("a", environ)


def test_many_ways_to_the_same_bases_take_no_longer_than_one(environ: dict[str, str]) -> None:
    write(environ, a0={}, b0={})
    for level in range(1, 10):
        both = [f"a{level - 1}", f"b{level - 1}"] * 20
        write(environ, **{f"a{level}": {"extends": both}, f"b{level}": {"extends": both}})
    load_profile("a9", environ)


def test_of_several_profiles_all_grants_hold(environ: dict[str, str]) -> None:
    write(environ, mine={"filesystem": {"read": ["/srv/mine"]}})
    profile = load_profile("claude-code,rust-dev,mine", environ)
    assert {"claude_code_linux", "rust_runtime"} <= set(profile.groups.include)
    assert "/srv/mine" in profile.filesystem.read


@pytest.mark.parametrize(
    ("reference", "decides"), [("claude-code,rust-dev", "claude-code"), ("rust-dev,claude-code", "developer")]
)
def test_of_several_profiles_the_first_decides(environ: dict[str, str], reference: str, decides: str) -> None:
    assert load_profile(reference, environ).network.network_profile == decides


@pytest.mark.parametrize(
    ("reference", "told"),
    [
        ("rust-dev,", "names no profile beside a comma"),
        ("rust-dev,,go-dev", "names no profile beside a comma"),
        ("rust-dev,go-dve", "Profile not found: go-dve"),
        ("rust-dev,./go.json", "profile file not found"),
    ],
)
def test_of_several_profiles_each_must_be_there(environ: dict[str, str], reference: str, told: str) -> None:
    with pytest.raises(ProfileError, match=told):
        load_profile(reference, environ)


def test_a_file_may_have_a_comma_in_its_name(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "a,b.json").write_text('{"meta": {"name": "one"}}')
    assert load_profile(str(tmp_path / "a,b.json"), environ).meta.name == "one"


def test_a_profile_that_is_a_link_to_nothing_is_told_as_one(environ: dict[str, str]) -> None:
    write(environ, real={})
    directory = Path(user_directory(environ))
    (directory / "gone.json").symlink_to("nowhere")
    (directory / "circle.json").symlink_to("circle.json")
    (directory / "good.json").symlink_to("real.json")
    for name in ("gone", "circle"):
        with pytest.raises(ProfileError, match=f"Profile not found: {name}") as error:
            load_profile(name, environ)
        assert error.value.hint == f"{directory} has a link of that name that leads to no file"
    assert load_profile("good", environ)
    with pytest.raises(ProfileError) as error:
        load_profile("goof", environ)
    assert error.value.hint == "did you mean 'good'?"
