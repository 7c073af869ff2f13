"""Hide denied paths from this process permanently, with mounts that are invisible outside."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nono.kernel import mounts, namespaces, open_path
from nono.sandbox.plan.plan import MaskRule

UNUSABLE = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
TMPFS = {"mode": "0700", "size": "4k", "nr_inodes": "8"}  # its root, and the two inodes used as masks
DIRECTORY, FILE = "dir", "file"
FILE_MODE = 0o444


class MaskError(Exception):
    """A denied path cannot be hidden. The message is a sentence."""


def enter_private_mounts() -> bool:
    """Move to a private mount namespace. Returns True if that took a user namespace too.

    Its capabilities are then to be dropped after mask_paths(). OSError names the refused step; the process
    must then end.
    """
    return namespaces.leave_mounts()


def mask_paths(masks: Sequence[MaskRule], pinned: Sequence[str]) -> None:
    """Mount over each mask, and mount each pinned directory over itself, outermost first.

    A pinned directory can then not be moved. Changes the working directory. Directories that are already open
    lead past the masks. Raises MaskError if a mask cannot be laid, or if its path does not lead to it at the
    end; the process must then end.
    """
    with _empty_inodes() as tmpfs:
        for path in pinned:
            with _laying(path), _opened(path) as directory:
                # With its submounts: in a new user namespace the kernel does not allow leaving them out.
                _attach(mounts.copy(directory, with_submounts=True), directory)
        for mask in masks:
            with _laying(mask.path), _opened(mask.path, os.O_NOFOLLOW) as target:
                kind = _kind(os.fstat(target).st_mode)
                if mask.kind not in (kind, None):
                    raise MaskError(f"'{mask.path}' has been replaced since it was looked up")
                if mask.shown is not None:
                    if kind != "file":
                        raise MaskError(f"'{mask.path}' is not a file, so no other can be shown in its place")
                    _attach(_copy_of(mask.shown), target)
                else:
                    _attach(mounts.copy(tmpfs, DIRECTORY if kind == "dir" else FILE), target)
    for mask in masks:
        if not is_masked(mask.path, mask.shown):
            raise MaskError(f"'{mask.path}' has been replaced while it was being masked")


def is_masked(path: str, shown: str | None = None) -> bool:
    """Return True if `path` leads to a mask, or to the file `shown`. Raises MaskError if nothing is there."""
    with _laying(path):
        seen = mounts.look(path)
        if shown is not None:
            return seen.is_mount_root and os.path.samestat(os.lstat(path), os.lstat(shown))
        is_ours = seen.mode in (stat.S_IFDIR, stat.S_IFREG | FILE_MODE)
        # Check the mount flags too: a file that somebody mounted here may have the same mode.
        if not seen.is_mount_root or not is_ours or os.statvfs(path).f_flag & UNUSABLE != UNUSABLE:
            return False
        return stat.S_ISDIR(seen.mode) or os.stat(path).st_size == 0


@contextmanager
def _empty_inodes() -> Iterator[int]:
    """Yield the root of a file system with a directory that cannot be read, and an empty file."""
    try:
        tmpfs = mounts.new_file_system("tmpfs", TMPFS)
    except OSError as error:
        raise MaskError(f"no file system can be made for masks: {error}") from error
    try:
        os.mkdir(DIRECTORY, 0, dir_fd=tmpfs)
        # Empty and readable: programs that walk a tree, such as `git add -A`, stop at files that they cannot
        # open and at files that are not regular.
        os.close(os.open(FILE, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE, dir_fd=tmpfs))
        os.chmod(FILE, FILE_MODE, dir_fd=tmpfs)  # a umask may have taken bits away
        mounts.make_unusable(tmpfs)
        # Before Linux 6.15 only an attached mount can be copied. Attached over the root it is above the place
        # where every path starts, so no path leads to it.
        with _opened("/") as root:
            mounts.attach(tmpfs, root)
        yield tmpfs
        mounts.detach(tmpfs)
    except OSError as error:
        raise MaskError(f"no masks can be made: {error}") from error
    finally:
        os.close(tmpfs)


def _copy_of(shown: str) -> int:
    """Return an unattached mount of the file `shown`, which must be a plain file of this user alone.

    It cannot be written: other runs are shown the same file.
    """
    with _opened(shown, os.O_NOFOLLOW) as file:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            raise MaskError(f"'{shown}' is not a plain file of this user alone")
        mount = mounts.copy(file)
    try:
        mounts.make_unusable(mount)
    except BaseException:
        os.close(mount)
        raise
    return mount


def _attach(mount: int, onto: int) -> None:
    try:
        mounts.attach(mount, onto)
    finally:
        os.close(mount)


@contextmanager
def _opened(path: str, flags: int = 0) -> Iterator[int]:
    descriptor = open_path.open_canonical(path, flags=flags)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _laying(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MaskError(f"'{path}' cannot be masked: {error}") from error


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "dir"
    return "link" if stat.S_ISLNK(mode) else "file"
