"""Where a file system shares blocks between files, what is kept of a large one takes no room."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

from nono.kernel import namespaces
from nono.undo.recording import Limits
from support.forked import in_child
from unit.undo.conftest import Stage

# <linux/fiemap.h>
FS_IOC_FIEMAP, FIEMAP_FLAG_SYNC, FIEMAP_EXTENT_SHARED = 0xC020660B, 1, 0x2000
HEAD, EXTENT = struct.Struct("=QQIIII"), struct.Struct("=QQQQQIIII")
EXTENTS_MAX = 64
SIZE = 3 << 20

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(shutil.which("mkfs.btrfs") is None, reason="needs mkfs.btrfs"),
]


def extents(path: Path) -> list[tuple[int, bool]]:
    """Return where the blocks of a file are on the disk, and whether another file has them too (FIEMAP)."""
    asked = bytearray(
        HEAD.pack(0, SIZE, FIEMAP_FLAG_SYNC, 0, EXTENTS_MAX, 0) + bytes(EXTENT.size * EXTENTS_MAX)
    )
    with path.open("rb") as file:
        fcntl.ioctl(file, FS_IOC_FIEMAP, asked)
    count = HEAD.unpack_from(asked)[3]
    found = (EXTENT.unpack_from(asked, HEAD.size + EXTENT.size * number) for number in range(count))
    return [(each[1], bool(each[5] & FIEMAP_EXTENT_SHARED)) for each in found]


def kept_of(place: Path, state: Path) -> Any:
    """Return the extents of a large file in `place`, of its kept copy, and of the file a restore made."""
    stage = Stage(place)
    stage.environ["XDG_STATE_HOME"] = str(state)
    large = stage.root / "large"
    content = os.urandom(SIZE)
    large.write_bytes(content)
    with stage.recorded(limits=Limits(10, 4 << 20)) as taken:
        (kept,) = state.rglob("objects/??/*")
        at = [extents(path) for path in (large, kept)] if state.is_relative_to(place) else []
        left = taken._store.left_bytes
        large.write_bytes(b"by the run")
        taken.finish(0)
    left_alone = stage.restore()
    return [at, left, left_alone, large.read_bytes() == content]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(120 << 20)
    subprocess.run(["mkfs.btrfs", "-q", path], check=True)
    return path


def on_btrfs(image: Path, mounted: Path, *, keeps_there: bool) -> Any:
    def work() -> Any:
        namespaces.leave_mounts()
        mounted.mkdir()
        done = subprocess.run(["mount", "-o", "loop", image, mounted], capture_output=True, check=False)
        if done.returncode:
            return f"no loop device can be had: {done.stderr.decode()}"
        elsewhere = mounted.with_name("elsewhere")
        elsewhere.mkdir(mode=0o700)
        return kept_of(mounted, mounted / "state" if keeps_there else elsewhere / "state")

    found = in_child(work)
    if isinstance(found, str):
        pytest.skip(found)
    return found


def test_what_is_kept_of_a_large_file_shares_its_blocks(image: Path, tmp_path: Path) -> None:
    at, left, left_alone, is_as_before = on_btrfs(image, tmp_path / "mounted", keeps_there=True)
    assert at[0] == at[1]
    assert at[0] != []
    assert all(is_shared for _, is_shared in at[0])
    assert (left, left_alone, is_as_before) == (4 << 20, [], True)


def test_what_is_kept_on_another_disk_takes_room(image: Path, tmp_path: Path) -> None:
    _, left, left_alone, is_as_before = on_btrfs(image, tmp_path / "mounted", keeps_there=False)
    assert (left < (4 << 20) - SIZE, left_alone, is_as_before) == (True, [], True)
