"""Settings of git by which a push or a fetch goes to another place."""

from __future__ import annotations

import time

import pytest

from nono.policy.git.addresses import rerouted
from support.running.pace import PACE

HERE = """\
[remote "origin"]
\turl = https://host.example/a.git
\tpushurl = https://inner.example/a.git
[branch "main"]
\tremote = origin
\tmerge = refs/heads/main
[submodule "s"]
\turl = https://host.example/s.git
[url "https://mirror.example/"]
\tinsteadOf = https://host.example/
"""
EVIL = "https://evil.example/a.git"
ADDED = {
    "another push address": (f'[remote "origin"]pushurl = {EVIL}', "remote.origin.pushurl"),
    "another address": (f'[remote "origin"]url = {EVIL}', "remote.origin.url"),
    "in the old spelling": (f"[remote.origin]PushURL = {EVIL}", "remote.origin.PushURL"),
    "of large files": (f'[remote "origin"]lfspushurl = {EVIL}', "remote.origin.lfspushurl"),
    "of all large files": (f"[lfs]url = {EVIL}", "lfs.url"),
    "of a submodule": (f'[submodule "s"]url = {EVIL}', "submodule.s.url"),
    "of a new branch": (f'[branch "new"]pushRemote = {EVIL}', "branch.new.pushRemote"),
    "of a new branch by a new remote": (
        f'[remote "fork"]url = {EVIL}\n[branch "new"]remote = fork',
        "branch.new.remote",
    ),
    "of a branch": ('[branch "main"]pushRemote = other', "branch.main.pushRemote"),
    "of every push": ("[remote]pushDefault = other", "remote.pushDefault"),
    "of every remote": (f'[url "{EVIL}"]insteadOf = https://', f"url.{EVIL}.insteadOf"),
    "of every push to them": (f'[url "{EVIL}"]pushInsteadOf = https://', f"url.{EVIL}.pushInsteadOf"),
}
REMOVED = {
    "a push address": ("\tpushurl = https://inner.example/a.git\n", "remote.origin.pushurl"),
    "a mirror": ("\tinsteadOf = https://host.example/\n", "url.https://mirror.example/.insteadOf"),
}
ORDINARY = {
    "a new remote": f'[remote "fork"]\n\turl = {EVIL}\n\tpushurl = {EVIL}',
    "a new branch": '[branch "new"]\n\tremote = origin\n\tpushRemote = origin',
    "a new branch of another": '[branch "new"]\n\tremote = .',
    "a new submodule": f'[submodule "t"]\n\turl = {EVIL}',
    "what a remote fetches": '[remote "origin"]\n\tfetch = +refs/heads/*:refs/remotes/origin/*',
    "what a branch merges": '[branch "main"]\n\tmerge = refs/heads/other',
    "that git-lfs is set up": "[lfs]\n\trepositoryformatversion = 0",
}


@pytest.mark.parametrize(("added", "name"), ADDED.values(), ids=ADDED)
def test_an_address_that_leads_what_was_there_away_is_told(added: str, name: str) -> None:
    assert rerouted(HERE, f"{HERE}{added}\n") == (name,)
    assert rerouted(f"{HERE}{added}\n", f"{HERE}{added}\n[user]\n") == ()


@pytest.mark.parametrize("lines", ["{evil}{own}", "{own}{evil}"])
def test_a_second_address_of_a_push_is_told_on_either_side_of_the_first(lines: str) -> None:
    own = "\tpushurl = https://inner.example/a.git\n"
    both = HERE.replace(own, lines.format(own=own, evil=f"\tpushurl = {EVIL}\n"))
    assert rerouted(HERE, both) == ("remote.origin.pushurl",)


@pytest.mark.parametrize(("removed", "name"), REMOVED.values(), ids=REMOVED)
def test_an_address_that_stood_before_another_is_told_once_it_is_gone(removed: str, name: str) -> None:
    assert rerouted(HERE, HERE.replace(removed, "")) == (name,)


@pytest.mark.parametrize("added", ORDINARY.values(), ids=ORDINARY)
def test_what_leads_nothing_away_that_was_there_is_not_told(added: str) -> None:
    assert rerouted(HERE, f"{HERE}{added}\n") == ()


@pytest.mark.parametrize("before", ["", "[user]\n\tname = x\n"])
def test_the_first_remote_of_a_repository_is_not_told_nor_the_branches_that_go_there(before: str) -> None:
    added = '[remote "origin"]\n\turl = https://host.example/\n[branch "main"]\n\tremote = origin\n'
    assert rerouted(before, before + added) == ()


def test_a_remote_or_branch_that_is_gone_is_not_told() -> None:
    assert rerouted(HERE, '[url "https://mirror.example/"]insteadOf = https://host.example/') == ()


def test_an_address_in_another_file_is_told_of_a_remote_that_was_there() -> None:
    added = f'[remote "origin"]pushurl = {EVIL}'
    assert rerouted("", added, [HERE]) == ("remote.origin.pushurl",)
    assert rerouted("", added) == ()


def test_a_key_with_any_number_of_values_is_read_in_one_pass() -> None:
    """Copied for each value, 1 MB of settings took a minute and a half."""
    many = '[remote "a"]\n' + "url=x\n" * 150_000
    began = time.monotonic()
    assert rerouted(many, f"{many}url=y\n") == ("remote.a.url",)
    assert time.monotonic() - began < 10 * PACE


def test_each_of_many_branches_is_compared_with_many_remotes_at_once() -> None:
    """1 MB of settings took minutes while the remotes were collected for each branch."""
    remotes = "".join(f'[remote "r{number}"]\nurl=x\n' for number in range(15_000))
    branches = "".join(f'[branch "b{number}"]\nremote=r1\n' for number in range(15_000))
    began = time.monotonic()
    assert rerouted(remotes, f'{remotes}{branches}[branch "z"]\nremote=new\n') == ("branch.z.remote",)
    assert time.monotonic() - began < 10 * PACE
