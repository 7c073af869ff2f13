"""Caches of a run: what one project's command leaves there reaches neither the person nor another project."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from support.nono_run import NO_NAMESPACES, NONO, NonoRun, nono_run

pytestmark = pytest.mark.any_user

WAYS = ("--namespaces=auto", NO_NAMESPACES)


@pytest.fixture
def runner() -> Iterator[NonoRun]:
    with nono_run() as made:
        for name in ("other", "project"):
            (made.user.home / name).mkdir(exist_ok=True)
            made.give(made.user.home / name)
        yield made


def inside(runner: NonoRun, project: str, script: str, *flags: str) -> str:
    """Run a script inside, in a project of the home; returns what it printed and complained."""
    ended = runner.user.run(
        [*NONO, "run", "--silent", *(flags or ("--allow=.",)), "--", "sh", "-c", script],
        cwd=runner.user.home / project,
    )
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("way", WAYS)
def test_what_a_run_caches_is_there_for_the_next_one(runner: NonoRun, way: str) -> None:
    inside(runner, "project", "mkdir -p $GOCACHE && echo kept > $GOCACHE/a", "--allow=.", way)
    assert inside(runner, "project", "cat $GOCACHE/a", "--allow=.", way) == "kept\n"


@pytest.mark.parametrize("way", WAYS)
def test_another_projects_cache_is_out_of_reach(runner: NonoRun, way: str) -> None:
    inside(runner, "project", "mkdir -p $GOCACHE && echo kept > $GOCACHE/a", "--allow=.", way)
    theirs = next((runner.user.home / ".cache/nono/caches").glob("project-*/go-build/a"))
    said = inside(
        runner, "other", f"cat {theirs}; echo poison > {theirs}; ls {theirs.parents[2]}", "--allow=.", way
    )
    assert said.count("denied") == 3
    assert theirs.read_text() == "kept\n"


def test_a_command_that_may_only_read_a_project_does_not_fill_its_caches(runner: NonoRun) -> None:
    inside(runner, "project", "mkdir -p $GOCACHE && echo kept > $GOCACHE/a")
    path = inside(runner, "project", "echo $GOCACHE").strip()
    said = inside(runner, "project", f"echo poison > {path}/a; echo $GOCACHE", "--read=.")
    assert "denied" in said
    assert path not in said.splitlines()


def test_a_directory_of_caches_cannot_become_a_link(runner: NonoRun) -> None:
    """The next run would be granted what the link leads to."""
    said = inside(runner, "project", 'd=${GOCACHE%/*}; mv "$d" "$d.old"; ln -s ~/.ssh "$d"')
    assert "cannot move" in said
    (runner.user.home / ".ssh").mkdir()
    runner.give(runner.user.home / ".ssh")
    assert "denied" in inside(runner, "project", "ls ~/.ssh")


def test_a_link_that_replaced_caches_is_not_followed(runner: NonoRun) -> None:
    own = inside(runner, "project", "echo ${GOCACHE%/*}").strip()
    secret = runner.user.home / "secret"
    secret.mkdir()
    runner.give(secret)
    shutil.rmtree(own)
    runner.user.run(["ln", "-s", str(secret), own])
    assert "denied" in inside(runner, "project", f"ls {own}/")


def test_a_directory_made_at_the_start_is_not_made_through_a_link(runner: NonoRun) -> None:
    assert inside(runner, "project", 'ls -d "$R_LIBS_USER"').endswith("/R\n")
    inside(runner, "project", 'rmdir "$R_LIBS_USER"; ln -s ~/made "$R_LIBS_USER"')
    assert "No such file" in inside(runner, "project", 'ls "$R_LIBS_USER/"; ls ~/made')
    assert not (runner.user.home / "made").exists()


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_npm_leaves_the_persons_cache_as_it_is(runner: NonoRun) -> None:
    package = 'mkdir p && echo \'{"name":"m","version":"1.0.0"}\' > p/package.json'
    script = f"{package} && npm install --offline --no-update-notifier ./p"
    assert "added 1 package" in inside(runner, "project", script, "--profile=node-dev", "--allow-cwd")
    assert not (runner.user.home / ".npm").exists()


def test_a_home_in_which_nothing_can_be_made_runs_without(runner: NonoRun) -> None:
    (runner.user.home / ".cache").write_text("")
    assert inside(runner, "project", "echo ${GOCACHE-none}") == "none\n"
