"""Writes files atomically: a reader finds the old content or the new, never a part of either."""

from __future__ import annotations

import os
from contextlib import suppress
from posixpath import dirname, exists, isfile, realpath
from secrets import token_hex


def create(path: str, content: bytes) -> None:
    """Create a file and its missing directories. Raises FileExistsError if the name is taken."""
    _make_directory(path)
    temporary = _temporary(path, content)
    try:
        os.link(temporary, path)
    finally:
        os.unlink(temporary)


def replace(path: str, content: bytes) -> None:
    """Replace a file, or create it; if path is a symlink, replace its target.

    An existing device or pipe is kept and written to.
    """
    if exists(path) and not isfile(path):
        with open(path, "wb") as file:
            file.write(content)
        return
    target = realpath(path)
    _make_directory(target)
    temporary = _temporary(target, content)
    try:
        os.replace(temporary, target)
    except OSError:
        os.unlink(temporary)
        raise


def replace_name(path: str, content: bytes) -> None:
    """Write a file of this user alone under a name; if that is a symlink, the link is replaced.

    For content that somebody else may have chosen: who may turn a link here must not choose the file too.
    """
    temporary = _temporary(path, content, 0o600)
    try:
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


def _make_directory(path: str) -> None:
    directory = dirname(path)
    if directory and not exists(directory):
        os.makedirs(directory, exist_ok=True)


def _temporary(path: str, content: bytes, mode: int = 0o666) -> str:
    """Write content to a new file beside path, with fsync. The umask takes its bits from `mode`."""
    temporary = f"{path}.{token_hex(8)}.new"
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    return temporary
