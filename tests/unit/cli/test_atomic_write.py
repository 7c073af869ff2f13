"""Files are written whole or not at all, and nothing that is no file is replaced by one."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from nono.cli import atomic_write


def test_a_new_file_never_replaces_another(tmp_path: Path) -> None:
    path = tmp_path / "a/b/c.json"
    atomic_write.create(str(path), b"1")
    with pytest.raises(FileExistsError):
        atomic_write.create(str(path), b"2")
    assert path.read_bytes() == b"1"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_is_replaced_also_behind_a_symlink(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    link.symlink_to(real)
    atomic_write.replace(str(link), b"new")
    assert (link.is_symlink(), real.read_bytes()) == (True, b"new")
    assert sorted(tmp_path.iterdir()) == [link, real]


def test_of_a_name_that_a_command_may_take_the_link_is_replaced(tmp_path: Path) -> None:
    target, named = tmp_path / "target", tmp_path / "named"
    target.write_bytes(b"mine")
    named.symlink_to(target)
    atomic_write.replace_name(str(named), b"new")
    assert (target.read_bytes(), named.read_bytes(), named.is_symlink()) == (b"mine", b"new", False)
    with target.open("wb") as file:
        atomic_write.replace_name(f"/proc/self/fd/{file.fileno()}", b"said")
    assert target.read_bytes() == b"said"


def test_what_takes_a_name_is_private_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        atomic_write.replace_name(str(tmp_path / "report"), b"said")
        atomic_write.replace_name(str(tmp_path / "profile"), b"said", mode=None)
    finally:
        os.umask(before)
    modes = {each.name: stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()}
    assert modes == {"report": 0o600, "profile": 0o644}


def test_what_is_no_regular_file_is_written_to_in_place(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    atomic_write.replace(str(pipe), b"said")
    reader.join()
    assert read == [b"said"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    with pytest.raises(OSError, match="No space left"):
        atomic_write.replace("/dev/full", b"said")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)
    with pytest.raises(IsADirectoryError):
        atomic_write.replace(str(tmp_path), b"said")


def test_a_directory_that_cannot_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError):
        atomic_write.replace("/dev/null/x", b"said")
    (tmp_path / "x").mkdir()
    (tmp_path / "x/y").write_bytes(b"")
    with pytest.raises(OSError, match="directory"):
        atomic_write.create(str(tmp_path / "x/y/z"), b"said")
    assert [*(tmp_path / "x").iterdir()] == [tmp_path / "x/y"]
