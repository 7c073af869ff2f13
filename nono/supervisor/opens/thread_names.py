"""Open the `comm` files of the command's own threads for it, as NVIDIA's driver needs; pass on other opens.

Landlock's grant of /proc/self is for reading, and only for the command itself: each process it starts has
another directory. This never follows a path, only compares it, and opens /proc/PROCESS/task/THREAD/comm by
the kernel's numbers for the very process that waits. So whatever a caller does to its path, its directories
or its threads, it gets one of its own names, which it could also set with prctl(2). The kernel accepts a name
from no other process, so passing the descriptor on gains nothing.
"""

from __future__ import annotations

import errno
import os
from functools import partial
from typing import TYPE_CHECKING

from nono.audit.event import Recorder
from nono.kernel import open_path, threads
from nono.kernel.notify import Notification
from nono.kernel.uapi import open as uapi
from nono.supervisor.calls.answers import Answers
from nono.supervisor.calls.caller import caller_context
from nono.supervisor.calls.handover import HandoverThread
from nono.supervisor.opens.handler import Command
from nono.supervisor.opens.path_arguments import PathArguments
from nono.supervisor.verdict import open_call
from nono.supervisor.verdict.audit_events import named_thread
from nono.supervisor.verdict.open_call import OpenCall
from nono.supervisor.verdict.path_call import OPENS
from nono.supervisor.verdict.thread_name import thread_named

if TYPE_CHECKING:
    from asyncio import Future

    from nono.supervisor.notify_loop import PathCalls

# With any of these flags the open means something else, or must fail with a specific errno.
_LEFT = os.O_PATH | os.O_DIRECTORY | os.O_EXCL | os.O_DIRECT | os.O_NOATIME | os.O_ASYNC
# The flags that matter for a file that can be neither created nor truncated.
_KEPT = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_SYNC
_NO_DETOUR = (
    uapi.RESOLVE_BENEATH | uapi.RESOLVE_NO_XDEV | uapi.RESOLVE_NO_SYMLINKS | uapi.RESOLVE_NO_MAGICLINKS
)


class ThreadNames:
    """Serves the trapped calls of one listener that name files, until close()."""

    def __init__(
        self,
        listener: int,
        command: Command,
        recorder: Recorder,
        others: PathCalls | None,
    ) -> None:
        """`others` serves every other call, and is closed with this object; None: the kernel serves them.

        Raises OSError if the command has no /proc.
        """
        self._answers = Answers(listener)
        self._handover = HandoverThread(listener)
        self._command = command
        self._recorder = recorder
        self._others = others
        self._arguments = PathArguments(command.root)
        self._proc = open_path.open_in_root(command.root, b"/proc", directory=True)

    def close(self) -> None:
        if self._others is not None:
            self._others.close()
        self._handover.close()
        self._answers.close()
        os.close(self._proc)

    def serve(self, notification: Notification, name: str) -> None:
        """Answer a call that names a file, or pass it on."""
        try:
            is_answered = name in OPENS and self._serve(notification, name)
        except (OSError, ValueError):
            # An unreadable path, a missing thread, or a failed audit record: proceed as without this object.
            is_answered = False
        if is_answered:
            return
        if self._others is not None:
            self._others.serve(notification, name)
            return
        self._answers.leave(notification)  # Landlock judges the open again (nono.supervisor.opens.handler)

    def _serve(self, notification: Notification, name: str) -> bool:
        """Answer the call if it opens a thread's name. Returns True if answered.

        Raises OSError or ValueError if it was not answered.
        """
        registers = open_call.registers(name, notification.args)
        if registers.how is None and not _writes(registers.flags):
            return False  # most opens; nothing is read from their callers
        call = self._arguments.open_call(notification, name)
        if not _writes(call.flags) or call.resolve or not call.path.endswith(b"comm"):
            return False
        group, caller = threads.numbers_inside(notification.tid)
        thread = thread_named(_absolute(notification.tid, call), group, caller)
        if thread is None or caller_context(notification.tid) != self._command.caller_context:
            return False  # another process's, or the caller may see another /proc there
        descriptor = self._open(notification, group, thread, call)
        if descriptor is None:
            return False
        try:
            self._recorder(named_thread(f"/proc/{group}/task/{thread}/comm", call.access))
            given = self._handover.give(notification, descriptor, close_on_exec=call.closes_on_exec)
        except InterruptedError:  # too many wait
            self._answers.fail(notification, errno.EINTR)
            return True
        finally:
            os.close(descriptor)
        given.add_done_callback(partial(self._given, notification))
        return True

    def _given(self, notification: Notification, given: Future[int | None]) -> None:
        errno_value = None if given.cancelled() else given.result()
        if errno_value is not None:
            self._answers.fail(notification, errno_value)

    def _open(self, notification: Notification, group: int, thread: int, call: OpenCall) -> int | None:
        """Open the name of one of the caller's threads.

        Returns None if the caller is gone. Raises OSError if it has no such thread.
        """
        directory = open_path.open_at(self._proc, b"%d" % group, os.O_PATH | os.O_DIRECTORY, _NO_DETOUR)
        try:
            # After the last look-up by number: from here on the directory refers to the caller's process and
            # no other, even after it has ended. The thread is looked up in that directory.
            if not self._answers.is_awaited(notification):
                return None
            entry = b"task/%d/comm" % thread
            return open_path.open_at(directory, entry, call.flags & _KEPT, _NO_DETOUR)
        finally:
            os.close(directory)


def _writes(flags: int) -> bool:
    return flags & os.O_ACCMODE in (os.O_WRONLY, os.O_RDWR) and not flags & _LEFT


def _absolute(tid: int, call: OpenCall) -> bytes:
    """Return the path joined to the directory it starts from.

    Raises OSError or ValueError if it names no thread.
    """
    if call.is_absolute:
        return call.path
    base = os.open(call.base(tid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not open_path.is_on_procfs(base):
            raise ValueError("it starts from elsewhere")
        return os.fsencode(os.readlink(open_path.path_to(base))) + b"/" + call.path
    finally:
        os.close(base)
