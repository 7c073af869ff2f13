"""Write files whole or not at all, even if the process is killed or the power fails."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from posixpath import basename, dirname, join, normpath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OLD = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
PRIVATE = 0o600
FULL = (errno.ENOSPC, errno.EDQUOT)
_STREAMS = ("stdin", "stdout", "stderr")  # links in /dev
_BLOCK_BYTES = 512  # what st_blocks counts in, whatever the file system's blocks are


def is_of_the_kernel(path: str) -> bool:
    """Check that no command can have made `path` a link, as /dev/stdout and /proc/self/fd/1 are.

    /dev/shm is everybody's, and what lies below a link of the kernel's (/proc/self/cwd, a descriptor) is
    wherever that leads.
    """
    match normpath(path).split("/"):
        case ["", "dev", "fd", _] | ["", "proc", _, "fd", _] | ["", "proc", _, "task", _, "fd", _]:
            return True
        case ["", "dev", directory, *below]:
            return directory not in ("shm", "fd") and not (below and directory in _STREAMS)
        case _:
            return False


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
    """Yield a new file, which gets its name when the block ends and is removed if the block raises.

    A reader that opens the name finds the old content or all of the new, never a part, because rename(2) is
    atomic. This holds after a power cut too, because the content is synced before the rename; otherwise some
    file systems keep the name and lose the content. The new content is certain to survive only once the
    directory is synced, which is left to the caller. A killed process leaves at most a temporary file.

    directory: An open directory; None: `name` is a path. A link at the name is replaced, never followed.
    mode: Exactly these bits; None: 0666 without the bits of the umask.
    syncs: False: the content may be lost in a power cut, or the block syncs it itself.
    is_shared: False: nobody else writes this name at the same time, so a leftover temporary file is replaced.
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
                os.fchmod(file.fileno(), mode)  # the umask may have cleared bits of the owner
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


def write(directory: int, name: str, content: bytes, spare: str | None = None) -> None:
    """Replace a file that nobody else writes, and sync its directory. It is durable when this returns.

    spare: A file made by reserved(), which becomes the new file where the disk has no room for another.
    """
    try:
        with unfinished(directory, name, is_shared=False) as file:
            file.write(content)
    except OSError as error:
        if spare is None or error.errno not in FULL:
            raise
        _fill(directory, spare, content)
        os.rename(spare, name, src_dir_fd=directory, dst_dir_fd=directory)
    os.fsync(directory)


@contextmanager
def reserved(directory: int, name: str, size: int) -> Iterator[None]:
    """Hold room on the disk in a file of its own, which write() may use, until the block ends.

    Nobody else uses the name meanwhile; what a killed process left there is taken over.
    Raises OSError, with one of FULL if there is no room.
    """
    file = os.open(name, _OLD | os.O_CREAT, PRIVATE, dir_fd=directory)
    try:
        try:
            os.posix_fallocate(file, 0, size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # of file systems without it, under musl
                raise
        finally:
            os.close(file)
        yield
    finally:
        with suppress(OSError):  # write() has used it
            os.unlink(name, dir_fd=directory)


def _fill(directory: int, name: str, content: bytes) -> None:
    """Write a file anew into the blocks that it has, and sync it."""
    with open(os.open(name, _OLD, dir_fd=directory), "wb") as file:
        file.write(content)
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


def write_over(directory: int, name: str, content: bytes) -> None:
    """Write a JSON text into the blocks that its file has, where a full disk has no room for another file.

    A reader may find a part of it. Blanks fill up what was longer.
    Raises OSError, and leaves the file as it is, if it does not fit.
    """
    file = os.open(name, _OLD, dir_fd=directory)
    try:
        found = os.fstat(file)
        text = content.ljust(found.st_size)
        # A file with holes, or kept compressed, has fewer blocks than its length takes; a pipe has none.
        if len(text) > found.st_blocks * _BLOCK_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)
        os.pwrite(file, text, 0)  # one call: all of it is in blocks that there are
    finally:
        os.close(file)
