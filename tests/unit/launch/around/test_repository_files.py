"""nono.launch.around.repository_files: what is read of a repository while others rename files elsewhere."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from nono.kernel import open_path
from nono.launch.around import repository_files
from nono.launch.around.repository_files import NOTHING, LookError, RepositoryFiles


@pytest.fixture
def disturbed(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets the next look-ups fail as a rename makes them fail."""
    left = [0]
    usual = open_path.open_at

    def open_at(directory: int, path: bytes, flags: int, resolve: int) -> int:
        if left[0]:
            left[0] -= 1
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return usual(directory, path, flags, resolve)

    monkeypatch.setattr(open_path, "open_at", open_at)

    def disturb(times: int) -> None:
        left[0] = times

    return disturb


def test_a_look_up_that_a_rename_disturbs_is_tried_again(
    tmp_path: Path, disturbed: Callable[[int], None]
) -> None:
    (tmp_path / "file").write_text("content")
    (tmp_path / "link").symlink_to("file")
    with RepositoryFiles((str(tmp_path),)) as files:
        disturbed(5)
        assert files.content(str(tmp_path / "link"), 100) == b"content"
        disturbed(5)
        assert files.target(str(tmp_path / "link")) not in (None, NOTHING)
        assert files.unread == {}


def test_a_look_up_that_is_disturbed_for_ever_is_not_taken_for_nothing(
    tmp_path: Path, disturbed: Callable[[int], None]
) -> None:
    (tmp_path / "file").write_text("content")
    with RepositoryFiles((str(tmp_path),)) as files:
        disturbed(1_000)
        assert files.content(str(tmp_path / "file"), 100) is None
        assert str(tmp_path / "file") in files.unread


def test_a_file_system_that_fails_to_close_a_file_does_not_end_the_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ended with that error, and nothing else that it had changed was told."""
    (tmp_path / "file").write_text("content")
    usual = os.close

    def close(descriptor: int) -> None:
        is_regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        usual(descriptor)
        if is_regular:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    with RepositoryFiles((str(tmp_path),)) as files:
        monkeypatch.setattr(os, "close", close)
        assert files.content(str(tmp_path / "file"), 100) == b"content"
        monkeypatch.undo()
        assert files.unread == {}


@pytest.mark.parametrize(
    ("reason", "is_about_nono"),
    [
        (errno.EMFILE, True),
        (errno.ENFILE, True),
        (errno.ENOMEM, True),
        (errno.EACCES, False),
        (errno.EIO, False),
    ],
)
def test_a_look_that_this_process_lacks_something_for_says_nothing_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: int, is_about_nono: bool
) -> None:
    def fail(*_: object) -> int:
        raise OSError(reason, os.strerror(reason))

    (tmp_path / "file").write_text("content")
    path = str(tmp_path / "file")
    with RepositoryFiles((str(tmp_path),)) as files:
        monkeypatch.setattr(open_path, "open_beneath", fail)
        for look in (
            lambda: files.content(path, 10),
            lambda: files.listed(str(tmp_path)),
            lambda: files.own(path),
        ):
            if is_about_nono:
                with pytest.raises(LookError, match=os.strerror(reason)):
                    look()
            else:
                assert look() is None
        assert bool(files.unread) != is_about_nono


def test_a_file_that_vanishes_meanwhile_hides_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("here", "gone"):
        (tmp_path / name).write_text("content")
    usual = os.scandir

    def scandir(directory: int) -> object:
        entries = usual(directory)
        entries_then = list(entries)
        (tmp_path / "gone").unlink()
        return nullcontext(iter(entries_then))

    with RepositoryFiles((str(tmp_path),)) as files:
        monkeypatch.setattr(os, "scandir", scandir)
        found = files.listed(str(tmp_path))
    assert found is not None
    assert [each.name for each, _ in found] == ["here"]


def test_all_texts_together_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository_files, "TEXT_MAX_BYTES", 10)
    for name in ("first", "second"):
        (tmp_path / name).write_text("6bytes")
    with RepositoryFiles((str(tmp_path),)) as files:
        assert files.text(str(tmp_path / "first")) == "6bytes"
        assert files.text(str(tmp_path / "second")) is None
        assert [*files.unread] == [str(tmp_path / "second")]
