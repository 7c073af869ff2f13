"""Hide denied paths from this process permanently, with mounts that are invisible outside."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from nono.kernel import mounts, open_path
from nono.kernel.uapi import mount as uapi
from nono.sandbox.plan.plan import MaskRule

UNUSABLE = os.ST_RDONLY | os.ST_NOSUID | os.ST_NODEV | os.ST_NOEXEC
TMPFS = {"mode": "0700", "size": "64k", "nr_inodes": "16"}  # its root, and the inodes used as masks
DIRECTORY, FILE, LINK = "dir", "file", "link"  # kinds of MaskRule, and names of the inodes used as masks
# Of a directory private to the command: an agent's login, its lock, and what it writes before a rename.
OWN_TMPFS = {"mode": "0700", "size": "1m", "nr_inodes": "64"}
OWN_ATTRIBUTES = uapi.MOUNT_ATTR_NOSUID | uapi.MOUNT_ATTR_NODEV | uapi.MOUNT_ATTR_NOEXEC
FILE_MODE = 0o444


class MaskError(Exception):
    """A denied path cannot be hidden. The message is a sentence."""


def mount_own(masks: Sequence[MaskRule]) -> None:
    """Mount the directories private to the command, with their files. Raises MaskError if one cannot be."""
    for mask in masks:
        if mask.own is None or mask.is_shared:
            continue
        with _laying(mask.own), _opened(mask.own) as onto:
            root = mounts.new_file_system("tmpfs", OWN_TMPFS, OWN_ATTRIBUTES)
            if mask.content is not None:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
                descriptor = os.open(os.path.basename(mask.path), flags, 0o600, dir_fd=root)
                with open(descriptor, "w", encoding="utf-8") as file:
                    os.fchmod(descriptor, 0o600)  # a umask may have taken bits away
                    file.write(mask.content)
            _attach(root, onto)


def mask_paths(masks: Sequence[MaskRule], pinned: Sequence[str]) -> None:
    """Mount over each mask, and mount each pinned directory over itself, outermost first.

    A pinned directory can then not be moved. Changes the working directory. Directories that are already open
    lead past the masks. Raises MaskError if a mask cannot be laid, or if its path does not lead to it at the
    end; the process must then end.
    """
    links = {mask.path: _target(mask.path, mask.own) for mask in masks if mask.own is not None}
    with _inodes([*links.values()]) as tmpfs:
        for path in pinned:
            with _laying(path), _opened(path) as directory:
                # With its submounts: in a new user namespace the kernel does not allow leaving them out.
                _attach(mounts.copy(directory, with_submounts=True), directory)
        for mask in masks:
            with _laying(mask.path), _opened(mask.path, os.O_NOFOLLOW) as target:
                _attach(_mask_over(target, mask, tmpfs, [*links]), target)
    for mask in masks:
        if not is_masked(mask):
            raise MaskError(f"'{mask.path}' has been replaced while it was being masked")


def _mask_over(target: int, mask: MaskRule, tmpfs: int, links: Sequence[str]) -> int:
    """Return an unattached mount of what `target` is to look like. links: As given to _inodes(), by path."""
    kind = _kind(os.fstat(target).st_mode)
    if mask.kind not in (kind, None):
        raise MaskError(f"'{mask.path}' has been replaced since it was looked up")
    if mask.shown is not None:
        if kind != FILE:
            raise MaskError(f"'{mask.path}' is not a file, so no other can be shown in its place")
        return _copy_of(mask.shown)
    if mask.own is not None:
        return _copy_of_link(tmpfs, links.index(mask.path))
    return mounts.copy(tmpfs, DIRECTORY if kind == DIRECTORY else FILE)


def is_masked(mask: MaskRule) -> bool:
    """Return True if the path leads to what is mounted over it. Raises MaskError if nothing is there."""
    path, shown = mask.path, mask.shown
    with _laying(path):
        seen = mounts.look(path)
        if shown is not None:
            return seen.is_mount_root and os.path.samestat(os.lstat(path), os.lstat(shown))
        if mask.own is not None:
            is_link = seen.is_mount_root and stat.S_ISLNK(seen.mode)
            return is_link and os.readlink(path) == _target(path, mask.own)
        is_ours = seen.mode in (stat.S_IFDIR, stat.S_IFREG | FILE_MODE)
        # Check the mount flags too: a file that somebody mounted here may have the same mode.
        if not seen.is_mount_root or not is_ours or os.statvfs(path).f_flag & UNUSABLE != UNUSABLE:
            return False
        return stat.S_ISDIR(seen.mode) or os.stat(path).st_size == 0


@contextmanager
def _inodes(links: Sequence[str]) -> Iterator[int]:
    """Yield the root of a file system with a directory that cannot be read, an empty file, and `links`."""
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
        for position, target in enumerate(links):
            os.symlink(target, f"{LINK}{position}", dir_fd=tmpfs)
        mounts.make_unusable(tmpfs)
        # Before Linux 6.15 only an attached mount can be copied. Attached over the root it is above the place
        # where every path starts, so no path leads to it.
        with _opened("/") as root:
            mounts.attach(tmpfs, root)
        try:
            yield tmpfs
        finally:  # what keeps masks tries again after an error
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


def _copy_of_link(tmpfs: int, position: int) -> int:
    """Return an unattached mount of a link, which the command cannot replace: rename(2) returns EBUSY."""
    link = os.open(f"{LINK}{position}", os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=tmpfs)
    try:
        return mounts.copy(link)
    finally:
        os.close(link)


def _target(path: str, own: str) -> str:
    return os.path.join(own, os.path.basename(path))


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
        return DIRECTORY
    return LINK if stat.S_ISLNK(mode) else FILE
