"""nono.supervisor.opens.path_arguments: the arguments of an open, as they stand in its caller's memory."""

from __future__ import annotations

import ctypes
import os

import pytest

from nono.kernel.notify import Notification
from nono.kernel.uapi import open as uapi
from nono.supervisor.opens.path_arguments import PathArguments
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
