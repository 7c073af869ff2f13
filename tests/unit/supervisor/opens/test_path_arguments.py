"""nono.supervisor.opens.path_arguments: the arguments of an open, as they stand in its caller's memory."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.kernel.notify import Notification
from nono.kernel.uapi import open as uapi
from nono.supervisor.opens.path_arguments import PathArguments, examine
from nono.supervisor.verdict.open_call import OpenCall

UNKNOWN = 1 << 31


def read(flags: int, mode: int, path: bytes = b"/etc/hosts\0") -> OpenCall:
    """Read an openat2 of this process."""
    name = ctypes.create_string_buffer(path, len(path))
    how = ctypes.create_string_buffer(uapi.OPEN_HOW.pack(flags, mode, 0), uapi.OPEN_HOW.size)
    args = (uapi.AT_FDCWD, ctypes.addressof(name), ctypes.addressof(how), uapi.OPEN_HOW.size, 0, 0)
    return PathArguments(-1).open_call(Notification(1, os.getpid(), 0, 0, 0, args), "openat2")


@pytest.mark.parametrize(
    ("flags", "mode"),
    [
        pytest.param(os.O_RDONLY | os.O_CLOEXEC, 0, id="no mode"),
        pytest.param(os.O_WRONLY | os.O_CREAT, 0o600, id="a mode to create with"),
        pytest.param(os.O_RDWR | os.O_TMPFILE, 0o600, id="a mode of a file without a name"),
    ],
)
def test_an_open_how_that_the_kernel_takes_is_read(flags: int, mode: int) -> None:
    assert read(flags, mode) == OpenCall(uapi.AT_FDCWD, b"/etc/hosts", flags, 0)


@pytest.mark.parametrize(
    ("flags", "mode"),
    [
        pytest.param(os.O_RDONLY | UNKNOWN, 0, id="an unknown flag"),
        pytest.param(os.O_RDONLY | os.O_CLOEXEC, 0o600, id="a mode that creates nothing"),
        pytest.param(os.O_RDONLY | os.O_DIRECTORY, 0o600, id="a mode of a directory"),
    ],
)
def test_an_open_how_that_the_kernel_refuses_is_malformed(flags: int, mode: int) -> None:
    with pytest.raises(ValueError, match="the kernel refuses"):
        read(flags, mode)


def test_an_empty_path_is_malformed() -> None:
    with pytest.raises(ValueError, match="an empty path"):
        read(os.O_RDONLY, 0, b"\0")


def removed(directory: Path) -> int:
    (directory / "file").touch()
    descriptor = os.open(directory / "file", os.O_PATH)
    os.unlink(directory / "file")
    (directory / "file (deleted)").touch()  # which the kernel's name of it would be taken for
    return descriptor


@pytest.mark.parametrize(
    "nameless",
    [
        pytest.param(lambda _: os.pipe()[0], id="a pipe"),
        pytest.param(lambda _: os.memfd_create("/etc/passwd"), id="a file in memory"),
        pytest.param(removed, id="a file that was removed"),
    ],
)
def test_what_has_no_path_is_judged_by_none(nameless: Callable[[Path], int], tmp_path: Path) -> None:
    descriptor = nameless(tmp_path)
    with pytest.raises(FileNotFoundError, match="no path leads to it"):
        examine(descriptor)
    os.close(descriptor)


def test_what_has_a_path_is_judged_by_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    descriptor = os.open(tmp_path / "file", os.O_PATH)
    assert examine(descriptor) == (str(tmp_path / "file"), "file", False)
    os.close(descriptor)
