"""K15: a program is judged as a file by every name, and what runs from memory is as confined as ever."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copy, which

import pytest

from support.canary import Canary
from support.nono_run import SANDBOX_POLICIES, NonoRun, program

WORKS = {"what may be, in memory", "what may be, by the loader"}
CONNECTS = "a shell in memory that connects"


@pytest.fixture
def outside(sandbox: NonoRun) -> Iterator[Path]:
    """Yield a program that everybody may execute, in a directory that is not granted."""
    directory = sandbox.user.home / "outside"
    directory.mkdir()
    target = directory / "true"
    copy(which("true") or "/bin/true", target)
    for made in (directory, target):
        made.chmod(0o755)
        sandbox.give(made)
    yield target
    target.unlink()
    directory.rmdir()


def ask(outside: Path, port: int) -> list[str]:
    return program("files.exec_ways", str(outside), sys.executable, port)


@pytest.mark.parametrize("policy", SANDBOX_POLICIES)
def test_no_way_of_executing_leads_out(policy: str, sandbox: NonoRun, outside: Path) -> None:
    with Canary() as canary:
        command = ask(outside, canary.tcp("stranger"))
        outcomes = sandbox.run(command, flags=[f"--sandbox-policy={policy}"]).outcomes()
        assert canary.seen() == {}
    assert outcomes.pop(CONNECTS) in ("EACCES", "ECONNREFUSED")
    assert {name for name, outcome in outcomes.items() if outcome == "ok"} == WORKS
    # The loader ends with a code of its own when it may not open what it should load.
    loaded = outcomes.pop("by the loader")
    assert loaded != "ok"
    assert {outcome for name, outcome in outcomes.items() if name not in WORKS} == {"EACCES"}


def test_each_way_executes_without_nono(sandbox: NonoRun, outside: Path) -> None:
    with Canary() as canary:
        outcomes = sandbox.bare(ask(outside, canary.tcp("stranger"))).outcomes()
        assert canary.seen() == {"stranger": 1}
    assert set(outcomes.values()) == {"ok"}
