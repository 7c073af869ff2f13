"""The ordinary user has a fresh home, no privilege, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.ordinary_user import (
    UNPRIVILEGED_ID,
    as_ordinary_user,
    become,
    become_by_python,
    ordinary_user,
)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="the suite is not run by root")


@as_root
@pytest.mark.parametrize("becoming", [become, become_by_python])
def test_the_user_has_neither_roots_ids_nor_capabilities(becoming: Callable[[int], list[str]]) -> None:
    fields = "^(Uid|Gid|Groups|CapPrm|CapEff|SigIgn|NoNewPrivs):"
    argv = [*becoming(UNPRIVILEGED_ID), "grep", "-E", fields, "/proc/self/status"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    status = dict(line.split(":", 1) for line in done.stdout.splitlines())
    ids = [str(UNPRIVILEGED_ID)] * 4
    assert (status["Uid"].split(), status["Gid"].split(), status["Groups"].split()) == (ids, ids, [])
    assert int(status["CapPrm"], 16) == int(status["CapEff"], 16) == int(status["SigIgn"], 16) == 0
    assert status["NoNewPrivs"].strip() == "0"


@as_root
def test_the_user_writes_only_at_home(tmp_path: Path) -> None:
    with ordinary_user() as user:
        assert user.run(["touch", "here"]).returncode == 0
        assert user.run(["touch", str(tmp_path / "there")]).returncode != 0
        assert (user.home / "here").stat().st_uid == user.uid


def test_the_home_is_gone_afterwards_whatever_is_in_it() -> None:
    with ordinary_user() as user:
        assert user.run(["sh", "-c", 'mkdir -p "$XDG_STATE_HOME" && touch "$TMPDIR/x"']).returncode == 0
    assert not user.home.exists()


def test_every_directory_of_the_user_is_in_the_home() -> None:
    done = as_ordinary_user(["env"])
    variables = dict(line.split("=", 1) for line in done.stdout.splitlines())
    own = {name for name in variables if name.startswith("XDG_")} | {"TMPDIR"}
    assert len(own) == 6
    assert all(variables[name].startswith(variables["HOME"] + "/") for name in own)


def test_the_environment_of_the_suite_stays_out_unless_it_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OUTER", "1")
    assert as_ordinary_user(["printenv", "OUTER"]).returncode == 1
    assert as_ordinary_user(["printenv", "OUTER"], environment={"OUTER": "2"}).stdout == "2\n"


def test_the_user_runs_the_python_of_the_suite() -> None:
    done = as_ordinary_user([sys.executable, "-c", "import pytest; print(input())"], stdin="read\n")
    assert (done.stdout, done.stderr) == ("read\n", "")


@as_root
def test_a_directory_closed_to_others_is_out_of_reach(tmp_path: Path) -> None:
    with ordinary_user() as user:
        closed = user.home / "closed"
        (closed / "inner").mkdir(parents=True)
        user.home.chmod(0o755)
        closed.chmod(0o755)
        assert user.reaches(closed / "inner")
        closed.chmod(0o700)
        assert not user.reaches(closed / "inner")
