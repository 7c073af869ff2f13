"""nono.launch.around.repository_files: what is read of a repository while others rename files elsewhere."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.kernel import open_path
from nono.launch.around.repository_files import NOTHING, RepositoryFiles


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
