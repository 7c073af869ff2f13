"""Opens beyond the grants: a person's yes gives that one file, and everything else stays out of reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.elevation import asked
from support.nono_run import NonoRun

CANARY = "canary of a file outside"


@pytest.fixture
def outside(sandbox: NonoRun) -> Iterator[Path]:
    """A file beside the project, which is not granted."""
    directory = sandbox.user.home / "outside"
    directory.mkdir()
    sandbox.give(directory)
    file = directory / "file"
    file.write_text(CANARY)
    sandbox.give(file)
    yield file
    for left in directory.iterdir():
        left.unlink()
    directory.rmdir()


@pytest.mark.parametrize("yes", [b"y\n", b"YES\n"])
def test_a_yes_gives_the_file_and_is_recorded(sandbox: NonoRun, outside: Path, yes: bytes) -> None:
    with asked(sandbox, ["cat", str(outside)]) as run:
        run.answer(yes)
        assert run.end() == 0
    assert CANARY.encode() in run.person.shown
    assert run.decisions == ["Requested", "Granted"]
    assert {entry["request"]["path"] for entry in run.entries} == {str(outside)}
    assert {entry["request"]["access"] for entry in run.entries} == {"Read"}


@pytest.mark.parametrize("no", [b"n\n", b"\n", b"yo\n", b"\x04", b"\x03"], ids=repr)
def test_anything_else_is_a_no_and_is_recorded(sandbox: NonoRun, outside: Path, no: bytes) -> None:
    with asked(sandbox, ["cat", str(outside)]) as run:
        run.answer(no)
        assert run.end() == 1
    assert CANARY.encode() not in run.person.shown
    assert b"Operation not permitted" in run.person.shown
    assert run.decisions == ["Requested", {"Denied": {"reason": "a person said no"}}]
