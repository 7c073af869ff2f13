"""nono.disk.tree: nothing that a command leaves stays."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

import pytest

from nono.disk.tree import remove_tree
from support.forked import in_child
from support.ordinary_user import UNPRIVILEGED_ID


def test_no_depth_keeps_a_directory(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    top = directory = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1500):  # more than Python recurses, and than files may be open
        os.mkdir("d", dir_fd=directory)
        below = os.open("d", os.O_RDONLY, dir_fd=directory)
        if directory != top:
            os.close(directory)
        directory = below
    os.close(directory)
    os.close(top)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 256), hard))
    try:
        remove_tree(str(tmp_path))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert not tmp_path.exists()


@pytest.mark.parametrize("mode", [0o555, 0])
def test_closed_directories_go_and_what_links_lead_to_stays(tmp_path: Path, mode: int) -> None:
    outside, top = tmp_path / "outside", tmp_path / "top"
    outside.mkdir()
    (outside / "kept").touch()
    (top / "cache/module").mkdir(parents=True)
    (top / "cache/module/file").touch()
    (top / "cache/module/link").symlink_to(outside)
    (top / "link").symlink_to(outside)
    is_root = os.geteuid() == 0  # whom no mode keeps out
    for path in (tmp_path, *tmp_path.rglob("*")) if is_root else ():
        os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID, follow_symlinks=False)
    for each in ("cache/module", "cache", "."):
        (top / each).chmod(mode)
    outside.chmod(0o755)
    parent = os.open(tmp_path, os.O_RDONLY)

    def removed() -> None:
        if is_root:
            os.setresuid(UNPRIVILEGED_ID, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        remove_tree("top", parent)

    in_child(removed)
    os.close(parent)
    assert not top.exists()
    assert (outside / "kept").exists()
    assert outside.stat().st_mode & 0o777 == 0o755


def test_what_stays_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(name: str, *, dir_fd: int) -> None:
        raise IsADirectoryError if name == "directory" else PermissionError(errno.EACCES, "refused")

    (tmp_path / "directory").mkdir()
    (tmp_path / "directory/file").touch()
    (tmp_path / "link").symlink_to("directory")
    for name in ("directory/file", "link"):
        with pytest.raises(NotADirectoryError):
            remove_tree(str(tmp_path / name))
    monkeypatch.setattr("os.unlink", refused)
    with pytest.raises(PermissionError, match=f"refused: '{tmp_path}'"):
        remove_tree(str(tmp_path))
    assert len([*tmp_path.glob("*/file")]) == 1


def test_a_directory_that_may_not_be_opened_is_told_by_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that a run of root has left in the home of another user, whom mode 0700 keeps out."""
    opened = os.open

    def refused(path: str, flags: int, *, dir_fd: int | None = None) -> int:
        if flags & os.O_PATH:
            return opened(path, flags, dir_fd=dir_fd)
        raise PermissionError(errno.EACCES, "refused", path)

    monkeypatch.setattr("os.open", refused)
    with pytest.raises(PermissionError, match=f"refused: '{tmp_path}'"):
        remove_tree(str(tmp_path))


def test_what_is_mounted_in_it_keeps_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(source: str, target: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        raise OSError(errno.EBUSY, "a mount")

    (tmp_path / "mount").mkdir(mode=0o755)
    monkeypatch.setattr("os.rename", moved)
    with pytest.raises(OSError, match="a mount"):
        remove_tree(str(tmp_path))
    assert (tmp_path / "mount").stat().st_mode & 0o777 == 0o755
