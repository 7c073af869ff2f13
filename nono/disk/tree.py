"""Remove a directory with whatever a command has left in it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

_PLACE = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str, parent: int | None = None) -> None:
    """Remove a directory, through no link and no mount. Raises OSError, with `path`, if something stays.

    parent: The directory that a relative path is below; None: the working directory.

    shutil.rmtree cannot remove one as deep as a command can make it, nor what is in a directory closed to its
    owner.
    """
    problem: OSError | None = None
    try:
        top = _entered(path, parent)
        try:
            problem = _empty(top)
        finally:
            os.close(top)
        os.rmdir(path, dir_fd=parent)
    except OSError as error:
        first = problem or error
        raise OSError(first.errno, first.strerror, path) from first


def _empty(top: int) -> OSError | None:
    """Remove the files of each directory, and move its directories to the top, so that none lies deep.

    Returns the first problem.
    """
    name, numbers, waiting = os.urandom(8).hex(), count(), list[str]()
    problem: OSError | None = None

    @contextmanager
    def noted() -> Iterator[None]:
        nonlocal problem
        try:
            yield
        except OSError as error:
            problem = problem or error

    def empty(directory: int) -> None:
        for each in os.listdir(directory):
            with noted():
                try:
                    os.unlink(each, dir_fd=directory)
                except IsADirectoryError:
                    moved = f"{name}{next(numbers)}"
                    try:
                        os.rename(each, moved, src_dir_fd=directory, dst_dir_fd=top)
                    except PermissionError:
                        # Only one that may be written can be moved. EBUSY: a mount, which keeps its mode.
                        os.close(_entered(each, directory))
                        os.rename(each, moved, src_dir_fd=directory, dst_dir_fd=top)
                    waiting.append(moved)

    empty(top)
    while waiting:
        with noted():
            directory = _entered(moved := waiting.pop(), top)
            try:
                empty(directory)
            finally:
                os.close(directory)
            os.rmdir(moved, dir_fd=top)
    return problem


def _entered(path: str, parent: int | None = None) -> int:
    """Open a directory, and let its owner read and change it."""
    place = os.open(path, _PLACE, dir_fd=parent)
    try:
        name = f"/proc/self/fd/{place}"  # of this very directory
        with suppress(OSError):  # another user's, which this one may yet be able to change
            os.chmod(name, 0o700)
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    finally:
        os.close(place)
