"""nono.disk.regular_file: what is read whole, and what is refused before it can hold anybody up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from nono.disk.regular_file import read_regular_file


@pytest.mark.parametrize("is_stored", [True, False])
def test_a_file_is_read_up_to_its_limit_and_not_beyond(tmp_path: Path, is_stored: bool) -> None:
    for content in (b"", b"abc"):
        (tmp_path / "file").write_bytes(content)
        assert read_regular_file(str(tmp_path / "file"), 3, is_stored=is_stored) == content
    (tmp_path / "file").write_bytes(b"abcd")
    with pytest.raises(OSError, match="larger than 3 bytes") as refused:
        read_regular_file(str(tmp_path / "file"), 3, is_stored=is_stored)
    assert refused.value.errno == errno.EFBIG


def test_what_is_no_regular_file_is_refused_and_waited_for_by_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")  # which nobody writes to
    for path in (str(tmp_path / "fifo"), str(tmp_path), "/dev/zero"):
        with pytest.raises(OSError, match="not a regular file"):
            read_regular_file(path, 1000)


def test_what_the_kernel_makes_up_is_no_stored_file() -> None:
    assert read_regular_file("/proc/self/status", 1 << 20).startswith(b"Name:")
    with pytest.raises(OSError, match="made up by the kernel"):
        read_regular_file("/proc/self/status", 1 << 20, is_stored=True)
