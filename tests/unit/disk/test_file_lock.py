"""The lock of a file is waited for, and not for longer than allowed."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nono.disk.file_lock import locked_within


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Yield two descriptors of one file, as two processes have."""
    both = tuple(os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT) for _ in range(2))
    yield both[0], both[1]
    for each in both:
        os.close(each)


def test_a_lock_that_is_free_is_taken_without_patience(opened: tuple[int, int]) -> None:
    assert locked_within(opened[0], 0.0)
    with pytest.raises(BlockingIOError):
        fcntl.flock(opened[1], fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize("patience_s", [0.0, 0.02])
def test_a_lock_that_is_held_is_not_waited_for_without_end(
    opened: tuple[int, int], patience_s: float
) -> None:
    fcntl.flock(opened[0], fcntl.LOCK_EX)
    began = time.monotonic()
    assert not locked_within(opened[1], patience_s)
    assert time.monotonic() - began >= patience_s


def test_a_lock_is_taken_once_it_is_free(opened: tuple[int, int]) -> None:
    fcntl.flock(opened[0], fcntl.LOCK_EX)
    timer = threading.Timer(0.02, fcntl.flock, (opened[0], fcntl.LOCK_UN))
    timer.start()
    assert locked_within(opened[1], 10.0)
    timer.join()


def test_who_shares_a_lock_keeps_nobody_else_from_sharing_it(opened: tuple[int, int]) -> None:
    fcntl.flock(opened[0], fcntl.LOCK_SH)
    assert locked_within(opened[1], 0.0, fcntl.LOCK_SH)
    assert not locked_within(opened[1], 0.0)


def test_a_file_system_without_locks_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(OSError, match="No locks available"):
        locked_within(0, 10.0)
