"""Which programs may be hooks of a session, and which variables they may add."""

from __future__ import annotations

import stat
from typing import Any

import pytest

from nono.policy.capability import Access, Grant
from nono.policy.environment.inheritance import EnvironmentRules
from nono.policy.ownership import Inode
from nono.policy.session_hooks import Script, hook_variables, unfit

ME = 1000
OTHER = 1001
FILE = Inode("/home/me/bin/hook", stat.S_IFREG | 0o755, ME, ME)
BIN = Inode("/home/me/bin", stat.S_IFDIR | 0o755, ME, ME)
HOME = Inode("/home/me", stat.S_IFDIR | 0o755, ME, ME)
FIT = Script("/home/me/bin/hook", ("/home/me/bin/hook",), FILE, ((BIN, HOME),))


def test_a_program_of_the_persons_own_may_be_a_hook() -> None:
    assert unfit(FIT, (), ME) is None
    assert (
        unfit(FIT._replace(file=FILE._replace(uid=0), directories=((BIN._replace(uid=0),),)), (), ME) is None
    )
    assert unfit(FIT._replace(file=FILE._replace(mode=stat.S_IFREG | 0o775)), (), ME) is None  # own group
    sticky = HOME._replace(mode=stat.S_IFDIR | 0o1777)
    assert unfit(FIT._replace(directories=((BIN, sticky),)), (), ME) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mode": stat.S_IFIFO | 0o755}, "not a regular file"),
        ({"mode": stat.S_IFREG | 0o644}, "not executable"),
        ({"mode": stat.S_IFREG | 0o757}, "everybody can write to /home/me/bin/hook"),
        ({"mode": stat.S_IFREG | 0o775, "gid": 100}, "group 100 can write to /home/me/bin/hook"),
        ({"uid": OTHER}, "/home/me/bin/hook belongs to uid 1001"),
    ],
    ids=str,
)
def test_a_file_that_somebody_else_could_change_is_no_hook(changes: dict[str, Any], reason: str) -> None:
    assert reason in str(unfit(FIT._replace(file=FILE._replace(**changes)), (), ME))


@pytest.mark.parametrize("position", [0, 1], ids=["of a link", "of the file"])
@pytest.mark.parametrize(
    ("directories", "reason"),
    [
        ((BIN._replace(uid=OTHER), HOME), "/home/me/bin belongs to uid 1001"),
        ((BIN._replace(mode=stat.S_IFDIR | 0o1777), HOME), "everybody can write to /home/me/bin"),
        ((BIN._replace(mode=stat.S_IFDIR | 0o775, gid=100), HOME), "group 100 can write to /home/me/bin"),
        ((BIN, HOME._replace(mode=stat.S_IFDIR | 0o777)), "everybody can write to /home/me"),
        ((BIN, HOME._replace(mode=stat.S_IFDIR | 0o775, gid=100)), "group 100 can write to /home/me"),
        ((BIN, HOME._replace(uid=OTHER)), "/home/me belongs to uid 1001"),
    ],
    ids=str,
)
def test_a_file_that_somebody_else_could_exchange_is_no_hook(
    directories: tuple[Inode, ...], reason: str, position: int
) -> None:
    ways: list[tuple[Inode, ...]] = [(BIN, HOME), (BIN, HOME)]
    ways[position] = directories
    assert reason in str(unfit(FIT._replace(directories=tuple(ways)), (), ME))


@pytest.mark.parametrize(
    ("grant", "way", "is_refused"),
    [
        (Grant("/home/me", Access.READWRITE, True, "cli", "/home/me"), (), True),
        (Grant("/home/me", Access.READ, True, "cli", "/home/me"), (), False),
        (Grant("/home/me/bin/hook", Access.WRITE, False, "cli", "hook"), (), True),
        (Grant("/srv/link", Access.WRITE, True, "cli", "/srv/link"), ("/srv/link/hook",), True),
        (Grant("/srv/other", Access.WRITE, True, "cli", "/srv/other"), ("/srv/link/hook",), False),
    ],
    ids=["its directory", "read only", "the file", "a link on the way", "beside the link"],
)
def test_what_the_command_may_write_is_no_hook(grant: Grant, way: tuple[str, ...], is_refused: bool) -> None:
    found = unfit(FIT._replace(way=(*way, *FIT.way)), (grant,), ME)
    assert (found is not None and "the command may write" in found) == is_refused


def test_a_hook_adds_variables() -> None:
    content = b"# of the VPN\n\nA=1\n  B = two words  \nURL=http://x/?a=b\nEMPTY=\n"
    added = hook_variables(content, EnvironmentRules())
    assert added.kept == {"A": "1", "B": "two words", "URL": "http://x/?a=b", "EMPTY": ""}
    assert (added.refused, added.malformed) == ((), ())


def test_a_hook_adds_nothing_that_steers_programs() -> None:
    added = hook_variables(
        b"LD_PRELOAD=/x.so\nNODE_OPTIONS=--require x\nNONO_CAP_FILE=x\n", EnvironmentRules()
    )
    assert added.kept == {}
    assert [each.rule for each in added.refused] == ["steers_programs"] * 3


def test_a_hook_adds_nothing_that_the_run_or_a_flag_decides() -> None:
    rules = EnvironmentRules(
        passed=frozenset({"A"}), set_by_flag=frozenset({"B"}), fixed=(("B", "1"), ("C", "1"))
    )
    added = hook_variables(b"PATH=/x\nHOME=/x\nTMPDIR=/x\nNONO_X=1\nA=2\nB=2\nC=2\n", rules)
    assert added.kept == {"C": "2"}
    assert [each.rule for each in added.refused] == [*["reserved"] * 4, *["passed_on"] * 2]


def test_a_hook_adds_nothing_that_the_profile_denies() -> None:
    rules = EnvironmentRules(deny=("AWS_*",), withheld=frozenset({"OPENAI_API_KEY"}))
    added = hook_variables(b"AWS_REGION=x\nOPENAI_API_KEY=sk-real\nA=1", rules)
    assert added.kept == {"A": "1"}


@pytest.mark.parametrize("line", [b"export A=1", b"A", b"1A=1", b"=1", b"A\xff=1", b"A=\0"])
def test_a_line_of_another_form_is_told_and_dropped(line: bytes) -> None:
    added = hook_variables(b"B=1\n" + line, EnvironmentRules())
    assert (added.kept, added.malformed) == ({"B": "1"}, (2,))
