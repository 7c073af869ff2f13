"""Tell which opens read an instruction file, and find the file that each of them means."""

from __future__ import annotations

import errno
import os
from posixpath import join

from nono.kernel import open_path
from nono.kernel.notify import Notification
from nono.kernel.uapi import open as uapi
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.path_verdict import FilePolicy, Granted
from nono.supervisor.calls.caller import caller_context
from nono.supervisor.opens.handler import Command
from nono.supervisor.opens.path_arguments import OWN_ENTRIES, PathArguments, examine
from nono.supervisor.verdict.open_call import OpenCall
from nono.trust.disk.check import Checked, named, relative
from nono.trust.package_path import tree_of

TREES_MAX = 64  # package trees recorded for one run


class InstructionOpen(NamedTuple):
    """An open of an instruction file; the descriptor refers to the file to be judged."""

    notification: Notification
    call: OpenCall
    path: str  # canonical
    name: str  # the name for the verdict
    descriptor: int
    may_change: bool  # the command can write it, or another program of this user


class AnsweredError(Exception):
    """Ends an open at once: the kernel might find another file than the one examined."""

    def __init__(self, errno_value: int, path: str, reason: str | None = None) -> None:
        """reason: The trust policy's reason; None for any other error, which is not recorded."""
        super().__init__(path)
        self.errno_value = errno_value
        self.path = path
        self.reason = reason


class InstructionOpens:
    """Recognises the opens of instruction files."""

    def __init__(
        self,
        command: Command,
        files: FilePolicy,
        checked: Checked,
        trees: set[str] | None,
        *,
        leaves_ungranted: bool,
    ) -> None:
        """Recognise the opens of one command.

        trees: Collects the packages of npx and uvx that are read; None: nobody needs them.
        leaves_ungranted: An open beyond the grants is left to others, who may ask a person; else it fails.
        """
        self._command = command
        self._files = files
        self._root = checked.root
        self._policy = checked.trust.policy
        self._named = frozenset(named(checked.root, checked.trust.policy))
        self._trees = trees
        self._leaves_ungranted = leaves_ungranted
        self._arguments = PathArguments(command.root)

    def find(self, notification: Notification, name: str) -> InstructionOpen | None:
        """Return an open that reads a granted instruction file, else None. The caller closes its descriptor.

        Raises AnsweredError for an open that must fail; OSError or ValueError if the path leads nowhere, or
        its caller is gone.
        """
        call = self._arguments.open_call(notification, name)
        if call.flags & (uapi.O_PATH | os.O_DIRECTORY) or call.truncates or not call.access.reads:
            return None
        if call.path.startswith(OWN_ENTRIES):
            self._refuse_hidden(call)
            return None
        descriptor = self._opened(notification.tid, call)
        keeps = False
        try:
            found = examine(descriptor)
            self._note_package(found.path)
            judged = self._judged_name(notification.tid, found.path, call)
            if judged is None or found.kind == "directory":
                return None
            if caller_context(notification.tid) != self._command.caller_context:
                return None  # another root or other rights: we would see other files, and Landlock holds
            if not self._is_granted(found.path, Access.READ):
                if not self._leaves_ungranted:
                    raise AnsweredError(errno.EACCES, found.path)
                return None
            if found.kind != "file" or found.is_process_entry:
                raise AnsweredError(errno.EACCES, found.path, "it is not a file that could be checked")
            keeps = True
            may_change = self._is_granted(found.path, Access.WRITE) or _may_be_written(descriptor)
            return InstructionOpen(notification, call, found.path, judged, descriptor, may_change)
        finally:
            if not keeps:
                os.close(descriptor)

    def _note_package(self, path: str) -> None:
        if self._trees is not None and len(self._trees) < TREES_MAX:
            tree = tree_of(path)
            if tree is not None:
                self._trees.add(tree)

    def _opened(self, tid: int, call: OpenCall) -> int:
        """Open what the path names. A missing instruction file is reported as missing.

        Left to the kernel, the file could exist by then.
        """
        try:
            return self._arguments.find(tid, call)
        except OSError as error:
            if error.errno == errno.ELOOP:  # a magic link, such as /proc/PID/cwd
                self._refuse_hidden(call)
            path = self._spelled(tid, call)
            if error.errno is None or call.flags & uapi.O_CREAT or not self._is_included(path):
                raise
            raise AnsweredError(error.errno, path) from None

    def _refuse_hidden(self, call: OpenCall) -> None:
        """Raise AnsweredError if a path that cannot be followed for its caller may lead to such a file."""
        path = os.fsdecode(call.path)
        names = path.split("/")
        if any(self._is_included("/".join(names[start:])) for start in range(1, len(names))):
            raise AnsweredError(errno.EACCES, path, "a path through /proc hides which file is meant")

    def _judged_name(self, tid: int, path: str, call: OpenCall) -> str | None:
        """Return the name under which the policy includes the file; None if it does not.

        The name may be the path as spelled: a link called CLAUDE.md is read as CLAUDE.md.
        """
        for name in (relative(self._root, path), self._spelled(tid, call)):
            if self._is_included(name):
                return name
        return None

    def _spelled(self, tid: int, call: OpenCall) -> str:
        """Return the path as the caller spelled it, in the form that verdicts use."""
        base = "/" if call.is_absolute else os.readlink(call.base(tid))
        return relative(self._root, join(base, os.fsdecode(call.path)))

    def _is_granted(self, path: str, access: Access) -> bool:
        return isinstance(self._files.judge((path,), access), Granted)

    def _is_included(self, name: str) -> bool:
        return name in self._named or self._policy.includes_path(name)


def _may_be_written(descriptor: int) -> bool:
    """Return True if the file has other names, or may be written by a program of this user: another run."""
    status = os.fstat(descriptor)
    is_ours = status.st_uid == os.geteuid()
    return status.st_nlink > 1 or is_ours or os.access(open_path.path_to(descriptor), os.W_OK)
