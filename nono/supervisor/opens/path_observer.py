"""Observe the command's file accesses for `nono learn`, and leave every call to the kernel.

This module decides nothing: Landlock restricts the command to what a person allowed for the learning run,
whatever its arguments have become by the time the kernel reads them. A command that changes them in between
is recorded for an access it did not make, and gains a line in a profile that a person reads before it is
written.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from nono.kernel.notify import Notification
from nono.kernel.open_path import path_to
from nono.kernel.uapi import open as uapi
from nono.kernel.uapi.process import BINPRM_BUF_SIZE
from nono.policy.capability import Access
from nono.supervisor.calls.answers import Answers
from nono.supervisor.calls.caller import CallerContext, caller_context
from nono.supervisor.opens.path_arguments import OWN_ENTRIES, PathArguments, examine, mode_of
from nono.supervisor.verdict import path_call
from nono.supervisor.verdict.open_call import OpenCall
from nono.supervisor.verdict.path_call import Deed, PathUse

SCRIPTS_MAX = 5  # depth of scripts that are interpreters of scripts (execve(2))


class Watcher(Protocol):
    """Receives the observations. Paths are canonical; bytes that are not UTF-8 become surrogates."""

    def used(self, path: str, access: Access, *, is_dir: bool) -> None:
        """Called when an existing file or directory was opened, listed or executed."""
        ...

    def changed(
        self, directory: str, name: str, access: Access, *, is_made: bool, as_file: bool = False
    ) -> None:
        """Called when a name in a directory was created (`is_made`), by open(2) `as_file`, or removed."""
        ...

    def missed(self) -> None:
        """Called when an access could not be observed."""
        ...

    def is_kept(self, path: str) -> bool:
        """Tell whether a read-only mount of nono's own refuses a change, and that is to be reported."""
        ...


class PathWatch:
    """Observes the calls of one listener that name files, until close(). The opener of `root` closes it."""

    def __init__(self, listener: int, root: int, command: CallerContext, watcher: Watcher) -> None:
        """`root` and `command` describe the command just before it was executed."""
        self._answers = Answers(listener)
        self._root = root
        self._command = command
        self._watcher = watcher
        self._arguments = PathArguments(root)

    def close(self) -> None:
        """Do nothing: no call waits for an answer."""

    def serve(self, notification: Notification, name: str) -> None:
        """Record the call, and leave it to the kernel."""
        try:
            if self._can_be_followed(notification.tid):
                # A caller that is gone, a path that leads nowhere: the kernel has an errno for each, and
                # Landlock checks what the kernel finds.
                with suppress(OSError, ValueError):
                    self._see(notification, name)
            else:
                self._watcher.missed()
        finally:
            self._answers.leave(notification)

    def _can_be_followed(self, tid: int) -> bool:
        """Return False for a caller with another root, namespaces or rights, or one that hides its memory."""
        try:
            return caller_context(tid) == self._command
        except PermissionError:
            return False
        except OSError:
            return True  # the caller is gone

    def _see(self, notification: Notification, name: str) -> None:
        tid = notification.tid
        if name in path_call.OPENS:
            self._opened(tid, self._arguments.open_call(notification, name))
            return
        uses = path_call.uses_of(name, notification.args)
        if [use.deed for use in uses] == [Deed.LINKED, Deed.MADE]:
            self._linked(tid, *uses)
            return
        for use in uses:
            path = self._path(tid, use)
            if use.deed is Deed.EXECUTED:
                self._executed(tid, OpenCall(use.directory, path, 0))
            elif use.deed is Deed.TRUNCATED:
                self._used(tid, OpenCall(use.directory, path, 0), Access.WRITE)
            else:
                self._entry(tid, use.directory, path, use.deed)

    def _path(self, tid: int, use: PathUse) -> bytes:
        try:
            return self._arguments.path(tid, use.address)
        except ValueError:
            if use.deed is not Deed.EXECUTED or use.directory == uapi.AT_FDCWD:
                raise
        # fexecve(3): the empty path means the descriptor itself.
        return os.fsencode(os.readlink(f"/proc/{tid}/fd/{use.directory}"))

    def _opened(self, tid: int, call: OpenCall) -> None:
        if call.flags & uapi.O_PATH or call.path.startswith(OWN_ENTRIES):
            return  # Landlock does not check O_PATH; own entries are left to their grants (docs/adr/0005)
        access = call.access
        if call.flags & os.O_TMPFILE == os.O_TMPFILE:
            self._used(tid, call._replace(flags=os.O_DIRECTORY), access)
            return
        try:
            self._used(tid, call, access)
        except FileNotFoundError:
            if call.flags & uapi.O_CREAT:
                self._entry(tid, call.directory, call.path, Deed.MADE, access, as_file=True)

    def _executed(self, tid: int, call: OpenCall) -> None:
        """Record an executed file, and the interpreters of scripts, which the kernel opens by itself."""
        for _ in range(SCRIPTS_MAX):
            self._used(tid, call, Access.READ)
            interpreter = path_call.interpreter_of(self._head(tid, call))
            if interpreter is None:
                return
            call = OpenCall(uapi.AT_FDCWD, interpreter, 0)

    def _head(self, tid: int, call: OpenCall) -> bytes:
        descriptor = self._arguments.find(tid, call)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            with open(os.open(path_to(descriptor), os.O_RDONLY | os.O_CLOEXEC), "rb", buffering=0) as file:
                return file.read(BINPRM_BUF_SIZE)
        finally:
            os.close(descriptor)

    def _used(self, tid: int, call: OpenCall, access: Access) -> None:
        """Record the use of an existing file or directory."""
        descriptor = self._arguments.find(tid, call)
        try:
            found = examine(descriptor)
            makes = bool(call.flags & uapi.O_CREAT)
            if (makes and call.flags & uapi.O_EXCL) or found.kind is None or found.is_process_entry:
                return  # EEXIST, ENXIO; and /proc is left to its own grants
            is_dir = found.kind == "directory"
            if is_dir and call.flags & uapi.O_ACCMODE != uapi.O_RDONLY and not call.flags & os.O_DIRECTORY:
                return  # EISDIR
            if self._may(descriptor, mode_of(access)):  # otherwise the file's mode refuses it
                self._watcher.used(found.path, access, is_dir=is_dir)
        finally:
            os.close(descriptor)

    def _entry(
        self,
        tid: int,
        directory: int,
        path: bytes,
        deed: Deed,
        access: Access = Access.WRITE,
        *,
        as_file: bool = False,
    ) -> None:
        """Record that a name in a directory is created, removed or replaced, which writes the directory."""
        with self._parent(tid, directory, path) as (parent, name):
            try:
                os.stat(name, dir_fd=parent, follow_symlinks=False)
            except FileNotFoundError:
                if deed is Deed.REMOVED:
                    raise  # a rename that has no source makes nothing either
            else:
                if deed is Deed.MADE:
                    return  # EEXIST
            if self._may(parent, os.W_OK | os.X_OK):
                found, is_made = os.readlink(path_to(parent)), deed is not Deed.REMOVED
                access = access.united(Access.WRITE)
                self._watcher.changed(found, os.fsdecode(name), access, is_made=is_made, as_file=as_file)

    def _may(self, descriptor: int, mode: int) -> bool:
        """Check that this user has an access, or that only a mount of nono's own refuses it."""
        place = path_to(descriptor)
        return os.access(place, mode) or self._watcher.is_kept(os.readlink(place))

    def _linked(self, tid: int, old: PathUse, new: PathUse) -> None:
        """Record a hard link. A new name in the same directory needs no access to the existing file."""
        old_path, new_path = self._path(tid, old), self._path(tid, new)
        with (
            self._parent(tid, old.directory, old_path) as (old_parent, name),
            self._parent(tid, new.directory, new_path) as (new_parent, _),
        ):
            os.stat(name, dir_fd=old_parent, follow_symlinks=False)  # OSError: nothing is made
            if not os.path.samestat(os.fstat(old_parent), os.fstat(new_parent)):
                found = os.readlink(path_to(old_parent))
                self._watcher.changed(found, os.fsdecode(name), Access.WRITE, is_made=False)
        self._entry(tid, new.directory, new_path, Deed.MADE)

    @contextmanager
    def _parent(self, tid: int, directory: int, path: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield the directory that holds `path`, existing or not, and the last component.

        Raises ValueError if it has none.
        """
        head, slash, name = path.rstrip(b"/").rpartition(b"/")
        if name in (b"", b".", b".."):
            raise ValueError("the path of a directory")
        above = head + slash or b"."
        descriptor = self._arguments.find(tid, OpenCall(directory, above, os.O_DIRECTORY))
        try:
            yield descriptor, name
        finally:
            os.close(descriptor)
