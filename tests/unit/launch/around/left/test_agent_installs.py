"""Which programs of agents a run has changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.kernel import open_path
from nono.launch.around.left import agent_installs
from nono.launch.around.left.agent_installs import look, places_of, sentences
from nono.policy.capability import Access, Grant
from nono.policy.path_expansion import PathContext
from support.host_facts import PROXIED

PATHS = PathContext("/home/ada", "/work", "/work", {"HOME": "/home/ada"})
RELEASE = "app-server-daemon/releases/1"
Change = Callable[[Path], object]


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    made = tmp_path / ".codex/packages"
    program = made / RELEASE / "bin/codex"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/true\n")
    program.chmod(0o755)
    (made / "app-server-daemon/install.lock").touch()
    (made / "app-server-daemon/current").symlink_to(made / RELEASE)
    return made


def told(packages: Path, change: Change) -> list[str]:
    places = {str(packages): str(packages.parent)}
    before = look(places)
    change(packages)
    return [*sentences(places, before)]


def replaced(packages: Path) -> None:
    new = packages / "new"
    new.write_text("#!/bin/true\n")  # as long as the other
    new.chmod(0o755)
    new.rename(packages / RELEASE / "bin/codex")


def led_elsewhere(packages: Path) -> None:
    link = packages / "app-server-daemon/current"
    link.unlink()
    link.symlink_to(packages.parent)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        pytest.param(replaced, f"{RELEASE}/bin/codex", id="replaced"),
        pytest.param(led_elsewhere, "app-server-daemon/current", id="led elsewhere"),
        pytest.param(lambda at: (at / RELEASE / "bin/codex").unlink(), f"{RELEASE}/bin/codex", id="removed"),
        pytest.param(lambda at: (at / "a b").write_text("x"), "'a b'", id="new"),
        pytest.param(
            lambda at: (at / RELEASE / "bin/codex").chmod(0o4755), f"{RELEASE}/bin/codex", id="mode"
        ),
    ],
)
def test_a_changed_program_is_told(packages: Path, change: Change, name: str) -> None:
    assert told(packages, change) == [
        f"this run changed {name} in {packages}: an agent outside runs or obeys what is there"
    ]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda _: None, id="nothing"),
        pytest.param(lambda at: (at / "other.lock").touch(), id="an empty file"),
        pytest.param(lambda at: (at / RELEASE / "bin/codex").read_text(), id="a program run"),
        pytest.param(lambda at: (at.parent / "history").write_text("x"), id="beside them"),
    ],
)
def test_what_changes_no_program_is_not_told(packages: Path, change: Change) -> None:
    assert told(packages, change) == []


@pytest.mark.parametrize(("name", "is_told"), [("plugins", True), ("marketplaces", False)])
def test_the_git_of_a_clone_alone_is_not_told(tmp_path: Path, name: str, is_told: bool) -> None:
    """Each look for news changes it, and it is told of as repositories are."""
    place = tmp_path / name
    (place / "mk/.git").mkdir(parents=True)
    assert bool(told(place, lambda at: (at / "mk/.git/FETCH_HEAD").write_text("x"))) is is_told
    assert told(place, lambda at: (at / "mk/plugin.json").write_text("x"))


def test_many_programs_are_counted_after_those_that_can_be_started(packages: Path) -> None:
    notes = packages / "notes"  # looked at before the program below it
    notes.write_text("x")

    def change(at: Path) -> None:
        for number in range(3):
            (at / f"p{number}").write_text("x")
        notes.write_text("xx")
        replaced(at)

    (said,) = told(packages, change)
    assert said.startswith(f"this run changed {RELEASE}/bin/codex, ")
    assert " and 2 more in " in said


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda at: (at.rename(at.parent / "away"), at.symlink_to("/etc")), id="a link"),
        pytest.param(lambda at: [(at / f"p{number}").write_text("x") for number in range(9)], id="too many"),
        pytest.param(
            lambda at: [(at / f"{number % 2}/{number}").mkdir(parents=True) for number in range(8)],
            id="too many directories",
        ),
    ],
)
def test_what_cannot_be_looked_at_is_told(
    packages: Path, change: Change, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_installs, "ENTRIES_MAX", 8)
    assert told(packages, change) == [
        f"nono cannot tell whether this run changed programs in {packages}: "
        "look there, an agent outside obeys it"
    ]


def test_too_many_programs_are_told_by_the_next_run_too_but_no_link_of_the_persons(
    packages: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_installs, "ENTRIES_MAX", 1)
    assert len(told(packages, lambda _: None)) == 1
    packages.rename(packages.parent.parent / "away")
    packages.symlink_to(packages.parent.parent / "away")
    assert told(packages, lambda _: None) == []


def test_programs_are_looked_for_where_the_run_may_write() -> None:
    def granted(access: Access) -> dict[str, str]:
        grants = (Grant("/home/ada/.codex", access, True, "profile", "/home/ada/.codex"),)
        return places_of(PROXIED._replace(grants=grants), PATHS)

    names = ("packages", "plugins", "rules", ".tmp/marketplaces")
    assert granted(Access.READWRITE) == {f"/home/ada/.codex/{name}": "/home/ada/.codex" for name in names}
    assert granted(Access.READ) == {}


def test_programs_are_looked_for_in_the_projects_that_the_run_may_change() -> None:
    def granted(path: str, access: Access, source: str = "user") -> set[str]:
        grants = (Grant(path, access, True, source, path),)
        return set(places_of(PROXIED._replace(workdir="/work/one", grants=grants), PATHS).values())

    assert granted("/work", Access.READWRITE) == {"/work/one", "/work"}
    assert granted("/data", Access.READWRITE) == {"/data"}
    assert granted("/data", Access.READWRITE, "group:system_write_linux") == set()
    assert granted("/work", Access.READ) == set()


def test_programs_are_looked_for_where_a_grant_of_the_directory_alone_or_a_link_leads(tmp_path: Path) -> None:
    def granted(path: Path) -> dict[str, str]:
        grants = (Grant(str(path), Access.READWRITE, True, "profile", str(path)),)
        places = places_of(PROXIED._replace(grants=grants), paths)
        return {place: around for place, around in places.items() if around == str(state)}

    paths = PATHS._replace(home=str(tmp_path))
    state = tmp_path / "dotfiles/codex"
    state.mkdir(parents=True)
    (tmp_path / ".codex").symlink_to(state)
    assert granted(state) == {
        str(state / name): str(state) for name in ("packages", "plugins", "rules", ".tmp/marketplaces")
    }
    assert granted(state / "packages") == {str(state / "packages"): str(state)}
    assert granted(state / "log") == {}


def test_a_look_that_fails_is_no_difference(packages: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = {str(packages): str(packages.parent)}
    before = look(places)

    def fail(*_: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(open_path, "open_beneath", fail)
        (said,) = sentences(places, before)
    assert said == (
        "nono cannot tell whether this run changed programs of agents (Too many open files): "
        f"look at those in {packages}"
    )
    assert [*sentences(places, before)] == []
