"""Check instruction files when the command opens them, and pass on the content that was checked.

A caller that changes its path during the check opens another file, within what Landlock grants. So this
protects an agent from unknown instructions, but does not keep a program from reading a file.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from anyio.abc import TaskGroup

from nono.audit.event import OF_INSTRUCTIONS, Recorder
from nono.disk.regular_file import read_regular_file
from nono.errors import reason_of
from nono.kernel import open_path
from nono.kernel.notify import Notification
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.path_verdict import FilePolicy
from nono.printable import shell_word
from nono.supervisor.calls.answers import Answers
from nono.supervisor.calls.handover import HandoverThread
from nono.supervisor.opens.handler import Command, thread_of
from nono.supervisor.opens.instruction_opens import AnsweredError, InstructionOpen, InstructionOpens
from nono.supervisor.opens.judged_files import LEASE_S, JudgedFiles
from nono.supervisor.opens.path_arguments import KEPT
from nono.supervisor.verdict.audit_events import instructions_opened, refused_open
from nono.supervisor.verdict.open_verdict import Refuse
from nono.supervisor.verdict.path_call import OPENS
from nono.trust.disk.check import Checked
from nono.trust.disk.evidence import FILE_BYTES_MAX, evidence_of
from nono.trust.verdict import Status, Verdict, judge, unreadable

if TYPE_CHECKING:
    from nono.supervisor.notify_loop import PathCalls

WAITING_MAX = 64  # opens waiting for their file to be read; each keeps a descriptor open

Approvals = Callable[[], Mapping[str, str]]  # returns the current approvals


class _Read(NamedTuple):
    """A file's content, and the verdict on it."""

    content: bytes
    verdict: Verdict
    leased: int | None  # a descriptor that holds a lease; None: no lease


class InstructionFiles:
    """Serves the trapped opens of one listener until close(); checks run as tasks of the given group."""

    def __init__(
        self,
        listener: int,
        command: Command,
        files: FilePolicy,
        checked: Checked,
        approvals: Approvals,
        recorder: Recorder,
        tasks: TaskGroup,
        others: PathCalls | None,
        trees: set[str] | None,
    ) -> None:
        """Serve one listener.

        others: Serves every other call, and is closed with this object; None: the kernel serves them.
        trees: Collects the packages of npx and uvx that are read; None: nobody needs them.
        """
        self._answers = Answers(listener)
        self._handover = HandoverThread(listener)
        self._command = command
        self._root = checked.root
        self._trust = checked.trust
        self._verify = checked.verify
        self._approvals = approvals
        self._recorder = recorder
        self._tasks = tasks
        self._others = others
        self._opens = InstructionOpens(command, files, checked, trees, leaves_ungranted=others is not None)
        self._waiting = 0
        self._judged = JudgedFiles()
        self._reader = thread_of("reader")

    def close(self) -> None:
        self._reader.shutdown()
        self._handover.close()
        self._answers.close()
        self._judged.close()
        if self._others is not None:
            self._others.close()

    def serve(self, notification: Notification, name: str) -> None:
        """Answer an open of an instruction file, later; pass on every other call."""
        waiting = None
        if name in OPENS:
            try:
                waiting = self._opens.find(notification, name)
            except AnsweredError as answer:
                if answer.reason is None:
                    self._answers.fail(notification, answer.errno_value)
                else:
                    self._refuse(notification, answer.path, answer.reason)
                return
            except (OSError, ValueError):
                pass  # a path that leads nowhere, a caller that is gone: the kernel has an errno for each
        if waiting is None:
            self._pass_on(notification, name)
        elif self._waiting >= WAITING_MAX:
            os.close(waiting.descriptor)
            self._refuse(notification, waiting.path, "too many instruction files wait to be checked")
        else:
            self._waiting += 1
            self._tasks.start_soon(self._check, waiting, name)

    def _pass_on(self, notification: Notification, name: str) -> None:
        if self._others is not None:
            self._others.serve(notification, name)
            return
        self._answers.leave(notification)  # Landlock checks the open again (nono.supervisor.opens.handler)

    async def _check(self, waiting: InstructionOpen, call_name: str) -> None:
        """Read and judge the file, and answer."""
        # Imported here: a run without a loop never imports asyncio.
        from asyncio import get_running_loop

        loop = get_running_loop()
        leased: int | None = None
        errno_value: int | None = errno.EACCES  # the answer, unless what follows earns a better one
        try:
            read = await loop.run_in_executor(self._reader, self._judge, waiting)
            leased, verdict = read.leased, read.verdict
            if verdict.is_refused(self._trust.policy.enforcement):
                self._refuse(waiting.notification, waiting.path, _reason(verdict))
                errno_value = None
            elif waiting.call.access.writes:
                self._recorder(instructions_opened(waiting.path, verdict))
                self._pass_on(waiting.notification, call_name)
                errno_value = None
            else:
                self._recorder(instructions_opened(waiting.path, verdict))
                errno_value = await self._hand_over(waiting, read)
                if leased is not None and errno_value is None:
                    loop.call_later(LEASE_S, self._judged.release, leased)
                    leased = None
        except OSError:
            pass  # an open that cannot be recorded is not made
        finally:
            self._waiting -= 1
            os.close(waiting.descriptor)
            if leased is not None:
                self._judged.release(leased)
            if errno_value is not None:
                self._answers.fail(waiting.notification, errno_value)

    def _judge(self, waiting: InstructionOpen) -> _Read:
        """Read the file by the descriptor that was examined, and judge what was read."""
        leased = None
        try:
            if waiting.may_change and not waiting.call.access.writes:
                leased = self._judged.lease(waiting.descriptor)
            content = read_regular_file(open_path.path_to(waiting.descriptor), FILE_BYTES_MAX)
        except OSError as error:
            return _Read(b"", unreadable(waiting.name, reason_of(error)), leased)
        evidence = evidence_of(self._root, waiting.name, content, self._read_inside, self._verify)
        verdict = judge(evidence, self._trust)
        if not verdict.is_trusted:
            # A person may have approved it since the run began.
            with suppress(OSError, ValueError):
                verdict = judge(evidence, self._trust._replace(approved=self._approvals()))
        return _Read(content, verdict, leased)

    def _read_inside(self, path: str, max_bytes: int) -> bytes:
        """Read a file as the command sees it, which may have a private /tmp."""
        descriptor = open_path.open_in_root(self._command.root, os.fsencode(path))
        try:
            return read_regular_file(open_path.path_to(descriptor), max_bytes)
        finally:
            os.close(descriptor)

    async def _hand_over(self, waiting: InstructionOpen, read: _Read) -> int | None:
        """Pass the judged content to the caller. Returns as Answers.hand_over() does. Raises OSError."""
        if not self._answers.is_awaited(waiting.notification):
            return None
        source: int | None = waiting.descriptor
        if waiting.may_change and read.leased is None:
            state = os.fstat(waiting.descriptor)
            source = self._judged.copy(read.verdict.sha256 or "", read.content, state)
        if source is None:
            raise OSError(errno.ENOMEM, "too many copies are in use", waiting.path)
        descriptor = os.open(open_path.path_to(source), waiting.call.flags & KEPT | os.O_CLOEXEC)
        try:
            given = self._handover.give(
                waiting.notification, descriptor, close_on_exec=waiting.call.closes_on_exec
            )
        finally:
            os.close(descriptor)
        # Imported here: a run without a loop never imports asyncio.
        from asyncio import shield

        return await shield(given)

    def _refuse(self, notification: Notification, path: str, reason: str) -> None:
        with suppress(OSError):  # the refusal stands even if it cannot be recorded
            self._recorder(refused_open(Refuse(path, Access.READ, f"{OF_INSTRUCTIONS}{reason}")))
        self._answers.fail(notification, errno.EACCES)


def _reason(verdict: Verdict) -> str:
    if verdict.sha256 is None or verdict.status is Status.BLOCKED:
        return verdict.reason
    return f"{verdict.reason}; outside, nono trust approve {shell_word(verdict.path)} lets it be read"
