"""Remove a directory with whatever a command has left in it."""

from __future__ import annotations

import os
from contextlib import suppress
from itertools import count

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove a directory as far as this user may, through no link and no mount.

    shutil.rmtree cannot remove one as deep as a command can make it, nor what is in a read-only directory.
    """
    with suppress(OSError):
        top = _entered(path)
        try:
            _empty(top)
        finally:
            os.close(top)
        os.rmdir(path)


def _empty(top: int) -> None:
    """Remove the files of each directory, and move its directories to the top, so that none lies deep."""
    name, numbers, waiting = os.urandom(8).hex(), count(), list[str]()

    def empty(directory: int) -> None:
        for each in os.listdir(directory):
            with suppress(OSError):
                try:
                    os.unlink(each, dir_fd=directory)
                except IsADirectoryError:
                    os.close(_entered(each, directory))  # only one that may be written can be moved
                    waiting.append(f"{name}{next(numbers)}")
                    os.rename(each, waiting[-1], src_dir_fd=directory, dst_dir_fd=top)

    empty(top)
    while waiting:
        with suppress(OSError):
            directory = _entered(moved := waiting.pop(), top)
            try:
                empty(directory)
            finally:
                os.close(directory)
            os.rmdir(moved, dir_fd=top)


def _entered(path: str, parent: int | None = None) -> int:
    """Open a directory, and let its owner change it."""
    directory = os.open(path, _DIRECTORY, dir_fd=parent)
    try:
        os.fchmod(directory, 0o700)
    except BaseException:
        os.close(directory)
        raise
    return directory
