"""Nothing stays in /tmp in place of a run's temporary directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.launch.around import temporary_directory as module


@pytest.mark.parametrize("left", ["directory", "link", "file"])
def test_what_a_command_leaves_in_its_place_is_removed_and_nothing_behind_it(
    left: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    monkeypatch.setattr(module, "DIRECTORY", str(tmp_path))
    with module.temporary_directory("run") as path:
        Path(path, "own").touch()
        if left != "directory":
            os.rename(path, tmp_path / "moved")
        if left == "link":
            os.symlink(outside, path)
        if left == "file":
            Path(path).touch()
    assert not os.path.lexists(path)
    assert (outside / "file").exists()
