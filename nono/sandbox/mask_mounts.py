"""Hides denied paths from this process, for ever, by mounts that nobody outside sees."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nono.kernel import mounts, namespaces, open_path
from nono.sandbox.plan.plan import MaskRule

UNUSABLE = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
TMPFS = {"mode": "0700", "size": "4k", "nr_inodes": "8"}  # its root, and the two inodes that masks show
DIRECTORY, FILE = "dir", "file"


class MaskError(Exception):
    """A denied path cannot be kept out of reach, in a sentence."""


def enter_private_mounts() -> bool:
    """Whether that took a user namespace as well: its capabilities are to be dropped after mask_paths().

    OSError says which step was refused; the process must then end.
    """
    return namespaces.leave_mounts()


def mask_paths(masks: Sequence[MaskRule], pinned: Sequence[str]) -> None:
    """Lay a mount over each mask, and a directory over itself where it is not to be moved, outermost first.

    Changes the working directory. Directories that are open lead past the masks. MaskError when one cannot
    be laid, or is not what its path leads to when all are done; the process must then end.
    """
    with _empty_inodes() as tmpfs:
        for path in pinned:
            with _laying(path), _opened(path) as directory:
                # With what is mounted in it: in a user namespace of its own that may not be left out.
                _attach(mounts.copy(directory, with_submounts=True), directory)
        for mask in masks:
            with _laying(mask.path), _opened(mask.path, os.O_NOFOLLOW) as target:
                kind = _kind(os.fstat(target).st_mode)
                if mask.kind not in (kind, None):
                    raise MaskError(f"'{mask.path}' has been replaced since it was looked up")
                _attach(mounts.copy(tmpfs, DIRECTORY if kind == "dir" else FILE), target)
    for mask in masks:
        if not is_masked(mask.path):
            raise MaskError(f"'{mask.path}' has been replaced while it was being masked")


def is_masked(path: str) -> bool:
    """Whether a mask is what path leads to. MaskError: nothing is there."""
    with _laying(path):
        seen = mounts.look(path)
        if not seen.is_mount_root or stat.S_IMODE(seen.mode) != 0:
            return False
        if stat.S_ISCHR(seen.mode):
            return seen.device == (0, 0)
        return stat.S_ISDIR(seen.mode) and os.statvfs(path).f_flag & UNUSABLE == UNUSABLE


@contextmanager
def _empty_inodes() -> Iterator[int]:
    """The root of a file system with a directory and a file of which nothing can be had."""
    try:
        tmpfs = mounts.new_tmpfs(TMPFS)
    except OSError as error:
        raise MaskError(f"no file system can be made for masks: {error}") from error
    try:
        os.mkdir(DIRECTORY, 0, dir_fd=tmpfs)
        # The device that overlayfs calls a whiteout, and anybody may make. Where devices are not allowed
        # nobody can open it; root opens files of any mode, also root of a user namespace nested in ours.
        os.mknod(FILE, stat.S_IFCHR, os.makedev(0, 0), dir_fd=tmpfs)
        mounts.make_unusable(tmpfs)
        # Copies can be made of what is attached (before Linux 6.15 of nothing else). Over the root it is
        # above the place where every path begins, so that none leads there.
        with _opened("/") as root:
            mounts.attach(tmpfs, root)
        yield tmpfs
        mounts.detach(tmpfs)
    except OSError as error:
        raise MaskError(f"no masks can be made: {error}") from error
    finally:
        os.close(tmpfs)


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
