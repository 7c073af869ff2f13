"""The command's PWD is the path by which a person came, if it leads to where the command starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.sandbox.command import Command
from nono.sandbox.enter import keep_spelling


@pytest.mark.parametrize(("spelled", "is_kept"), [("link", True), ("other", False), ("gone", False)])
def test_pwd_is_as_spelled_if_that_leads_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelled: str, is_kept: bool
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "link").symlink_to(here)
    monkeypatch.chdir(here)
    command = Command("/bin/true", ("true",), {"PWD": str(here)}, str(here), str(tmp_path / spelled))
    keep_spelling(command)
    assert command.environment["PWD"] == (command.spelled if is_kept else str(here))
