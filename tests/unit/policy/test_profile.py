"""Profiles: what is accepted, where they are found, what inheritance makes of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from nono.errors import ProfileError
from nono.policy.merge import merge
from nono.policy.profile import Profile
from nono.policy.profile_schema import NOT_YET, validate
from nono.policy.profile_store import load_profile


def mistakes(document: object) -> str:
    with pytest.raises(ProfileError) as error:
        validate(document, "p.json")
    return error.value.message


FULL: dict[str, Any] = {
    "$schema": "x",
    "extends": "default",
    "meta": {"name": "web", "version": "1.0.0", "description": "d", "author": "a"},
    "security": {
        "signal_mode": "allow_all",
        "process_info_mode": "isolated",
        "ipc_mode": "full",
        "wsl2_proxy_policy": "netns",
    },
    "groups": {"include": ["node_runtime"], "exclude": ["user_tools"]},
    "filesystem": {
        "allow": ["."],
        "read_file": ["~/x"],
        "deny": ["./.env"],
        "bypass_protection": ["~/.npmrc"],
    },
    "network": {
        "block": False,
        "network_profile": "minimal",
        "allow_domain": ["github", "*.example.com", "localhost:3000"],
        "deny_domain": ["x.example.com:25"],
        "deny_private": True,
        "raw_tunnels": ["git.example:22"],
        "credentials": ["corp"],
        "custom_credentials": {
            "corp": {
                "upstream": "https://api.corp.example/v2",
                "credential_key": "corp",
                "tls_ca": "~/ca.pem",
            }
        },
    },
    "workdir": {"access": "readwrite"},
    "environment": {"allow_vars": ["A*"], "deny_vars": ["B"], "set_vars": {"C": "d"}},
    "linux": {"sandbox_policy": "auto", "af_unix_mediation": "off"},
}


def test_every_available_field_is_accepted() -> None:
    _, profile = validate(FULL, "p.json")
    assert profile.network.custom_credentials["corp"].upstream == "https://api.corp.example/v2"
    assert profile.environment.allow_vars == ("A*",)


def test_an_empty_profile_has_the_defaults() -> None:
    assert validate({}, "p.json")[1] == Profile()


@pytest.mark.parametrize("path", sorted(NOT_YET))
def test_a_field_that_is_not_built_yet_is_refused_and_never_ignored(path: str) -> None:
    document: Any = ["x"]
    key_path = path.replace("custom_credentials.*", "custom_credentials.a").replace("*", "0")
    for step in reversed(key_path.split(".")):
        document = [document] if step == "0" else {step: document}
    assert f"p.json: {key_path}: not available yet" in mistakes(document)


def test_a_field_that_asks_for_nothing_is_no_mistake() -> None:
    validate({"interactive": False, "hooks": {}, "network": {"open_port": []}, "binary": None}, "p.json")


@pytest.mark.parametrize(
    ("document", "line"),
    [
        ([], "p.json: expected an object"),
        ({"netwrk": {}}, "p.json: netwrk: no such field (did you mean 'network'?)"),
        (
            {"network": {"deny_domains": []}},
            "p.json: network.deny_domains: no such field (did you mean 'deny_domain'?)",
        ),
        ({"network": {"block": "yes"}}, "p.json: network.block: expected true or false"),
        ({"network": {"allow_domain": "x"}}, "p.json: network.allow_domain: expected a list"),
        ({"network": {"allow_domain": [1]}}, "p.json: network.allow_domain.0: expected a string"),
        ({"network": {"allow_domain": ["0x7f.1"]}}, "p.json: network.allow_domain: '0x7f.1': "),
        (
            {"network": {"raw_tunnels": ["git.example"]}},
            "p.json: network.raw_tunnels: 'git.example': the port",
        ),
        (
            {"workdir": {"access": "rw"}},
            "p.json: workdir.access: expected 'none', 'read', 'write' or 'readwrite'",
        ),
        ({"workdir": 3}, "p.json: workdir: expected an object"),
        (
            {"filesystem": {"allow": ["src/*"]}},
            "p.json: filesystem.allow: 'src/*': patterns are not available yet",
        ),
        ({"filesystem": {"read": [""]}}, "p.json: filesystem.read: '' is not a path"),
        (
            {"environment": {"set_vars": {"PATH": "x"}}},
            "p.json: environment.set_vars: Invalid set_vars key 'PATH'",
        ),
        ({"environment": {"allow_vars": ["A*B"]}}, "p.json: environment.allow_vars: Invalid pattern 'A*B'"),
        ({"extends": 3}, "p.json: extends: expected a profile name"),
        (
            {"network": {"custom_credentials": {"a": {"upstream": "https://x"}}}},
            "p.json: network.custom_credentials.a.credential_key: required",
        ),
    ],
)
def test_a_mistake_is_named_by_file_key_and_expectation(document: object, line: str) -> None:
    assert line in mistakes(document)


def test_several_mistakes_are_reported_together() -> None:
    lines = mistakes({"netwrk": {}, "workdir": {"access": "rw"}, "packs": ["a/b"]}).splitlines()
    assert len(lines) == 3


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".config/nono/profiles").mkdir(parents=True)
    return {"HOME": str(tmp_path)}


def write(environ: dict[str, str], name: str, document: object) -> Path:
    path = Path(environ["HOME"], ".config/nono/profiles", f"{name}.json")
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def refused(reference: str, environ: dict[str, str]) -> ProfileError:
    with pytest.raises(ProfileError) as error:
        load_profile(reference, environ)
    return error.value


def test_a_users_profile_shadows_a_shipped_one(environ: dict[str, str]) -> None:
    assert load_profile("go-dev", environ).meta.name == "go-dev"
    write(environ, "go-dev", {"meta": {"name": "mine"}})
    assert load_profile("go-dev", environ).meta.name == "mine"


def test_a_path_names_a_file(environ: dict[str, str]) -> None:
    path = write(environ, "x", {"meta": {"name": "by path"}})
    assert load_profile(str(path), environ).meta.name == "by path"
    assert "profile file not found" in refused(str(path) + ".json", environ).message


@pytest.mark.parametrize("name", ["-x", "x-", "a_b", "", "a b", "x\n"])
def test_a_malformed_name_is_refused(name: str, environ: dict[str, str]) -> None:
    assert "must be alphanumeric with hyphens only" in refused(name, environ).message


def test_an_unknown_name_gets_the_nearest_one(environ: dict[str, str]) -> None:
    error = refused("python-de", environ)
    assert error.message == "Profile not found: python-de"
    assert error.hint == "did you mean 'python-dev'?"


def test_a_file_with_comments_is_not_passed_over(environ: dict[str, str]) -> None:
    write(environ, "go-dev", {}).rename(Path(environ["HOME"], ".config/nono/profiles/go-dev.jsonc"))
    assert "not available yet" in refused("go-dev", environ).message


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"a": 1,\n  b}', "line 2, column 3"),
        (b'{"meta": {"name": "\xff"}}', "invalid UTF-8"),
        (b'{"meta": {}, "meta": {}}', "duplicate field 'meta'"),
        (b"[" * 200_000, "Profile parse error"),
        (b" " * (1024 * 1024 + 1), "larger than"),
    ],
)
def test_what_is_not_json_is_refused_with_its_place(raw: bytes, expected: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(raw)
    assert expected in refused(str(path), {"HOME": str(tmp_path)}).message


def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    os.mkfifo(path)
    assert "not a regular file" in refused(str(path), {"HOME": str(tmp_path)}).message


def test_bases_are_folded_from_left_to_right_and_the_child_comes_last(environ: dict[str, str]) -> None:
    write(environ, "a", {"workdir": {"access": "read"}, "environment": {"set_vars": {"X": "a", "Y": "a"}}})
    write(environ, "b", {"workdir": {"access": "write"}, "environment": {"set_vars": {"X": "b"}}})
    write(environ, "c", {"extends": ["a", "b"], "environment": {"set_vars": {"Z": "c"}}})
    profile = load_profile("c", environ)
    assert profile.workdir.access == "write"
    assert profile.environment.set_vars == {"X": "b", "Y": "a", "Z": "c"}


def test_a_user_profile_extends_a_shipped_one(environ: dict[str, str]) -> None:
    write(environ, "mine", {"extends": "python-dev", "network": {"allow_domain": ["example.com"]}})
    profile = load_profile("mine", environ)
    assert profile.network.network_profile == "developer"
    assert profile.network.allow_domain == ("example.com",)
    assert "python_runtime" in profile.groups.include


def test_a_circle_of_bases_is_refused_and_a_diamond_is_not(environ: dict[str, str]) -> None:
    write(environ, "a", {"extends": "b"})
    write(environ, "b", {"extends": "a"})
    assert "circular dependency detected: a -> b -> a" in refused("a", environ).message
    write(environ, "left", {"extends": "default"})
    write(environ, "right", {"extends": "default"})
    write(environ, "diamond", {"extends": ["left", "right"]})
    load_profile("diamond", environ)


def test_ten_bases_are_accepted_and_eleven_are_not(environ: dict[str, str]) -> None:
    for n in range(12):
        write(environ, f"p{n}", {"extends": f"p{n - 1}"} if n else {})
    load_profile("p10", environ)
    assert "inheritance chain too deep (max 10)" in refused("p11", environ).message


@pytest.mark.parametrize(
    ("base", "expected"), [("nobody", "base profile 'nobody' not found"), ("./x", "invalid base")]
)
def test_a_base_is_a_known_name_and_never_a_path(base: str, expected: str, environ: dict[str, str]) -> None:
    write(environ, "a", {"extends": base})
    assert expected in refused("a", environ).message


@pytest.mark.parametrize(
    ("section", "base", "child", "merged"),
    [
        ("filesystem", {"read": ["a", "b"]}, {"read": ["b", "c"]}, {"read": ["a", "b", "c"]}),
        ("network", {"block": True}, {"block": False}, {"block": True}),
        ("network", {"network_profile": "x"}, {}, {"network_profile": "x"}),
        ("network", {"network_profile": "x"}, {"network_profile": None}, {"network_profile": None}),
        ("network", {"credentials": ["a"]}, {"credentials": []}, {"credentials": []}),
        ("network", {"credentials": ["a"]}, {"credentials": ["b"]}, {"credentials": ["a", "b"]}),
        ("network", {"credentials": ["a"]}, {}, {"credentials": ["a"]}),
        ("workdir", {"access": "read"}, {"access": "none"}, {"access": "read"}),
        ("workdir", {"access": "read"}, {"access": "write"}, {"access": "write"}),
        ("environment", {"allow_vars": ["A"]}, {"allow_vars": []}, {"allow_vars": ["A"]}),
        ("environment", {"set_vars": {"A": "1"}}, {"set_vars": {"A": "2"}}, {"set_vars": {"A": "2"}}),
        ("meta", {"name": "a", "version": "1"}, {"name": "b"}, {"name": "b"}),
        ("security", {"signal_mode": "isolated"}, {"signal_mode": "allow_all"}, {"signal_mode": "allow_all"}),
    ],
)
def test_each_field_merges_by_its_rule(
    section: str, base: dict[str, Any], child: dict[str, Any], merged: dict[str, Any]
) -> None:
    assert merge({section: base}, {section: child}) == {section: merged}


def test_merging_changes_neither_side() -> None:
    base, child = {"groups": {"include": ["a"]}}, {"groups": {"include": ["b"]}}
    merge(base, child)
    assert base == {"groups": {"include": ["a"]}}
    assert child == {"groups": {"include": ["b"]}}
