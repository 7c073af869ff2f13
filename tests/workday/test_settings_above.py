"""Settings in the person's home, which tools look for above a project, end nothing inside."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from support.nono_run import NonoRun, nono_run

PLAIN: Mapping[str, object] = {}
PYTEST = "printf 'def test_a(): pass\\n' > test_a.py; python3 -m pytest -q -p no:cacheprovider test_a.py"
NPM = "npm pkg get name | grep -q outer"
GO = "go mod init inner; go mod edit -json | grep -q inner; go list -m | grep -qx inner"
CARGO = "cargo metadata --no-deps --format-version 1 | grep -q outer"
CRATE = '[package]\nname = "outer"\nversion = "1.0.0"\nedition = "2021"\n[lib]\npath = "lib.rs"\n'


@dataclass(frozen=True)
class Case:
    file: str  # below the home
    text: str
    script: str
    program: str


CONFIGURED = "cargo init -q --vcs none --name inner .; cargo metadata -q --no-deps --format-version 1 > log"
CASES = {
    "tox.ini": Case("tox.ini", "[flake8]\n", PYTEST, "python3"),
    "package.json": Case("package.json", '{"name": "outer"}\n', NPM, "npm"),
    "Cargo.toml": Case("Cargo.toml", CRATE, CARGO, "cargo"),
    "cargo's config.toml": Case(".cargo/config.toml", "[net]\noffline = true\n", CONFIGURED, "cargo"),
    "Gemfile": Case("Gemfile", "", "bundle list", "bundle"),
    "maven.config": Case(".mvn/maven.config", "-o\n", "mvn -v", "mvn"),
    "go.mod": Case("go.mod", "module outer\n\ngo 1.20\n", GO, "go"),
    "guile": Case(".guile", "1\n", "echo 1 | guile", "guile"),
    "clisp": Case(".clisprc", "(print 1)\n", "clisp -q -x '(print 2)'", "clisp"),
    "ecl": Case(".eclrc", "(print 1)\n", "ecl --eval '(quit)'", "ecl"),
    "sbcl": Case(".sbclrc", "(print 1)\n", "sbcl --non-interactive --eval '(print 2)'", "sbcl"),
    "swipl": Case(".config/swi-prolog/init.pl", "a.\n", "swipl -g halt", "swipl"),
    "hatch": Case(".config/hatch/config.toml", "[template]\nname = 'Ada'\n", "hatch config show", "hatch"),
    "rebar3": Case(".config/rebar3/rebar.config", "%% empty\n", "rebar3 version", "rebar3"),
}


@pytest.fixture(name="person")
def _person() -> Iterator[NonoRun]:
    with nono_run() as person:
        yield person


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_a_tool_that_reads_them_works_inside_as_outside(person: NonoRun, case: Case) -> None:
    if shutil.which(case.program) is None:
        pytest.skip(f"{case.program} is not installed")
    file = person.user.home / case.file
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(case.text)
    person.give(file)
    command = ["sh", "-euc", f"mkdir -p in; cd in; {case.script}; cd ..; rm -r in"]
    outside = person.bare(command)
    if outside.exit_code != 0:
        pytest.skip(f"it fails outside too: {outside.stderr[-200:]}")
    inside = person.run(command, profile=PLAIN, flags=["--allow=."])
    assert inside.exit_code == 0, inside.stdout + inside.stderr


@pytest.mark.parametrize("name", [".npmrc", "notes.toml", "pyproject.toml.bak"])
def test_a_file_beside_them_is_read_outside_alone(person: NonoRun, name: str) -> None:
    file = person.user.home / name
    file.write_text("of the person\n")
    person.give(file)
    command = ["cat", str(file)]
    assert person.bare(command).exit_code == 0
    assert person.run(command, profile=PLAIN, flags=["--allow=."]).exit_code != 0
