"""A file is written whole or not at all, wherever its writer is killed."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path

import pytest

from nono.disk.durable import is_of_the_kernel, reserved, unfinished, write, write_over
from support.forked import child, in_child, killed_at
from support.private_mounts import enter
from support.running.needs import require

OLD, NEW = b"old" * 1000, b"new" * 5000


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path, os.O_RDONLY)
    yield descriptor
    os.close(descriptor)


def test_a_writer_killed_at_any_call_leaves_the_old_or_the_new(directory: int, tmp_path: Path) -> None:
    found, call = list[bytes](), 0
    is_whole = False
    while not is_whole:
        call += 1
        (tmp_path / "file").write_bytes(OLD)
        with child(partial(killed_at, call, partial(write, directory, "file", NEW))) as writer:
            is_whole = writer.wait() == 0
        found.append((tmp_path / "file").read_bytes())
        assert found[-1] in (OLD, NEW)
    assert (found[0], found[-1]) == (OLD, NEW)
    assert found == sorted(found, reverse=True)  # never the old one again, once the new one was there
    assert call > 10
    write(directory, "file", NEW)
    assert os.listdir(directory) == ["file"]


def test_the_content_is_on_the_disk_before_the_name_is_changed(
    directory: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    done, actual = list[str](), {name: getattr(os, name) for name in ("fsync", "rename")}

    def noted(name: str, *given: object, **rest: object) -> None:
        done.append("sync the directory" if given[0] == directory else name)
        actual[name](*given, **rest)

    for name in actual:
        monkeypatch.setattr(os, name, partial(noted, name))
    write(directory, "file", NEW)
    assert done == ["fsync", "rename", "sync the directory"]
    with unfinished(directory, "file", syncs=False) as file:
        file.write(OLD)
    assert done[3:] == ["rename"]


def interrupted(directory: int, *, is_shared: bool) -> None:
    with unfinished(directory, "file", is_shared=is_shared) as file:
        file.write(NEW)
        raise KeyboardInterrupt


@pytest.mark.parametrize("is_shared", [True, False])
def test_a_block_that_raises_leaves_the_old_one(directory: int, tmp_path: Path, is_shared: bool) -> None:
    (tmp_path / "file").write_bytes(OLD)
    with pytest.raises(KeyboardInterrupt):
        interrupted(directory, is_shared=is_shared)
    assert (os.listdir(directory), (tmp_path / "file").read_bytes()) == (["file"], OLD)


def test_a_disk_that_is_full_leaves_the_old_one(directory: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(OLD)

    def work() -> str:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(NEW) - 1, len(NEW) - 1))
        try:
            write(directory, "file", NEW)
        except OSError as error:
            return str(error.strerror)
        return "it was written"

    assert in_child(work) == "File too large"
    assert (os.listdir(directory), (tmp_path / "file").read_bytes()) == (["file"], OLD)


def test_no_link_is_followed(directory: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "outside").mkdir()
    for name in ("file", ".file.tmp"):
        (tmp_path / name).symlink_to(tmp_path / "outside/target")
    write(directory, "file", NEW)
    (tmp_path / ".file.tmp").symlink_to(tmp_path / "outside/target")
    monkeypatch.setattr(os, "unlink", lambda *given, **rest: None)  # it comes just behind the removal
    with pytest.raises(FileExistsError):
        write(directory, "file", OLD)
    assert not (tmp_path / "file").is_symlink()
    assert os.listdir(tmp_path / "outside") == []


@pytest.mark.parametrize(("mode", "umask", "expected"), [(0o600, 0o777, 0o600), (None, 0o027, 0o640)])
def test_the_mode_is_exact_or_the_umasks(
    directory: int, tmp_path: Path, mode: int | None, umask: int, expected: int
) -> None:
    before = os.umask(umask)
    try:
        with unfinished(directory, "file", mode=mode):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == expected


@pytest.mark.parametrize("umask", [0o000, 0o777])
def test_what_is_written_is_private_unless_somebody_says_otherwise(
    directory: int, tmp_path: Path, umask: int
) -> None:
    before = os.umask(umask)
    try:
        write(directory, "file", NEW)
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


def test_a_name_that_is_taken_stays_with_who_has_it(directory: int, tmp_path: Path) -> None:
    with unfinished(None, str(tmp_path / "file"), is_new=True) as file:
        file.write(OLD)
    with pytest.raises(FileExistsError), unfinished(None, str(tmp_path / "file"), is_new=True) as file:
        file.write(NEW)
    assert (os.listdir(directory), (tmp_path / "file").read_bytes()) == (["file"], OLD)


def test_what_is_shorter_is_written_over_with_blanks_at_its_end(directory: int, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"{}" + OLD)
    write_over(directory, "file", b"{}")
    assert (os.listdir(directory), (tmp_path / "file").read_bytes()) == (["file"], b"{}" + b" " * len(OLD))


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("a link", "Too many levels of symbolic links"),
        ("a pipe", "No space left"),
        ("a file that lacks blocks for its length", "No space left"),
    ],
)
def test_nothing_is_written_over_but_a_file_with_blocks_for_all_of_it(
    directory: int, tmp_path: Path, place: str, why: str
) -> None:
    file, target = tmp_path / "file", tmp_path / "target"
    target.write_bytes(OLD)
    with ExitStack() as stack:
        match place:
            case "a link":
                file.symlink_to(target)
            case "a pipe":
                os.mkfifo(file)
                stack.callback(os.close, os.open(file, os.O_RDWR))
            case _:
                file.write_bytes(OLD)
                os.truncate(file, 1 << 20)
        with pytest.raises(OSError, match=why):
            write_over(directory, "file", b"{}")
    assert target.read_bytes() == OLD
    if file.is_file() and not file.is_symlink():
        assert file.read_bytes()[: len(OLD)] == OLD


DISK_BYTES = 1 << 20


def on_a_small_disk(path: Path, work: Callable[[int], str]) -> str:
    """Return what `work` returns, in a child for which the directory is a file system of 1 MiB."""
    require("mounts")

    def mounted() -> str:
        enter([])
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.mount(b"none", os.fsencode(path), b"tmpfs", 0, b"size=%d" % DISK_BYTES):
            raise OSError(ctypes.get_errno(), "mount")
        return work(os.open(path, os.O_RDONLY))

    return str(in_child(mounted))


def fill_up(directory: int) -> None:
    file = os.open("filler", os.O_WRONLY | os.O_CREAT, dir_fd=directory)
    with suppress(OSError):
        while True:
            os.write(file, bytes(4096))


@pytest.mark.parametrize("spare", ["spare", None])
def test_what_was_reserved_is_written_to_on_a_full_disk(tmp_path: Path, spare: str | None) -> None:
    def work(directory: int) -> str:
        write(directory, "file", OLD)
        with reserved(directory, "spare", len(NEW)):
            fill_up(directory)
            with suppress(OSError):
                write(directory, "file", NEW, spare)
        content = Path(f"/proc/self/fd/{directory}/file").read_bytes()
        found = "old" if content == OLD else "new" if content == NEW else "damaged"
        return " ".join((found, *sorted(os.listdir(directory))))

    assert on_a_small_disk(tmp_path, work) == f"{'old' if spare is None else 'new'} file filler"


def test_what_is_shorter_than_the_room_ends_where_it_ends(tmp_path: Path) -> None:
    def work(directory: int) -> str:
        with reserved(directory, "spare", DISK_BYTES // 2):
            fill_up(directory)
            write(directory, "file", OLD, "spare")
        return str(os.stat("file", dir_fd=directory).st_size)

    assert on_a_small_disk(tmp_path, work) == str(len(OLD))


def test_room_that_is_not_there_is_not_reserved(tmp_path: Path) -> None:
    def work(directory: int) -> str:
        try:
            with reserved(directory, "spare", 2 * DISK_BYTES):
                return "it was reserved"
        except OSError as error:
            return f"{error.strerror} {os.listdir(directory)}"

    assert on_a_small_disk(tmp_path, work) == "No space left on device []"


def test_the_room_that_a_killed_process_held_is_taken_over(directory: int, tmp_path: Path) -> None:
    (tmp_path / "spare").write_bytes(OLD)
    with reserved(directory, "spare", len(NEW)):
        assert (tmp_path / "spare").stat().st_blocks * 512 >= len(NEW)
    assert os.listdir(directory) == []


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/dev/stdout", True),
        ("/dev/fd/3", True),
        ("/dev/pts/3", True),
        ("/dev/fd/3/report.html", False),
        ("/dev/stdout/report.html", False),
        ("/proc/self/fd/3", True),
        ("/proc/thread-self/fd/3", True),
        ("/proc/1/task/1/fd/3", True),
        ("/proc/self/fd/3/report.html", False),
        ("/proc/self/cwd/report.html", False),
        ("/proc/self/root/tmp/report.html", False),
        ("/proc/self/task/1/cwd/report.html", False),
        ("/dev/shm/report.html", False),
        ("/dev//shm/report.html", False),
        ("/dev/../home/me/report.html", False),
        ("dev/stdout", False),
    ],
)
def test_only_where_no_command_makes_links_are_they_the_kernels(path: str, expected: bool) -> None:
    assert is_of_the_kernel(path) is expected
