"""Follow a recorded request or tunnel to its end, and record shortly afterwards how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING

from nono.audit.event import Recorder
from nono.audit.outcomes import RequestsEnded
from nono.proxy.http.refusal import Refusal, one_line

if TYPE_CHECKING:
    from nono.audit.event import Failure
    from nono.proxy.transport.splice import TimedEnd
    from nono.proxy.verdict.verdict import Entry

DELAY_S = 0.2  # as long as log records may stay unwritten to the disk
TOGETHER_MAX = 128  # in one record; hashing and writing it blocks the loop
KEPT_MAX = 4096  # while the log cannot be written; nothing new is carried out then either


class Outcomes:
    """Record the ends of requests, several at a time: a record for each would slow every request."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._ended: list[Course] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, ended: Course) -> None:
        self._ended.append(ended)
        if len(self._ended) >= TOGETHER_MAX:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(DELAY_S, self.flush)

    def flush(self) -> None:
        """Record the waiting ends. If that fails, they wait for the next time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._ended:
            return
        try:
            self._recorder(RequestsEnded(self._ended))
        except OSError:
            del self._ended[:-KEPT_MAX]
        else:
            self._ended = []


class Course:
    """One request or tunnel from its record to its end: an Outcome of nono.audit.event, once it has ended."""

    # Class attributes, because each request makes a Course and nearly all keep most of these defaults.
    status: int | None = None
    by_proxy = False
    sent = 0
    received = 0
    duration_ms = 0
    failure: Failure | None = None
    reason: str | None = None

    def __init__(self, add: Callable[[Course], None], entry: Entry, number: int | None) -> None:
        """number: The number of its record; None without a log."""
        self._add = add
        self._entry = entry
        self.number = number
        self._began_s = perf_counter()

    @property
    def host(self) -> str:
        upstream = self._entry.upstream  # set for a request to a service, whose target is a name
        return self._entry.target if upstream is None else upstream.rpartition(":")[0]

    @property
    def port(self) -> int:
        return self._entry.port

    def refused(self, answer: Refusal) -> None:
        """Note that the proxy answers itself, because the upstream failed or by its own decision."""
        self.status, self.by_proxy = answer.status, True
        self.failed(answer.failure or "blocked", answer.error)

    def failed(self, failure: Failure, reason: str) -> None:
        """Note why it does not end with its response. Only the first reason is kept."""
        if self.failure is None:
            self.failure, self.reason = failure, one_line(reason)

    def end(self) -> None:
        """Queue the end for recording. Call once."""
        self.duration_ms = round((perf_counter() - self._began_s) * 1000)
        self._add(self)

    def goes_on_in(self, client: TimedEnd) -> None:
        """End when two joined connections end: a tunnel or a WebSocket."""
        client.on_over = self._spliced
        client.on_cut = partial(self.failed, "blocked")

    def _spliced(self, client: TimedEnd) -> None:
        self.sent += client.moved
        if client.other is not None:
            self.received += client.other.moved
            if client.other.was_reset:
                self.failed("reset", "the upstream reset the connection")
        if client.was_idle:
            self.failed("timeout", "no byte has moved either way for too long")
        self.end()
