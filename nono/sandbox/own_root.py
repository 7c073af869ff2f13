"""Give this process a root directory that no other process has, with the top level of its old one in it."""

from __future__ import annotations

import os
from contextlib import suppress

from nono.kernel import mounts
from nono.kernel.uapi import mount as uapi

ATTRIBUTES = uapi.MOUNT_ATTR_NOSUID | uapi.MOUNT_ATTR_NODEV | uapi.MOUNT_ATTR_NOEXEC


def enter_own_root() -> None:
    """Make a new root directory, and move there; the mount namespace must be private to this process.

    Every path of this process then leads up to an inode that no mount of another process leads to, which is
    what a Landlock rule can tell them apart by (nono.sandbox.apply). The root is read-only. Changes the
    working directory. OSError names the step that failed; the process must then end.
    """
    with os.scandir("/") as found:
        entries = [*found]
    outer = _opened("/")
    root = mounts.new_file_system("tmpfs", {"mode": "0755"}, ATTRIBUTES)
    try:
        # Mounted over the old one rather than within it: in a root directory that is not at the top of its
        # namespace, as after a plain chroot(2), the kernel makes no user namespace (browsers have some).
        mounts.attach(root, outer)
        for entry in entries:
            with suppress(FileNotFoundError):  # it was removed meanwhile
                _show(entry, outer, root)
        mounts.make_read_only(root, with_submounts=False)
        os.fchdir(root)
        os.chroot(".")
    finally:
        os.close(root)
        os.close(outer)


def _show(entry: os.DirEntry[str], outer: int, root: int) -> None:
    """Make `root` show what is in `outer`. A link is made anew, anything else is mounted."""
    if entry.is_symlink():
        os.symlink(os.readlink(entry.name, dir_fd=outer), entry.name, dir_fd=root)
        return
    shown = _opened(entry.name, outer)
    try:
        # Its kind is in the entry: a FUSE file system of another user cannot be examined.
        if entry.is_dir(follow_symlinks=False):
            os.mkdir(entry.name, 0o700, dir_fd=root)
        else:
            os.close(os.open(entry.name, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=root))
        # With submounts: in a new user namespace the kernel does not allow leaving them out.
        mount = mounts.copy(shown, with_submounts=True)
        try:
            _attach(mount, entry.name, root)
        finally:
            os.close(mount)
    finally:
        os.close(shown)


def _attach(mount: int, name: str, directory: int) -> None:
    onto = _opened(name, directory)
    try:
        mounts.attach(mount, onto)
    finally:
        os.close(onto)


def _opened(path: str, directory: int | None = None) -> int:
    return os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
