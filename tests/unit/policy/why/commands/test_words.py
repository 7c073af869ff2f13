"""nono.policy.why.commands.words: the programs of a command line."""

from __future__ import annotations

import shlex

import pytest

from nono.policy.why.commands.words import started


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        ("gcc -O2 a.c", [("gcc", ("a.c",))]),
        ("/usr/bin/gcc a.c", [("gcc", ("a.c",))]),
        ("sh -c 'exit 5'", [("sh", ("exit 5",)), ("exit", ("5",))]),
        ("bash -lc 'cd x && make -j2 all'", ["bash", ("cd", ("x",)), ("make", ("all",))]),
        ("sh -c 'if test -f x; then cat y; fi'", ["sh", ("test", ("x",)), ("cat", ("y",)), "fi"]),
        ("sh -c 'CC=gcc make'", ["sh", ("make", ())]),
        ("sh script", [("sh", ("script",))]),
        ("env A=b timeout 5s cargo build", ["env", "timeout", ("cargo", ("build",))]),
        ("npx -y @a/create-b@1.2 c", ["npx", ("create-b", ("c",))]),
        ("uvx ruff@latest check", ["uvx", ("ruff", ("check",))]),
        ("@a b", [("@a", ("b",))]),
        ("python3 -m pytest tests", ["python3", ("pytest", ("tests",))]),
        ("git lfs install -f", ["git", ("git-lfs", ("install",))]),
        (
            "git -C a --no-pager -c b=c lfs install",
            [("git", ("a", "b=c", "lfs", "install")), ("git-lfs", ("install",))],
        ),
        ("git --attr-source HEAD lfs install", ["git", ("git-lfs", ("install",))]),
        ("git -C lfs install", [("git", ("lfs", "install"))]),
        ("git --no-pager log lfs", ["git"]),
        ("", []),
    ],
)
def test_a_command_line_names_its_programs(line: str, programs: list[str | tuple[str, object]]) -> None:
    found = started(shlex.split(line))
    for each, known in zip(found, programs, strict=True):
        assert (each.program if isinstance(known, str) else (each.program, each.operands)) == known


@pytest.mark.parametrize("script", ['cat "a b', "cat 'a", "cat a\\"])
def test_a_script_that_does_not_end_is_read_as_far_as_it_goes(script: str) -> None:
    assert started(["sh", "-c", script])[0].program == "sh"


def test_shells_in_shells_are_not_read_for_ever() -> None:
    script = "true"
    for _ in range(8):
        script = f"sh -c {shlex.quote(script)}"
    assert 3 < len(started(shlex.split(script))) < 8


def test_a_comment_ends_with_its_line() -> None:
    found = started(["sh", "-c", "#!/bin/sh\n# what's new\nmake all # now\ngcc a.c\n"])
    assert [each.program for each in found] == ["sh", "make", "gcc"]


@pytest.mark.parametrize(
    ("script", "written"),
    [
        ("date>>log", [("date", ("log",))]),
        ("date 2>log", [("date", ("log",))]),
        ("date &>log", [("date", ("log",))]),
        ("date >| log", [("date", ("log",))]),
        ("date <in >log", [("date", ("log",))]),
        ("(date) >log", [("date", ()), ("sh", ("log",))]),
        ("date;>log", [("date", ()), ("sh", ("log",))]),
        ("exec 3>log", [("exec", ("log",))]),
        ("> $log", []),
        ("date 2>&1", [("date", ())]),
        ("date >&-", [("date", ())]),
        ("date <in", [("date", ())]),
        ("node -e 'x=>y'", [("node", ())]),
        ("date $((1>2))", [("date", ())]),
    ],
)
def test_files_that_a_script_opens_for_writing_are_those_of_its_redirections(
    script: str, written: list[tuple[str, tuple[str, ...]]]
) -> None:
    found = started(["sh", "-c", script])[1:]
    assert [(each.program, each.written) for each in found] == written


def test_a_redirection_is_no_operand() -> None:
    assert started(["sh", "-c", "ls 2>/dev/null"])[1].operands == ()
