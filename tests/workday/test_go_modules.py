"""Go fetches modules, checks them against a checksum database, and installs programs, inside as outside."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from support.nono_run import NO_NAMESPACES, NonoRun, nono_run
from support.workday.go_modules import MODULE, PROGRAM, VERSION, written_below

pytestmark = [
    pytest.mark.any_user,
    pytest.mark.skipif(shutil.which("go") is None, reason="go is not installed"),
]

WAYS = {"namespaces": (), "none": (NO_NAMESPACES,)}
PROFILE: Mapping[str, object] = {"extends": "go-dev", "network": {"allow_domain": []}}
GET = f"go mod init m && go get {MODULE}@{VERSION} && grep -q {MODULE} go.sum"
INSTALL = f'go install {PROGRAM} && "$(go env GOPATH)/bin/answers"'

COMMANDS = [pytest.param(GET, id="get"), pytest.param(INSTALL, id="install", marks=pytest.mark.slow)]


class Person(NamedTuple):
    run: NonoRun
    settings: str  # of go, for a shell

    @property
    def kept(self) -> Path:
        """Return where go keeps the head of the database outside."""
        return self.run.user.home / "go/pkg/sumdb"


@pytest.fixture(name="person")
def _person() -> Iterator[Person]:
    with nono_run() as run:
        modules = run.project / "modules"
        settings = written_below(modules)
        for path in (modules, *modules.rglob("*")):
            run.give(path)
        yield Person(run, " ".join(f"{name}='{value}'" for name, value in settings.items()))


def script(person: Person, commands: str) -> list[str]:
    return ["sh", "-c", f"export {person.settings} && {commands}"]


@pytest.mark.parametrize("commands", COMMANDS)
def test_go_keeps_what_it_knows_of_the_database_in_the_home_outside(person: Person, commands: str) -> None:
    ended = person.run.bare(script(person, commands))
    assert ended.exit_code == 0, ended.stderr
    assert person.kept.is_dir()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("commands", COMMANDS)
def test_it_does_both_inside_and_leaves_the_persons_alone(person: Person, commands: str, way: str) -> None:
    ended = person.run.run(script(person, commands), profile=PROFILE, flags=WAYS[way])
    assert ended.exit_code == 0, ended.stderr
    assert not person.kept.exists()


@pytest.mark.slow
@pytest.mark.parametrize("is_on_path", [True, False], ids=["on PATH", "not on PATH"])
def test_a_program_that_it_installs_is_found_by_its_name_where_the_persons_are(
    person: Person, is_on_path: bool
) -> None:
    entries = f"{person.run.user.home}/go/bin:/usr/bin:/bin" if is_on_path else "/usr/bin:/bin"
    command = script(person, f"go install {PROGRAM} && answers")
    ended = person.run.run(command, profile=PROFILE, wrapper=("env", f"PATH={entries}"))
    assert (ended.exit_code == 0) is is_on_path, ended.stderr
    assert ("not found" in ended.stderr) is not is_on_path


def test_it_takes_no_programs_place(person: Person) -> None:
    planted = 'p=${GOPATH%%:*}/bin && mkdir -p $p && printf "echo planted" > $p/id && chmod +x $p/id'
    command = ["sh", "-c", f"{planted} && id -u && sh -c 'command -v id'"]
    path = f"PATH={person.run.user.home}/go/bin:/usr/bin:/bin"
    ended = person.run.run(command, profile=PROFILE, wrapper=("env", path))
    assert ended.stdout.split() == [str(person.run.user.uid), "/usr/bin/id"], ended.stderr


def test_as_the_command_itself_it_is_named_by_the_way_that_finds_it(person: Person) -> None:
    path = f"PATH={person.run.user.home}/go/bin:/usr/bin:/bin"
    planted = (
        'p=${GOPATH%%:*}/bin && mkdir -p $p && printf "#!/bin/sh\necho mine" > $p/mine && chmod +x $p/mine'
    )
    assert person.run.run(["sh", "-c", planted], profile=PROFILE, wrapper=("env", path)).exit_code == 0
    for name in ("mine", "others"):
        ended = person.run.run([name], profile=PROFILE, wrapper=("env", path))
        assert "not found on PATH" in ended.stderr
        assert ("hint: runs here have installed it" in ended.stderr) is (name == "mine")
    ended = person.run.run(["env", "mine"], profile=PROFILE, wrapper=("env", path))
    assert ended.stdout == "mine\n", ended.stderr


@pytest.mark.parametrize("commands", COMMANDS)
def test_it_may_not_do_so_in_the_persons_place(person: Person, commands: str) -> None:
    settled = f"export GOPATH={person.run.user.home}/go && {commands}"
    ended = person.run.run(script(person, settled), profile=PROFILE)
    assert ended.exit_code != 0
    assert "verifying" in ended.stderr
    assert not person.kept.exists()
