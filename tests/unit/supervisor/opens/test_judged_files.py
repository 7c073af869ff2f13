import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nono.kernel.open_path import path_to
from nono.supervisor.opens.judged_files import COPIES_BYTES_MAX, LEASES_MAX, JudgedFiles

TRIES = 20_000
WRITING = os.O_WRONLY | os.O_NONBLOCK  # a lease is told by EAGAIN


@pytest.fixture
def files() -> Iterator[JudgedFiles]:
    made = JudgedFiles()
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "CLAUDE.md").write_text("be good")
    descriptor = os.open(tmp_path / "CLAUDE.md", os.O_PATH)
    yield descriptor
    os.close(descriptor)


def test_a_leased_file_is_opened_for_writing_only_once_released(
    files: JudgedFiles, file: int, tmp_path: Path
) -> None:
    leased = files.lease(file)
    assert leased is not None
    with pytest.raises(BlockingIOError):
        os.open(tmp_path / "CLAUDE.md", WRITING)  # no signal ends this process
    os.close(os.open(tmp_path / "CLAUDE.md", os.O_RDONLY))
    files.release(leased)
    os.close(os.open(tmp_path / "CLAUDE.md", WRITING))


def test_a_file_that_somebody_writes_has_no_lease(files: JudgedFiles, file: int, tmp_path: Path) -> None:
    writer = os.open(tmp_path / "CLAUDE.md", WRITING)
    assert files.lease(file) is None
    os.close(writer)
    assert files.lease(file) is not None


def test_there_is_an_end_to_the_leases(files: JudgedFiles, file: int) -> None:
    taken = [files.lease(file) for _ in range(LEASES_MAX + 1)]
    assert [each is None for each in taken] == [False] * LEASES_MAX + [True]
    files.release(taken[0] or 0)
    assert files.lease(file) is not None


def test_nobody_writes_to_a_copy(files: JudgedFiles, file: int) -> None:
    copy = files.copy("digest", b"be good", os.fstat(file))
    assert copy is not None
    with open(path_to(copy), "rb") as reader:
        assert reader.read() == b"be good"
    with open(path_to(copy), "r+b", buffering=0) as writer:
        with pytest.raises(PermissionError):
            writer.write(b"be evil")
        with pytest.raises(PermissionError):
            writer.truncate()
    with pytest.raises(PermissionError):
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, 0)


def test_one_copy_serves_every_open_of_a_content(files: JudgedFiles, file: int) -> None:
    state = os.fstat(file)
    assert files.copy("digest", b"be good", state) == files.copy("digest", b"be good", state)
    assert files.copy("large", bytes(COPIES_BYTES_MAX), state) is None


def test_the_copies_of_all_contents_have_an_end_together(files: JudgedFiles, file: int) -> None:
    state, half = os.fstat(file), bytes(COPIES_BYTES_MAX // 2)
    assert files.copy("one half", half, state) is not None
    assert files.copy("little", b"be good", state) is not None
    assert files.copy("the other half", half, state) is None
    assert files.copy("less", half[len(b"be good") :], state) is not None


def test_who_writes_while_a_lease_is_taken_ends_nobody(files: JudgedFiles, file: int, tmp_path: Path) -> None:
    done = threading.Event()

    def write() -> None:
        while not done.is_set():
            with suppress(BlockingIOError):
                os.close(os.open(tmp_path / "CLAUDE.md", WRITING))

    writing = threading.Thread(target=write)
    writing.start()
    try:
        for _ in range(TRIES):
            leased = files.lease(file)  # SIGIO would end this process
            if leased is not None:
                files.release(leased)
    finally:
        done.set()
        writing.join()
