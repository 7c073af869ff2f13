"""Directories of nono's own: created for one user, refused when somebody else could have been in them."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from nono.private_dir import open_private_dir


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_private_directories_are_owner_only_under_any_umask(tmp_path: Path) -> None:
    previous_umask = os.umask(0)
    try:
        os.close(open_private_dir(str(tmp_path / "a" / "b"), create=True))
    finally:
        os.umask(previous_umask)
    assert mode(tmp_path / "a") == mode(tmp_path / "a" / "b") == 0o700


def test_without_create_a_missing_directory_stays_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        open_private_dir(str(tmp_path / "a"), create=False)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_others_could_read_is_narrowed(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(0o755)
    os.close(open_private_dir(str(tmp_path / "a"), create=False))
    assert mode(tmp_path / "a") == 0o700


@pytest.mark.parametrize("bits", [0o770, 0o707], ids=["group", "others"])
def test_a_directory_that_others_could_write_is_refused(tmp_path: Path, bits: int) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a").chmod(bits)
    with pytest.raises(PermissionError, match="other users may write"):
        open_private_dir(str(tmp_path / "a"), create=True)


def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").mkdir(mode=0o700)
    os.close(open_private_dir(str(tmp_path / "a"), create=False))
    somebody = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: somebody)
    with pytest.raises(PermissionError, match="belongs to uid"):
        open_private_dir(str(tmp_path / "a"), create=False)


def test_the_last_component_may_not_be_a_symlink_but_an_earlier_one_may(tmp_path: Path) -> None:
    (tmp_path / "real" / "sub").mkdir(parents=True, mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    os.close(open_private_dir(str(tmp_path / "link" / "sub"), create=False))
    with pytest.raises(OSError, match="it is a link") as caught:
        open_private_dir(str(tmp_path / "link"), create=False)
    assert caught.value.errno == errno.ELOOP


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError):
        open_private_dir(str(tmp_path / "a"), create=True)
