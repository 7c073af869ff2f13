"""Serve trapped opens: leave granted ones to the kernel, and open a file for the command once approved.

CONTINUE answers only calls that name files: Landlock checks the open again when the kernel carries it out,
whatever the path has become by then. So CONTINUE gives the command nothing that it would lack without
elevation, and it is the answer to every call that cannot be judged.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import anyio
from anyio.abc import TaskGroup

from nono.approval.request import Approver, FileOpen
from nono.audit.event import Event, Recorder
from nono.kernel import capabilities, open_path, threads
from nono.kernel.notify import Notification
from nono.kernel.uapi import open as uapi
from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.files.path_verdict import FilePolicy
from nono.policy.live.paths import LivePaths
from nono.policy.live.rule import LiveRule
from nono.supervisor.calls.answers import Answers
from nono.supervisor.calls.caller import CallerContext, caller_context, open_root
from nono.supervisor.opens.path_arguments import KEPT, OWN_ENTRIES, PathArguments, examine, mode_of
from nono.supervisor.verdict.audit_events import opened_by_rule, refused_open
from nono.supervisor.verdict.open_call import OpenCall
from nono.supervisor.verdict.open_verdict import Ask, Found, Leave, Refuse, judge_open

WAITING_MAX = 64  # opens waiting for an answer; each keeps a descriptor open
SWEEP_INTERVAL_S = 0.5  # how often to check that waiting callers still live


class Command(NamedTuple):
    """The root and context of the command just before it was executed."""

    root: int  # an O_PATH descriptor, owned by the creator of this object
    caller_context: CallerContext


@contextmanager
def command_of(pid: int) -> Iterator[Command]:
    """Yield the Command of `pid`, restricted and not yet executed.

    Raises OSError if it cannot be inspected.
    """
    root = open_root(pid)
    try:
        yield Command(root, caller_context(pid))
    finally:
        os.close(root)


class _Waiting(NamedTuple):
    """An open that waits for an answer; the descriptor refers to the file that was judged."""

    notification: Notification
    call: OpenCall
    path: str
    descriptor: int


class FileOpens:
    """Serves the trapped opens of one listener until close(); questions run as tasks of the given group."""

    def __init__(
        self,
        listener: int,
        command: Command,
        policy: FilePolicy,
        approver: Approver,
        recorder: Recorder,
        tasks: TaskGroup,
        live: LivePaths | None,
    ) -> None:
        self._live = live
        self._answers = Answers(listener)
        self._command = command
        self._policy = policy
        self._approver = approver
        self._recorder = recorder
        self._tasks = tasks
        self._waiting = 0
        self._arguments = PathArguments(command.root)
        # A separate thread, because an open may take long and must not use capabilities that the command
        # lacks. Capabilities belong to a thread, and this one drops them for good.
        self._opener = thread_of("opener")

    def close(self) -> None:
        """Stop answering. Call before the listener is closed; opens that still wait then fail with it."""
        self._opener.shutdown()
        self._answers.close()

    def serve(self, notification: Notification, name: str) -> None:
        """Answer an open, creat, openat or openat2 call, later if a person has to be asked."""
        try:
            self._serve(notification, name)
        except (OSError, ValueError):
            # A missing or unreadable path, a caller that is gone or hides its memory, malformed arguments:
            # the kernel has an errno for each. Landlock checks the call, as above.
            self._answers.leave(notification)

    def _serve(self, notification: Notification, name: str) -> None:
        call = self._arguments.open_call(notification, name)
        # O_PATH neither reads nor writes, and Landlock does not check it. The caller's own entries in /proc
        # are left to its grants (docs/adr/0005); this process would resolve them to its own.
        if call.flags & uapi.O_PATH or call.path.startswith(OWN_ENTRIES):
            self._answers.leave(notification)
            return
        descriptor = self._arguments.find(notification.tid, call)
        keeps = False
        try:
            found = examine(descriptor)
            verdict = self._judged(notification.tid, call, found, descriptor)
            approved: LiveRule | None = None
            if isinstance(verdict, Ask):
                verdict, approved = self._by_rule(found.path, verdict)
            match verdict:
                case Leave():
                    self._answers.leave(notification)
                case Refuse():
                    self._refuse(notification, verdict)
                case Ask() if self._waiting >= WAITING_MAX:
                    reason = "too many opens wait for an answer (rate limit)"
                    self._refuse(notification, Refuse(found.path, verdict.access, reason))
                case Ask(access):
                    keeps = self._begin_asking(notification, call, found, access, descriptor, approved)
        finally:
            if not keeps:
                os.close(descriptor)

    def _judged(self, tid: int, call: OpenCall, found: Found, descriptor: int) -> Leave | Ask | Refuse:
        """Judge an open by the policy. What cannot be judged for its caller is left to the kernel."""
        verdict = judge_open(call, found, self._policy)
        if isinstance(verdict, Leave) or (
            isinstance(verdict, Refuse) and _may_be_the_callers_own(call, found)
        ):
            return Leave()
        if caller_context(tid) != self._command.caller_context:
            # The caller has another root, other namespaces or another user: the grants were made for
            # other paths and rights, so add nothing.
            return Leave()
        if isinstance(verdict, Ask) and not os.access(open_path.path_to(descriptor), mode_of(verdict.access)):
            return Leave()  # the file's mode already refuses it
        return verdict

    def _begin_asking(
        self,
        notification: Notification,
        call: OpenCall,
        found: Found,
        access: Access,
        descriptor: int,
        approved: LiveRule | None,
    ) -> bool:
        """Ask in a task, which then owns `descriptor`. Returns False if the caller is gone."""
        request = FileOpen(
            found.path,
            access,
            found.kind or "file",
            call.truncates,
            threads.thread_group_id(notification.tid),
        )
        # After the last look-up by tid, because the tid may have been reused before that.
        if not self._answers.is_awaited(notification):
            return False
        self._waiting += 1
        waiting = _Waiting(notification, call, found.path, descriptor)
        self._tasks.start_soon(self._ask, waiting, request, approved)
        return True

    def _by_rule(self, path: str, ask: Ask) -> tuple[Ask | Refuse, LiveRule | None]:
        """Return a refusal or approval by a rule that a person added earlier; else `ask` unchanged."""
        rule = None if self._live is None else self._live.judge(path, ask.access)
        if rule is not None and rule.decision == "deny":
            return Refuse(path, ask.access, f"'{rule.target}' is denied by {rule.origin}"), None
        return ask, rule

    def _is_denied_meanwhile(self, request: FileOpen) -> bool:
        """Record the refusal of a file that a person has agreed to, if a rule denies it by now."""
        verdict, _ = self._by_rule(request.path, Ask(request.access))
        if not isinstance(verdict, Refuse):
            return False
        with suppress(OSError):  # as in _refuse
            self._recorder(refused_open(verdict))
        return True

    def _refuse(self, notification: Notification, refusal: Refuse) -> None:
        with suppress(OSError):  # the refusal stands even if it cannot be recorded
            self._recorder(refused_open(refusal))
        self._answers.fail(notification, errno.EPERM)

    async def _ask(self, waiting: _Waiting, request: FileOpen, approved: LiveRule | None) -> None:
        """Open the file once a person agrees, or at once if a rule already did."""
        errno_value: int | None = errno.EPERM  # the answer, unless what follows earns a better one
        try:
            if approved is None:
                is_yes = await self._is_approved(waiting, request) and not self._is_denied_meanwhile(request)
            else:
                is_yes = self._is_recorded(opened_by_rule(request.path, request.access, approved.origin))
            if is_yes:
                errno_value = await self._open(waiting)
        finally:
            self._waiting -= 1
            os.close(waiting.descriptor)
            if errno_value is not None:
                self._answers.fail(waiting.notification, errno_value)

    def _is_recorded(self, event: Event) -> bool:
        try:
            self._recorder(event)
        except OSError:  # an open that cannot be recorded is not made
            return False
        return True

    async def _is_approved(self, waiting: _Waiting, request: FileOpen) -> bool:
        """Ask for approval.

        Returns False if the caller is gone, which withdraws the question unless others share it.
        """
        approved = False
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._cancel_when_gone, waiting.notification, tasks.cancel_scope)
            approved = (await self._approver(request)).is_granted
            tasks.cancel_scope.cancel()
        return approved and self._answers.is_awaited(waiting.notification)

    async def _cancel_when_gone(self, notification: Notification, scope: anyio.CancelScope) -> None:
        while True:
            await anyio.sleep(SWEEP_INTERVAL_S)
            if not self._answers.is_awaited(notification):
                scope.cancel()
                return

    async def _open(self, waiting: _Waiting) -> int | None:
        """Open the judged file for the caller.

        Returns the errno to answer with, or None if it got its descriptor.
        """
        from asyncio import get_running_loop

        return await get_running_loop().run_in_executor(self._opener, self._open_and_answer, waiting)

    def _open_and_answer(self, waiting: _Waiting) -> int | None:
        """Open and answer, both in the opener's thread: the awaiting task may be cancelled meanwhile."""
        try:
            descriptor = self._open_judged(waiting)
        except OSError as error:
            return error.errno or errno.EPERM
        try:
            return self._answers.hand_over(
                waiting.notification, descriptor, close_on_exec=waiting.call.closes_on_exec
            )
        finally:
            os.close(descriptor)

    def _open_judged(self, waiting: _Waiting) -> int:
        """Open the file at the judged path, provided it is still the one that was judged."""
        path = os.fsencode(waiting.path)
        resolve = uapi.RESOLVE_NO_SYMLINKS | uapi.RESOLVE_NO_MAGICLINKS | uapi.RESOLVE_IN_ROOT
        again = open_path.open_undisturbed(self._command.root, path, os.O_PATH, resolve)
        try:
            if not os.path.samestat(os.fstat(again), os.fstat(waiting.descriptor)):
                raise OSError(errno.EPERM, "replaced since it was judged", waiting.path)
            # By the descriptor that was examined, without another look-up by name. O_NONBLOCK, so that a FIFO
            # without a peer cannot block us; it is removed again below.
            wanted = waiting.call.flags
            flags = wanted & KEPT | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            opened = os.open(open_path.path_to(again), flags)
        finally:
            os.close(again)
        if not wanted & os.O_NONBLOCK:
            fcntl.fcntl(opened, fcntl.F_SETFL, fcntl.fcntl(opened, fcntl.F_GETFL) & ~os.O_NONBLOCK)
        return opened


def thread_of(name: str) -> ThreadPoolExecutor:
    """Start a thread with no more rights than the command.

    At once: later, the command may have used up its user's limit of processes.
    """
    executor = ThreadPoolExecutor(1, name, capabilities.drop_dangerous)
    executor.submit(int)
    return executor


def _may_be_the_callers_own(call: OpenCall, found: Found) -> bool:
    """Return True for a link such as /etc/mtab that leads to the caller's own entries but led us to ours."""
    ours = str(os.getpid())
    return found.is_process_entry and ours in found.path.split("/") and ours.encode() not in call.path
