"""Write files atomically: a reader finds either the old content or the new, never a mixture."""

from __future__ import annotations

import os
from posixpath import dirname, exists, isfile, realpath

from nono.disk.durable import PRIVATE, is_of_the_kernel, unfinished


def create(path: str, content: bytes) -> None:
    """Create a file and its missing directories. Raises FileExistsError if the name is already used."""
    _make_directory(path)
    with unfinished(None, path, mode=None, is_new=True) as file:
        file.write(content)


def replace(path: str, content: bytes) -> None:
    """Replace a file, or create it. If path is a symlink, replace its target.

    An existing device or pipe is kept and written to.
    """
    if exists(path) and not isfile(path):
        with open(path, "wb") as file:
            file.write(content)
        return
    target = realpath(path)
    _make_directory(target)
    with unfinished(None, target, mode=None) as file:
        file.write(content)


def replace_name(path: str, content: bytes, *, mode: int | None = PRIVATE) -> None:
    """Write a file that only this user may read. If the name is a symlink, replace the link itself.

    For a name that somebody else may have chosen, or in whose place a command may have left a link: it must
    not be able to choose the file that is overwritten. The links of the kernel are followed.

    mode: Other bits; None: those of the umask.
    """
    if is_of_the_kernel(path):
        replace(path, content)
        return
    _make_directory(path)
    with unfinished(None, path, mode=mode) as file:
        file.write(content)


def _make_directory(path: str) -> None:
    directory = dirname(path)
    if directory and not exists(directory):
        os.makedirs(directory, exist_ok=True)
