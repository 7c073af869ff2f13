"""Settings of git that run programs."""

from __future__ import annotations

import pytest

from nono.policy.git.settings import newly_run

PLAIN = '[core]\n\tbare = false\n\teditor = vim\n[remote "origin"]\n\turl = https://host.example/a.git\n'


@pytest.mark.parametrize(
    ("added", "name"),
    [
        ("[core]\n\thooksPath = .husky", "core.hooksPath"),
        ("[CORE]HooksPath=.husky", "CORE.HooksPath"),
        ("[core]\n\tfsmonitor = ./watch", "core.fsmonitor"),
        ("[core]\n\tsshCommand = \\\n./ssh", "core.sshCommand"),
        ("[alias]\n\tst = !./run", "alias.st"),
        ('[filter "a]b"]\n\tclean = ./run', "filter.a]b.clean"),
        ('[credential "https://host.example"]\n\thelper = !./run', "credential.https://host.example.helper"),
        ("[include]\n\tpath = ../settings", "include.path"),
        ('[submodule "s"]\n\tupdate = !./run', "submodule.s.update"),
        ("[core] # a comment\n\tpager = ./run", "core.pager"),
    ],
)
def test_a_setting_that_runs_a_program_is_seen(added: str, name: str) -> None:
    assert newly_run(PLAIN, f"{PLAIN}{added}\n") == (name,)


@pytest.mark.parametrize(
    "added",
    [
        "[core]\n\tfsmonitor = true",
        '[branch "b"]\n\tmerge = refs/heads/b',
        "# [core] pager = ./run",
        "[user]\n\tname = A",
    ],
)
def test_a_setting_that_runs_none_is_not_told(added: str) -> None:
    assert newly_run(PLAIN, f"{PLAIN}{added}\n") == ()


def test_a_setting_that_was_there_is_not_told() -> None:
    assert newly_run(PLAIN, PLAIN.replace("false", "true")) == ()


def test_a_changed_value_is_told() -> None:
    assert newly_run(PLAIN, PLAIN.replace("vim", "./run")) == ("core.editor",)
