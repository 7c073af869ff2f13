"""What a profile file does to a run: its programs, its bases, its old names, its mistakes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from support.nono_run import NONO
from support.running import fork_server

Nono = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def nono(tmp_path: Path) -> Nono:
    """Run nono with a home of its own; files by name go to the user's profile directory."""
    directory = tmp_path / ".config/nono/profiles"
    directory.mkdir(parents=True)

    def run(*arguments: str, **files: object) -> subprocess.CompletedProcess[str]:
        for name, content in files.items():
            text = content if isinstance(content, str) else json.dumps(content)
            (directory / f"{name}.json").write_text(text)
        environ = {"HOME": str(tmp_path), "PATH": os.defpath, "LANG": fork_server.LANGUAGE}
        return fork_server.run([*NONO, *arguments], env=environ, cwd=Path.cwd(), timeout=60)

    return run


def test_a_profile_names_the_program_and_its_arguments(nono: Nono) -> None:
    profile = {"binary": "echo", "command_args": ["-n", "to $HOME", "-n"]}
    done = nono("-s", "run", "-p", "agent", agent=profile)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("to /")
    assert done.stdout.endswith(" -n")
    typed = nono("run", "-p", "agent", "--", "false")
    assert typed.stdout == done.stdout
    assert "the profile's binary, echo, runs; the command typed is ignored." in typed.stderr


def test_arguments_of_a_profile_stand_behind_what_was_typed(nono: Nono, tmp_path: Path) -> None:
    done = nono("-s", "run", "-p", "quiet", "--", "echo", "typed", quiet={"command_args": ["added", "~/x"]})
    assert done.stdout == f"typed added {tmp_path}/x\n"
    without = nono("run", "-p", "quiet")
    assert (without.returncode, without.stderr) == (1, "nono: No command specified\n" + HINT)


HINT = "hint: nono run [options] -- COMMAND\n"


def test_arguments_of_a_base_inherited_twice_are_given_once(nono: Nono) -> None:
    done = nono(
        *("-s", "run", "-p", "child", "--", "echo"),
        base={"command_args": ["-v", "x"]},
        left={"extends": "base", "command_args": ["-v"]},
        right={"extends": "base"},
        child={"extends": ["left", "right"], "command_args": ["x"]},
    )
    assert done.stdout == "-v x -v x\n"


def test_only_a_flag_starts_a_blocked_name(nono: Nono) -> None:
    refused = nono("-s", "run", "-p", "mine", "--", "uname", mine={"commands": {"deny": ["uname"]}})
    assert refused.returncode == 1
    assert refused.stderr.startswith("nono: 'uname' is blocked by name (")
    allowed = nono("run", "-p", "mine", "--allow-command", "uname", "--", "uname")
    assert allowed.stdout == "Linux\n"
    assert "--allow-command: Command blocking is deprecated" in allowed.stderr


@pytest.mark.parametrize("command", ["run", "wrap"])
def test_a_dangerous_name_of_the_groups_is_not_started(nono: Nono, command: str) -> None:
    done = nono("-s", command, "--", "chmod", "--version")
    assert done.returncode == 1
    assert "(group dangerous_commands)" in done.stderr
    assert nono("-s", command, "--allow-command=chmod", "--", "chmod", "--version").returncode == 0


def test_a_flag_adds_a_base_which_the_file_wins_over(nono: Nono) -> None:
    files = {
        "base": {"environment": {"set_vars": {"A": "base", "B": "base"}}},
        "mine": {"environment": {"set_vars": {"A": "mine"}}},
    }
    done = nono("-s", "run", "-p", "mine", "--extends", "base", "--", "sh", "-c", "echo $A $B", **files)
    assert done.stdout == "mine base\n"
    nowhere = nono("-s", "run", "-p", "mine", "--extends", "nobody", "--", "true")
    assert nowhere.stderr == "nono: Profile inheritance error: base profile 'nobody' not found\n"


@pytest.mark.parametrize(
    "words", [("-p", "shut,open"), ("-p", "open,shut"), ("-p", "open", "--extends", "shut")]
)
def test_profiles_that_contradict_each_other_are_both_named(nono: Nono, words: tuple[str, ...]) -> None:
    shut, open_ = {"network": {"block": True}}, {"network": {"allow_domain": ["example.com"]}}
    refused = nono("run", *words, "--", "true", shut=shut, open=open_)
    assert refused.returncode == 1
    assert (
        "(asked for by profile shut, network.block and profile open, network.allow_domain)" in refused.stderr
    )
    assert nono("-s", "run", "-p", "shut", "--", "true").returncode == 0


def test_of_a_profile_and_a_flag_that_contradict_each_other_the_profile_is_named(nono: Nono) -> None:
    shut, quiet = {"network": {"block": True}}, {"extends": "shut"}
    refused = nono("run", "-p", "quiet", "--allow-domain", "a.example", "--", "true", shut=shut, quiet=quiet)
    assert "(asked for by profile shut, network.block and --allow-domain)" in refused.stderr


def test_an_old_name_is_said_once_for_each_start(nono: Nono) -> None:
    profile = {"extends": "base", "policy": {"add_allow_read": ["/opt"], "add_deny_access": []}}
    base = {"security": {"groups": ["nix_runtime"]}}
    for _ in range(2):  # the second time the result is kept
        done = nono("run", "-p", "mine", "--", "true", mine=profile, base=base)
        assert done.returncode == 0, done.stderr
        lines = [line for line in done.stderr.splitlines() if line.startswith("warning: deprecated")]
        assert sorted(lines) == [
            f"warning: deprecated key '{old}' — use '{new}' instead (will be removed in v1.0.0, #594)"
            for old, new in (
                ("policy.add_allow_read", "filesystem.read"),
                ("security.groups", "groups.include"),
            )
        ]
    assert "deprecated" not in nono("-s", "run", "-p", "mine", "--", "true").stderr


def test_what_has_no_effect_yet_is_said(nono: Nono) -> None:
    profile = {
        "hooks": {"claude-code": {"event": "x", "script": "y"}},
        "open_urls": {"allow_localhost": True},
    }
    done = nono("run", "-p", "mine", "--", "true", mine=profile)
    assert "in-profile hooks were removed" in done.stderr
    assert "open_urls: not available yet" in done.stderr


def test_endpoint_rules_beside_a_policy_are_said_to_have_no_effect(nono: Nono) -> None:
    entry = {"upstream": "https://x.example", "credential_key": "env://X_KEY"}
    rules = {"endpoint_rules": [{"method": "GET", "path": "/x"}]}
    policy = {"endpoint_policy": {"default": {"decision": "allow"}}}
    for fields, is_said in ((rules | policy, True), (rules, False), (policy, False)):
        mine = {"network": {"credentials": ["x"], "custom_credentials": {"x": entry | fields}}}
        for command in (("run", "--dry-run", "-p", "mine", "--", "true"), ("profile", "validate", "mine")):
            done = nono(*command, mine=mine)
            assert done.returncode == 0, done.stderr
            said = " ".join((done.stdout + done.stderr).split())
            assert ("custom_credentials.x.endpoint_rules: without effect" in said) is is_said


def test_the_mistakes_of_a_base_are_told_with_those_of_the_file(nono: Nono, tmp_path: Path) -> None:
    done = nono(
        *("run", "-p", "mine", "--", "true"),
        base='{\n  "workdir": {"access": "rw"}\n}',
        mine='{"extends": "base",\n "netwrok": {}}',
    )
    directory = tmp_path / ".config/nono/profiles"
    assert done.stderr == (
        f"nono: Profile parse error: {directory}/mine.json:2:2: netwrok: no such field "
        "(did you mean 'network'?)\n"
        f"{directory}/base.json:2:25: workdir.access: expected 'none', 'read', 'write' or 'readwrite'\n"
    )


def test_nothing_in_a_file_forges_a_line_or_commands_the_terminal(nono: Nono) -> None:
    done = nono("run", "-p", "mine", "--", "true", mine={"a\nnono: all is well\x1b[2J": 1})
    assert len(done.stderr.splitlines()) == 1
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/oauth/hello", "allowed"),
        ("POST", "/v1/oauth/hello", "denied"),
        ("GET", "/v1/oauth/profile", "denied"),
    ],
)
def test_claude_code_may_only_ask_whether_the_host_of_logins_is_there(
    nono: Nono, method: str, path: str, status: str
) -> None:
    url = f"https://platform.claude.com{path}"
    why = nono("why", "--json", "--profile=claude-code", f"--method={method}", f"--host={url}")
    assert json.loads(why.stdout)["status"] == status, why.stderr
