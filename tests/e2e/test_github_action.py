"""action.yml does for a workflow what its inputs say, run step by step as GitHub would."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hosted.github_action import Action
from support.nono_run import NONO, NonoRun, nono_run

CONNECT = "exec 3<>/dev/tcp/127.0.0.1/9"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[NonoRun]:
    """Yield a runner's user, for whom the first step has installed this nono."""
    with nono_run() as run:
        program = run.user.home / "tmp/nono/bin/nono"
        program.parent.mkdir(parents=True)
        program.write_text(f'#!/bin/sh\nexec {" ".join(NONO)} "$@"\n')
        program.chmod(0o755)
        yield run


def ran(sandbox: NonoRun, **inputs: str) -> subprocess.CompletedProcess[str]:
    user = sandbox.user
    place = (user.home / "tmp", sandbox.project, user.environment(), user.command([]))
    done = Action(inputs).step("Run", *place)
    assert done is not None
    return done


def test_the_command_may_write_the_workspace(sandbox: NonoRun) -> None:
    done = ran(sandbox, run="echo made > made\ncat made")
    assert (done.returncode, done.stdout) == (0, "made\n"), done.stderr


def test_the_command_may_not_write_beside_the_workspace(sandbox: NonoRun) -> None:
    done = ran(sandbox, run="echo made > ../beside")
    assert done.returncode == 1
    assert not (sandbox.project.parent / "beside").exists()


def test_the_step_fails_where_any_command_of_a_pipe_fails(sandbox: NonoRun) -> None:
    assert ran(sandbox, run="false | true").returncode == 1


def test_every_line_of_the_options_counts(sandbox: NonoRun) -> None:
    """One that is dropped may be the one that closes something."""
    assert "Connection refused" in ran(sandbox, run=CONNECT, options="--read .").stderr
    assert "not permitted" in ran(sandbox, run=CONNECT, options="--read .\n--block-net\n").stderr


def test_an_option_may_be_quoted_as_in_a_shell(sandbox: NonoRun) -> None:
    granted = sandbox.user.home / "two words"
    granted.mkdir()
    sandbox.user.give(granted)
    done = ran(sandbox, run=f"echo made > '{granted}/made'", options=f"--allow . --allow '{granted}'")
    assert done.returncode == 0, done.stderr


def test_a_quote_that_is_left_open_runs_nothing(sandbox: NonoRun) -> None:
    done = ran(sandbox, run="echo ran", options="--allow . --deny '")
    assert done.returncode != 0
    assert "ran" not in done.stdout


def test_a_profile_is_applied(sandbox: NonoRun) -> None:
    profile = sandbox.write_profile({"network": {"block": True}})
    assert "not permitted" in ran(sandbox, run=CONNECT, profile=str(profile)).stderr


def test_options_may_be_left_empty(sandbox: NonoRun) -> None:
    assert ran(sandbox, run="true", options="").returncode == 0


def test_without_a_command_nothing_is_run(tmp_path: Path) -> None:
    assert Action({}).step("Run", tmp_path, tmp_path, {"PATH": os.defpath}) is None


@pytest.mark.slow
def test_what_the_first_step_installs_is_found_by_later_ones(tmp_path: Path) -> None:
    action = Action({"run": "nono --version; echo made > made"})
    environment = {**os.environ, "HOME": str(tmp_path)}
    installed = action.step("Install nono", tmp_path, tmp_path, environment)
    assert installed is not None
    assert installed.returncode == 0, installed.stderr
    assert (tmp_path / "paths").read_text() == f"{tmp_path}/nono/bin\n"
