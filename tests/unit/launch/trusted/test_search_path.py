"""nono.launch.trusted.search_path: programs outside are not found where the command may write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.launch.trusted.search_path import unwritten
from nono.policy.capability import Access, Grant


@pytest.mark.parametrize("entry", ["granted", "granted/bin", "link", "granted/out", "", "."])
def test_no_program_is_found_where_the_command_may_write(
    entry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "granted").mkdir()
    (tmp_path / "link").symlink_to("granted")
    (tmp_path / "granted/out").symlink_to("/usr/bin")
    monkeypatch.chdir(tmp_path / "granted")
    named = str(tmp_path / entry) if len(entry) > 1 else entry
    granted = Grant(str(tmp_path / "granted"), Access.READWRITE, True, "test", "granted")
    assert unwritten(f"{named}:/usr/bin", [granted]) == "/usr/bin"
    assert unwritten(named, [granted]) == os.defpath
    for_reading = granted._replace(access=Access.READ)
    assert unwritten(f"{named}:/usr/bin", [for_reading]) == f"{named}:/usr/bin"
