"""nono.policy.why.command_words: the programs of a command line."""

from __future__ import annotations

import shlex

import pytest

from nono.policy.why.command_words import script_named, started, with_script


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


def test_a_script_is_read_as_far_as_is_worth_its_while() -> None:
    script = script_named(["sh", "a"], lambda word: f"su ; '{'x' * 2**20}' ; crontab")
    assert [each.program for each in started(with_script(["sh", "a"], script))] == ["sh", "sh", "su"]


def test_a_comment_ends_with_its_line() -> None:
    found = started(["sh", "-c", "#!/bin/sh\n# what's new\nmake all # now\ngcc a.c\n"])
    assert [each.program for each in found] == ["sh", "make", "gcc"]


@pytest.mark.parametrize(
    ("line", "is_named"),
    [
        ("bash do.sh", True),
        ("bash -eu do.sh now", True),
        ("timeout 5 ./do.sh", True),
        ("sh -c './do.sh --fast'", True),
        ("bash -c 'true do.sh'", False),
        ("bash -c do.sh", False),  # looked for on PATH
        ("python3 do.sh", False),
        ("./do.py", False),
        ("bash missing.sh", False),
        ("bash", False),
        ("", False),
    ],
)
def test_a_script_of_a_shell_names_its_programs_too(line: str, is_named: bool) -> None:
    files = {"do.sh": "#!/bin/bash -e\ncrontab -l\n", "./do.sh": "#!/usr/bin/env bash\ncrontab -l\n"}
    files["./do.py"] = "#!/usr/bin/env python3\ncrontab\n"
    argv = shlex.split(line)
    script = script_named(argv, files.get)
    assert bool(script) is is_named
    programs = [each.program for each in started(with_script(argv, script))]
    assert ("crontab" in programs) is is_named
    assert [each.program for each in started(argv)] == [each for each in programs if each != "crontab"][
        is_named:
    ]
