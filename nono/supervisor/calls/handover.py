"""Hand descriptors to callers, without waiting on the loop for a caller that does not get to run."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from nono.kernel import notify
from nono.supervisor.calls.answers import Answers
from nono.supervisor.calls.watchdog import BlockingCallWatchdog

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from nono.kernel.notify import Notification

WAITING_MAX = 64  # callers that do not get to run; each costs two descriptors


class HandoverThread:
    """Hands descriptors of one listener to callers from a thread, which waits for each, until close().

    The kernel waits until the caller has taken its copy (SECCOMP_IOCTL_NOTIF_ADDFD). A command can put that
    off by seconds: with a thread of SCHED_IDLE on a processor that others of its threads use.
    """

    def __init__(self, listener: int) -> None:
        """listener: The seccomp listener, which the caller continues to own."""
        self._listener = listener
        self._waiter: ThreadPoolExecutor | None = None
        self._waiting = 0
        self._is_closed = False

    def close(self) -> None:
        """Hand nothing out any more. Who waits is left to whoever closes the listener."""
        self._is_closed = True
        if self._waiter is not None:
            self._waiter.shutdown(wait=False, cancel_futures=True)

    def give(self, call: Notification, descriptor: int, *, close_on_exec: bool) -> asyncio.Future[int | None]:
        """Answer the call with a copy of the descriptor, later. Call on the loop.

        The result is that of Answers.hand_over(). Never cancel the future: the thread may be using the copy.

        Raises OSError EINTR if too many callers are waited for, or the thread cannot be started: so that the
        call can be made again.
        """
        if self._is_closed or self._waiting >= WAITING_MAX:
            raise InterruptedError(errno.EINTR, "too many callers are waited for")
        if self._waiter is None:
            # Imported here: few runs have a caller to wait for.
            from concurrent.futures import ThreadPoolExecutor

            self._waiter = ThreadPoolExecutor(1, "nono-handover")
        # A listener of its own, because the loop may close the other meanwhile.
        copy = os.dup(descriptor)
        try:
            listener = os.dup(self._listener)
        except OSError:
            os.close(copy)
            raise
        hand_over = partial(Answers(listener).hand_over, call, copy, close_on_exec=close_on_exec)
        try:
            given = asyncio.get_running_loop().run_in_executor(self._waiter, hand_over)
        except RuntimeError:  # the command has used up its user's limit of processes
            self._waiter.shutdown(wait=False, cancel_futures=True)
            self._waiter = None
            os.close(copy)
            os.close(listener)
            raise InterruptedError(errno.EINTR, "no thread can be started") from None
        self._waiting += 1
        given.add_done_callback(partial(self._given, (listener, copy)))
        return given

    def _given(self, descriptors: tuple[int, int], given: asyncio.Future[int | None]) -> None:
        self._waiting -= 1
        for each in descriptors:
            os.close(each)


class Handover:
    """Answers the calls of one listener with descriptors, until close().

    Most callers run at once. A thread waits for one that does not, and the loop goes on.
    """

    def __init__(
        self,
        listener: int,
        watchdog: BlockingCallWatchdog,
        answer: Callable[[Notification, int], None],
    ) -> None:
        """Set up.

        listener: The seccomp listener, which the caller continues to own.
        answer: Sends the errno where that was not possible.
        """
        self._listener = listener
        self._watchdog = watchdog
        self._answer = answer
        self._thread = HandoverThread(listener)
        self._is_closed = False

    def close(self) -> None:
        """Hand nothing out any more. Who waits is left to whoever closes the listener."""
        self._is_closed = True
        self._thread.close()

    def give(self, call: Notification, descriptor: int, *, close_on_exec: bool) -> None:
        """Answer the call with a copy of the descriptor. Call on the loop.

        Raises OSError EMFILE if the caller can have no more of them, EINVAL before Linux 5.9.
        """
        self._watchdog.arm()
        try:
            notify.respond_with_descriptor(
                self._listener, call.id, descriptor, close_on_exec=close_on_exec, interruptions_max=1
            )
        except FileNotFoundError:
            pass  # ENOENT: the caller is gone
        except InterruptedError:
            try:
                given = self._thread.give(call, descriptor, close_on_exec=close_on_exec)
            except OSError as error:
                self._answer(call, error.errno or errno.EACCES)
            else:
                given.add_done_callback(partial(self._given, call))

    def _given(self, call: Notification, given: asyncio.Future[int | None]) -> None:
        errno_value = None if given.cancelled() else given.result()
        if errno_value is not None and not self._is_closed:
            self._answer(call, errno_value)
