"""Whoever owns a file, a directory on the way to it, or that of a link to it, could change what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nono.cli import changed_by_others as module
from nono.cli.changed_by_others import changed_by_others
from nono.policy.host_filesystem import inode

OTHER = 62001

pytestmark = pytest.mark.root


@pytest.mark.parametrize("theirs", [None, "place/file", "place", "links", "beside"])
def test_what_another_user_could_change_is_told(tmp_path: Path, theirs: str | None) -> None:
    for name in ("place", "links", "beside"):
        (tmp_path / name).mkdir()
    (tmp_path / "place/file").touch()
    (tmp_path / "links/link").symlink_to(tmp_path / "place/file")
    if theirs is not None:
        os.chown(tmp_path / theirs, OTHER, -1)
    reason = changed_by_others(str(tmp_path / "links/link"))
    assert (reason is not None) is (theirs in ("place/file", "place", "links"))


def test_where_owners_are_not_told_apart_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a user namespace without root, what is root's has the number of nobody."""
    path = tmp_path / "file"
    path.touch()
    os.chown(path, OTHER, -1)
    assert changed_by_others(str(path)) is not None
    monkeypatch.setattr(module, "inode", lambda each: inode(each)._replace(uid=65534))
    assert changed_by_others(str(path)) is None
