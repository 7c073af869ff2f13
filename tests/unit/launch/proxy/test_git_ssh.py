"""git's ssh command: it survives two shells and ssh's own percent signs, and grants no more than it needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nono.launch.proxy.git_ssh import git_ssh, ssh_command
from nono.policy.capability import Access, Grant
from nono.policy.hosts.host_filter import HostFilter, parse_rule

OPEN = HostFilter(None)
EVERYTHING = Grant("/", Access.READ, True, "system", "/")


def hosts(*entries: str, raw: str | None = None) -> HostFilter:
    rules = tuple(parse_rule(text, "the test") for text in entries)
    return HostFilter(rules, raw_tunnels=() if raw is None else (parse_rule(raw, "the test"),))


@pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
@pytest.mark.parametrize("name", ["plain", "a blank", "it's", '"quoted"', "50%h", "$HOME;`id`", "-n"])
def test_the_helper_gets_its_two_words_whatever_its_path_is(tmp_path: Path, name: str) -> None:
    directory = tmp_path / name
    directory.mkdir()
    helper = directory / "helper"
    helper.write_text('#!/bin/sh\nprintf "%s\\n" "$@" >"$OUTPUT"\n')
    helper.chmod(0o755)
    output = tmp_path / "output"
    subprocess.run(
        ["sh", "-c", f"{ssh_command((str(helper), 'a word'))} -o BatchMode=yes -F none git.test true"],
        env={**os.environ, "OUTPUT": str(output)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert output.read_text().splitlines() == ["a word", "git.test", "22"]


@pytest.mark.parametrize(
    ("filter_", "expected"),
    [
        pytest.param(OPEN, True, id="every host"),
        pytest.param(hosts("git.test"), True, id="every port of a host"),
        pytest.param(hosts("git.test:22"), True, id="its port"),
        pytest.param(hosts("git.test:443"), False, id="another port"),
        pytest.param(hosts("git.test:443", raw="git.test:2222"), True, id="a raw tunnel"),
        pytest.param(hosts(), False, id="no host"),
    ],
)
def test_it_comes_where_ssh_may_be_spoken(filter_: HostFilter, expected: bool) -> None:
    found = git_ssh({}, filter_, [])
    assert bool(found.variables) is bool(found.files) is expected


def test_what_can_be_read_already_is_not_granted_again() -> None:
    assert git_ssh({}, OPEN, [EVERYTHING]).files == ()
    written = EVERYTHING._replace(access=Access.WRITE)
    files = git_ssh({}, OPEN, [written]).files
    assert os.path.realpath(sys.executable) in files
    assert all(os.path.realpath(path) == path for path in files)


@pytest.mark.parametrize("variable", ["GIT_SSH_COMMAND", "GIT_SSH"])
def test_a_command_of_the_persons_own_stays(variable: str) -> None:
    assert git_ssh({variable: "mine"}, OPEN, []) == ({}, ())
    assert git_ssh({variable: ""}, OPEN, []).variables != {}
