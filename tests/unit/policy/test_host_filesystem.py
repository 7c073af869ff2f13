"""The disk, and what a spelling on it names."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.policy.host_filesystem import HostFilesystem, inode, way_to
from nono.policy.ownership import ACL, changeable
from nono.policy.path_expansion import canonical_as_far, is_within, parent_resolved, rule_path
from support.running.leftovers import descriptors

FS = HostFilesystem()
NOBODY = 0xFFFFFFFF  # of an entry that names neither user nor group


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path.resolve()
    (root / "real").mkdir()
    (root / "real/file").touch()
    (root / "link").symlink_to(root / "real")
    (root / "dangling").symlink_to(root / "gone")
    (root / "loop").symlink_to(root / "loop")
    return root


def test_canonical_follows_links(tree: Path) -> None:
    assert FS.canonical(f"{tree}/link/../link/file") == f"{tree}/real/file"


def test_what_is_not_there_has_neither_path_nor_kind(tree: Path) -> None:
    for missing in ("gone", "dangling", "loop", "real/file/x", "nul\0"):
        assert FS.canonical(f"{tree}/{missing}") is None
        assert FS.kind(f"{tree}/{missing}") is None


def test_who_may_write_by_an_access_control_list_is_read(tree: Path) -> None:
    entries = ((1, 6, NOBODY), (2, 6, 4242), (4, 4, NOBODY), (16, 6, NOBODY), (32, 0, NOBODY))
    content = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *each) for each in entries)
    try:
        os.setxattr(tree / "real/file", ACL, content)
    except OSError:
        pytest.skip("this file system has no access control lists")
    assert changeable(inode(f"{tree}/link/file")._replace(uid=1000), 1000) is not None
    assert changeable(inode(f"{tree}/real")._replace(uid=1000), 1000) is None


def test_each_kind_is_told_apart(tree: Path) -> None:
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        previous = os.getcwd()
        os.chdir(tree)  # the path of a socket has room for 107 bytes
        try:
            listener.bind("socket")
        finally:
            os.chdir(previous)
    assert [FS.kind(f"{tree}/{name}") for name in ("link", "real/file", "socket", "fifo")] == [
        *("dir", "file", "socket", "other")
    ]
    assert FS.kind("/dev/null") == "device"


def test_a_missing_path_is_canonical_as_far_as_it_exists(tree: Path) -> None:
    assert canonical_as_far(f"{tree}/link/a/../b", FS) == f"{tree}/real/b"
    assert canonical_as_far(f"{tree}/dangling", FS) == f"{tree}/dangling"
    assert canonical_as_far("//", FS) == "/"


def test_a_link_has_a_name_apart_from_its_target(tree: Path) -> None:
    assert parent_resolved(f"{tree}/link/", FS) == f"{tree}/link"
    assert parent_resolved(f"{tree}/link/file", FS) == f"{tree}/real/file"
    assert parent_resolved(f"{tree}/link/.", FS) == f"{tree}/real"


def test_a_path_is_followed_where_the_working_directory_is_gone(
    tree: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command may remove it, and nono tells of paths after it."""
    gone = tmp_path_factory.mktemp("gone")
    monkeypatch.chdir(gone)
    gone.rmdir()
    try:
        assert [*way_to(f"{tree}/link/file")] == [f"{tree}/link", f"{tree}/real/file"]
    finally:
        os.chdir(tree)


def test_magic_links_out_of_proc_self_are_followed() -> None:
    assert rule_path("/proc/self/status", FS) == "/proc/self/status"
    assert rule_path("/proc/self/../self", FS) == "/proc/self"
    assert rule_path("/proc/self/root", FS) == "/"
    assert rule_path("/proc/self/root/etc", FS) == "/etc"
    assert rule_path("/proc/self/cwd", FS) == os.getcwd()
    assert rule_path("/dev/stdin", FS) == "/dev/stdin"


SEGMENTS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=4)


@given(SEGMENTS, SEGMENTS)
def test_inside_compares_components(path: list[str], root: list[str]) -> None:
    assert is_within("/" + "/".join(path), "/" + "/".join(root)) == (path[: len(root)] == root)
    assert is_within("/" + "/".join(path), "/")


@pytest.mark.parametrize("name", ["real", "link", "fifo", "big", "gone"])
def test_what_is_no_small_file_has_no_text(tree: Path, name: str) -> None:
    os.mkfifo(tree / "fifo")
    (tree / "big").write_bytes(b"x" * (1024 * 1024 + 1))
    before = descriptors()
    assert FS.text(str(tree / name)) is None
    assert descriptors() == before


def test_a_small_file_has_its_text(tree: Path) -> None:
    (tree / "real/file").write_bytes(b"a\xff" * 512 * 1024)
    assert FS.text(str(tree / "real/file")) == "a\udcff" * 512 * 1024


def test_a_file_that_fails_to_be_read_has_no_text() -> None:
    assert HostFilesystem().text("/proc/self/mem") is None  # EIO: nothing is mapped at 0


def test_what_is_no_link_in_a_canonical_directory_is_not_looked_at_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path.resolve()
    (root / "real").mkdir()
    (root / "real/file").touch()
    (root / "link").symlink_to("real")
    (root / "real/other").symlink_to("file")
    fs = HostFilesystem()
    assert fs.canonical(f"{root}/real") == f"{root}/real"
    for name in ("real/file", "real/other", "real/gone", "link/file", "real/."):
        fs.entry(f"{root}/{name}")
    looked: list[str] = []
    opened = os.open

    def recorded(path: str, flags: int) -> int:
        looked.append(path)
        return opened(path, flags)

    monkeypatch.setattr(os, "open", recorded)
    assert fs.canonical(f"{root}/real/file") == f"{root}/real/file"
    assert looked == []
    assert fs.canonical(f"{root}/real/other") == f"{root}/real/file"
    assert fs.canonical(f"{root}/real/gone") is None
    assert fs.canonical(f"{root}/link/file") == f"{root}/real/file"
    assert fs.canonical(f"{root}/real/.") == f"{root}/real"
    assert len(looked) == 4


def test_links_are_named_and_no_more_of_a_directory_is_read_than_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command can lay a million names in a directory of its own."""
    for number in range(40):
        (tmp_path / f"link{number}").symlink_to("anywhere")
        (tmp_path / f"file{number}").touch()
    found = HostFilesystem().links_in(str(tmp_path), 80)
    assert found == sorted(f"link{number}" for number in range(40))
    monkeypatch.delattr(os, "listdir")
    assert len(HostFilesystem().links_in(str(tmp_path), 60)) in range(20, 41)
    assert HostFilesystem().links_in(str(tmp_path), 0) == []
    assert HostFilesystem().links_in(str(tmp_path / "missing"), 9) == []
