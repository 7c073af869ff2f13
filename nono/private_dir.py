"""Open directories private to this user, creating or verifying them."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from posixpath import dirname

OTHERS_MAY_WRITE = "other users may write to the directory"


def open_private_dir(path: str, *, create: bool) -> int:
    """Open the directory path, mode 0700 and owned by this user. Returns a close-on-exec descriptor.

    The caller closes it. With create, missing directories are made, each with mode 0700. An existing
    directory that others may read is narrowed to 0700. Intermediate components may be symbolic links (a home
    on another disk is one), the last may not.

    Raises OSError: ENOENT if it does not exist and create is False; ELOOP if the last component is a symbolic
    link, ENOTDIR if it is something else; EPERM if it belongs to somebody else, or others may write to it
    and so may already have planted names in it.
    """
    if create:
        _make(path)
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except NotADirectoryError as error:  # O_DIRECTORY is looked at before O_NOFOLLOW
        if os.path.islink(path):
            raise OSError(errno.ELOOP, "it is a link", path) from error
        raise
    try:
        status = os.fstat(fd)
        if status.st_uid != os.geteuid():
            raise PermissionError(errno.EPERM, f"the directory belongs to uid {status.st_uid}", path)
        if status.st_mode & 0o022:
            raise PermissionError(errno.EPERM, OTHERS_MAY_WRITE, path)
        if stat.S_IMODE(status.st_mode) != 0o700:
            os.fchmod(fd, 0o700)
    except BaseException:
        os.close(fd)
        raise
    return fd


def make_private_subdir(parent_fd: int, name: str) -> int:
    """Make the directory name inside parent_fd, mode 0700. Returns a close-on-exec fd the caller closes.

    Raises OSError EEXIST if the name is taken, by anything; nothing is reused.
    """
    os.mkdir(name, 0o700, dir_fd=parent_fd)
    os.chmod(name, 0o700, dir_fd=parent_fd)
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent_fd)


def _make(path: str) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        _make(dirname(path))
        with suppress(FileExistsError):  # another nono was starting at the same moment
            os.mkdir(path, 0o700)
    os.chmod(path, 0o700)  # a umask may have taken the owner's own bits away
