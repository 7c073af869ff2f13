"""nono.policy.why.commands.named_scripts: the scripts that a command line names by a file."""

from __future__ import annotations

import json
import shlex
import time

import pytest

from nono.policy.why.commands.named_scripts import script_named
from nono.policy.why.commands.words import started, with_script

PACKAGE = {
    "dev": "wrangler dev",
    "test": "jest",
    "pretest": "tsc -b",
    "posttest": "true",
    "install": "node-gyp rebuild",
    "odd": ["rm"],
}
MAKEFILE = """\
CC := gcc
OUT = a: b
.PHONY: all image
all: hello image ## Build = all
hello:: hello.c
\t@$(CC) -o hello hello.c
image:
\t-docker build .
# nobody wants it
deploy: all ; rsync -a . host:
deploy:
\tssh host restart
"""


def test_a_script_is_read_as_far_as_is_worth_its_while() -> None:
    script = script_named(["sh", "a"], lambda word: f"su ; '{'x' * 2**20}' ; crontab")
    assert [each.program for each in started(with_script(["sh", "a"], script))] == ["sh", "sh", "su"]


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


def _programs(line: str, files: dict[str, str]) -> list[str]:
    return [each.program for each in started(["sh", "-c", script_named(shlex.split(line), files.get)])][1:]


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        ("npm run dev", ["wrangler"]),
        ("npm run-script dev -- --port 1", ["wrangler"]),
        ("timeout 9 yarn dev", ["wrangler"]),
        ("pnpm --silent run dev", ["wrangler"]),
        ("npm test", ["tsc", "jest", "true"]),
        ("npm install", ["node-gyp"]),
        ("npm run other", []),
        ("npm run odd", []),
        ("npm run", []),
        ("npm", []),
        ("npm run dev --prefix other", []),
        ("node dev", []),
    ],
)
def test_a_script_of_a_package_names_its_programs(line: str, programs: list[str]) -> None:
    assert _programs(line, {"package.json": json.dumps({"scripts": PACKAGE})}) == programs


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"scripts": []}', '{"scripts": 1}', "[" * 100_000])
def test_a_package_without_readable_scripts_names_nothing(text: str) -> None:
    assert _programs("npm run dev", {"package.json": text}) == []


@pytest.mark.parametrize(
    ("line", "programs"),
    [
        ("make", ["$CC", "docker"]),
        ("make all", ["$CC", "docker"]),
        ("make -j 4 image V=1", ["docker"]),
        ("gmake deploy image", ["rsync", "docker", "$CC"]),
        ("make other", ["$CC", "docker"]),
        ("make -C other", []),
        ("make -fother image", []),
    ],
)
def test_the_recipes_of_a_makefile_name_their_programs(line: str, programs: list[str]) -> None:
    assert _programs(line, {"Makefile": MAKEFILE}) == programs


def test_a_makefile_in_which_all_need_all_is_read_in_no_time() -> None:
    """A command can leave one behind: with 16 KiB of it the report after the run would not have come."""
    names = " ".join(f"a{number}" for number in range(500))
    began = time.process_time()
    assert _programs("make", {"Makefile": f"{names}: {names}\n\tone\n"}) == ["one"]
    assert time.process_time() - began < 1


def test_of_several_makefiles_the_one_that_make_takes_is_read() -> None:
    files = {"Makefile": "a:\n\tone\n", "makefile": "a:\n\ttwo\n", "GNUmakefile": "a:\n\tthree\n"}
    assert _programs("make", files) == ["three"]
    assert _programs("make", {"Makefile": "# nothing\n\ttwo\n.PHONY: a\n"}) == []
