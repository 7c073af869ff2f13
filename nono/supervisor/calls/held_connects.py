"""Hold connects to listeners whose backlog is full, and retry them until their callers give up."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from nono.named_tuple import NamedTuple

if TYPE_CHECKING:
    from nono.kernel.notify import Notification
    from nono.supervisor.calls.trapped_call import TrappedCalls
    from nono.supervisor.verdict.adjudicator import Refuse

# Nothing reports that a full backlog has room: poll(2) calls an unconnected socket writable.
RETRY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)  # the last one repeats
HELD_MAX = 256  # of one kind; each keeps descriptors open
SHARE = 4  # attempts together take one part in so many of the loop's time


class Held(NamedTuple):
    """A waiting connect. `deadline_s` is on the loop's clock; None: the caller waits indefinitely."""

    call: Notification
    attempt: Callable[[], int | Refuse | None]  # None: the backlog is still full
    release: Callable[[], None]  # frees what the attempt needs; called once
    deadline_s: float | None
    too_late: int  # errno when the deadline has passed


class HeldConnects:
    """The waiting connects of one kind. close() abandons their callers."""

    def __init__(self, calls: TrappedCalls, answer: Callable[[Notification, int | Refuse], None]) -> None:
        """`answer`: Sends the errno of a delayed answer, and records a refusal."""
        self._calls = calls
        self._answer = answer
        self._timers: dict[int, tuple[Held, asyncio.TimerHandle]] = {}

    def close(self) -> None:
        for held, timer in list(self._timers.values()):
            timer.cancel()
            self._forget(held)

    @property
    def is_full(self) -> bool:
        return len(self._timers) >= HELD_MAX

    def hold(self, held: Held) -> None:
        self._wait(held, RETRY_S[0], 0)

    def _wait(self, held: Held, wait_s: float, tries: int) -> None:
        timer = asyncio.get_running_loop().call_later(wait_s, self._try_again, held, tries + 1)
        self._timers[held.call.id] = held, timer

    def _try_again(self, held: Held, tries: int) -> None:
        if not self._calls.is_valid(held.call):  # the caller was killed
            self._forget(held)
            return
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            result = held.attempt()
        except OSError as error:
            result = error.errno or errno.EACCES
        now_s = loop.time()
        is_late = held.deadline_s is not None and now_s >= held.deadline_s
        if result is None and not is_late:
            wait_s = pause_s(tries, len(self._timers), now_s - began_s)
            if held.deadline_s is not None:
                wait_s = min(wait_s, held.deadline_s - now_s)
            self._wait(held, wait_s, tries)
            return
        self._forget(held)
        self._answer(held.call, held.too_late if result is None else result)

    def _forget(self, held: Held) -> None:
        self._timers.pop(held.call.id, None)
        held.release()


def pause_s(tries: int, waiting: int, took_s: float) -> float:
    """Return how long a connect waits for its next attempt, the last of which took `took_s`.

    A command decides how long an attempt takes, by how many of its sockets listen on the port. Retried at a
    fixed time, all `waiting` ones would come due in one turn of the loop, without a turn for others.
    """
    return max(RETRY_S[min(tries, len(RETRY_S) - 1)], SHARE * waiting * took_s)
