"""Resolve a path given by a trapped caller, once, to a descriptor of the inode."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from nono.kernel import open_path
from nono.named_tuple import NamedTuple
from nono.supervisor.calls.caller import CallerContext, caller_context
from nono.supervisor.calls.trapped_call import HiddenCallerError


class CallerContextMismatchError(Exception):
    """The caller's context differs from the command's at its start (nono.supervisor.calls.caller)."""


class Named(NamedTuple):
    """The inode at a path. Everything is done through the O_PATH descriptor, which its owner closes."""

    descriptor: int
    path: str  # canonical, as the kernel reports it
    is_socket: bool
    is_deleted: bool  # path then ends in " (deleted)" and leads nowhere

    @property
    def address(self) -> str:
        """Return a short path that the kernel resolves to the same inode."""
        return open_path.path_to(self.descriptor)


class CallerPaths:
    """The file system as the command saw it when it started; close() ends it.

    Paths are resolved from the root that the command had then, in its mount namespace, and judged by the path
    the kernel reports for the result. A caller whose context has changed is refused: in another namespace a
    different file can stand at a granted path. If its ids had changed, we would act for it with ours.
    """

    def __init__(self, standing: CallerContext, root: int) -> None:
        """Take the context and root of the command, restricted but not yet executed.

        close() closes `root`, from open_root().
        """
        self._standing = standing
        self._root = root

    def close(self) -> None:
        os.close(self._root)

    def absolute(self, tid: int, path: bytes) -> bytes:
        """Return the path that the caller means by `path`, from its root. Its context is read here, once.

        Raises CallerContextMismatchError, HiddenCallerError, or OSError with the errno the kernel would give.
        """
        try:
            if caller_context(tid) != self._standing:
                raise CallerContextMismatchError
            if path.startswith(b"/"):
                return path
            directory = os.readlink(b"/proc/%d/cwd" % tid)
        except PermissionError as error:
            raise HiddenCallerError from error
        if not directory.startswith(b"/"):
            raise FileNotFoundError(errno.ENOENT, "the working directory cannot be reached")
        return directory + b"/" + path

    @contextmanager
    def resolved(self, path: bytes) -> Iterator[Named]:
        """Resolve an absolute path, following links, and yield the result, open until the block is left.

        Raises OSError with the errno the kernel would give. A magic link of /proc is ELOOP: it would resolve
        differently for this process than for the caller.
        """
        descriptor = open_path.open_in_root(self._root, path)
        try:
            yield _named(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def parent(self, path: bytes) -> Iterator[tuple[Named, bytes]]:
        """Yield the directory that contains `path`, existing or not, and the last component.

        Raises OSError EADDRINUSE if that is no name ("", ".", ".."), as bind(2) does; else like resolved().
        """
        head, _, name = path.rpartition(b"/")
        if name in (b"", b".", b".."):
            raise OSError(errno.EADDRINUSE, "the path of a directory")
        descriptor = open_path.open_in_root(self._root, head or b"/", directory=True)
        try:
            yield _named(descriptor), name
        finally:
            os.close(descriptor)


def umask_of(tid: int) -> int:
    """Return the file mode creation mask of a thread (proc_pid_status(5)).

    Raises OSError if it cannot be inspected.
    """
    with open(f"/proc/{tid}/status", "rb") as status:
        for line in status:
            if line.startswith(b"Umask:"):
                return int(line[6:], 8)
    return 0o777  # before Linux 4.7, which has no Landlock


def _named(descriptor: int) -> Named:
    found = os.fstat(descriptor)
    path = os.readlink(open_path.path_to(descriptor))
    return Named(descriptor, path, stat.S_ISSOCK(found.st_mode), is_deleted=found.st_nlink == 0)
