"""nono.launch.trusted.search_path: programs outside are not found where the command may write."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.credentials.helpers.program import DEFAULT_PATH
from nono.launch.trusted.search_path import beside_command, unwritten
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


@pytest.mark.parametrize(("access", "is_kept"), [(Access.READ, True), (Access.READWRITE, False)])
def test_programs_that_handle_keys_are_found_where_no_command_writes(
    tmp_path: Path, access: Access, is_kept: bool
) -> None:
    granted = Grant(str(tmp_path), access, True, "test", "granted")
    found = beside_command({"HOME": "/home/ada", "PATH": f"{tmp_path}/bin:/usr/bin"}, (granted,))
    assert found == {"HOME": "/home/ada", "PATH": f"{tmp_path}/bin:/usr/bin" if is_kept else "/usr/bin"}
    assert beside_command({}, (granted,)) == {"PATH": DEFAULT_PATH}
