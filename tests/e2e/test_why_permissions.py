"""`nono why` says where a person's own permissions refuse a file, which no option of nono would change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from support.elevation import as_user
from support.nono_run import NONO, NonoRun

EITHER = "you may not {} it outside a run either"


def why(sandbox: NonoRun, path: str | Path, op: str = "read", *options: str) -> dict[str, Any]:
    answer = sandbox.bare([*NONO, "why", *options, "--json", "--op", op, "--path", str(path)]).outcomes()
    assert isinstance(answer, dict)
    return answer


@pytest.fixture
def closed(sandbox: NonoRun) -> Path:
    """Return a file of the person's that they may not open as it is."""
    file = sandbox.user.home / "closed"
    file.write_text("dear")
    sandbox.give(file).chmod(0)
    return file


@as_user
def test_a_file_that_its_mode_closes_is_offered_no_option(sandbox: NonoRun, closed: Path) -> None:
    answer = why(sandbox, closed)
    assert (answer["status"], answer["warning"]) == ("denied", EITHER.format("read"))
    assert "suggested_flag" not in answer
    closed.chmod(0o400)
    answer = why(sandbox, closed)
    assert (answer["status"], answer["suggested_flag"]) == ("denied", f"--read-file {closed}")
    assert "warning" not in answer


@as_user
def test_a_granted_file_that_its_mode_closes_is_told_to_be_closed(sandbox: NonoRun, closed: Path) -> None:
    closed.chmod(0o400)
    granted = f"--allow-file={closed}"
    assert "warning" not in why(sandbox, closed, "read", granted)
    answer = why(sandbox, closed, "write", granted)
    assert (answer["status"], answer["warning"]) == ("allowed", EITHER.format("write"))


@as_user
def test_a_file_below_a_closed_directory_is_told_and_a_missing_one_is_not(
    sandbox: NonoRun, closed: Path
) -> None:
    assert why(sandbox, "/proc/1/root/etc/hosts")["warning"] == EITHER.format("read")
    assert "warning" not in why(sandbox, closed.with_name("missing"))
