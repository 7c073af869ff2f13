"""Writes files whole or not at all, whenever the process is killed or the power fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from posixpath import basename, dirname, join
from typing import BinaryIO

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
PRIVATE = 0o600


@contextmanager
def unfinished(
    directory: int | None,
    name: str,
    *,
    mode: int | None = PRIVATE,
    syncs: bool = True,
    is_shared: bool = True,
    is_new: bool = False,
) -> Iterator[BinaryIO]:
    """Yield a new file, which takes its name when the block ends, and is gone if the block raises.

    Whoever opens the name finds what was there before or all that was written, never a part: rename(2) is
    one step. After a power cut too, since the content is on the disk before the name is changed; otherwise
    some file systems keep the name and lose the content. Which of the two is there then is sure only when the
    directory is synced, which is the caller's. A killed process leaves at most a file of another name.

    directory: Open; None: `name` is a path. A link at the name is replaced, never followed.
    mode: Exactly these bits; None: what the umask leaves of 0666.
    syncs: False: the power may take what was written, or the block syncs it itself.
    is_shared: False: nobody else writes this name meanwhile, so what a killed process left is replaced.
    is_new: Raise FileExistsError if the name is taken.
    Raises OSError.
    """
    parent = "" if directory is not None else dirname(name)
    own = f"{os.urandom(8).hex()}." if is_shared else ""
    temporary = join(parent, f".{basename(name)}.{own}tmp")
    if not is_shared:
        with suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=directory)
    file = open(os.open(temporary, _NEW, 0o666 if mode is None else mode, dir_fd=directory), "wb")  # noqa: SIM115  # closed below
    try:
        with file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)  # a umask may have taken the owner's bits away
            yield file
            file.flush()
            if syncs:
                os.fsync(file.fileno())
        if is_new:
            os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
            os.unlink(temporary, dir_fd=directory)
        else:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=directory)
        raise


def write(directory: int, name: str, content: bytes) -> None:
    """Replace a file that nobody else writes, and sync the directory: it is there when this returns."""
    with unfinished(directory, name, is_shared=False) as file:
        file.write(content)
    os.fsync(directory)
