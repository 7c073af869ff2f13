"""Run a few callbacks on poll(2), for runs that have no other use for an event loop.

The methods are asyncio's, so that code written for one loop runs on the other. Importing asyncio takes longer
than most commands.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # typing takes 2 ms to import

Callback = Callable[..., object]


class Timer(Protocol):
    def cancel(self) -> None: ...


class Loop(Protocol):
    """The methods of a loop that a relay uses."""

    def add_reader(self, fd: int, callback: Callback, /) -> object: ...

    def remove_reader(self, fd: int, /) -> object: ...

    def add_writer(self, fd: int, callback: Callback, /) -> object: ...

    def remove_writer(self, fd: int, /) -> object: ...

    def call_later(self, delay: float, callback: Callback, /, *args: object) -> Timer: ...

    def time(self) -> float: ...


class _Timer:
    def __init__(self, when: float, callback: Callback, args: tuple[object, ...]) -> None:
        self.when, self.callback, self.args = when, callback, args
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class PollLoop:
    """A Loop that runs within run_until()."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._readers: dict[int, Callback] = {}
        self._writers: dict[int, Callback] = {}
        self._timers: list[_Timer] = []

    def add_reader(self, fd: int, callback: Callback, /) -> None:
        self._readers[fd] = callback
        self._register(fd)

    def remove_reader(self, fd: int, /) -> None:
        self._readers.pop(fd, None)
        self._register(fd)

    def add_writer(self, fd: int, callback: Callback, /) -> None:
        self._writers[fd] = callback
        self._register(fd)

    def remove_writer(self, fd: int, /) -> None:
        self._writers.pop(fd, None)
        self._register(fd)

    def call_later(self, delay: float, callback: Callback, /, *args: object) -> Timer:
        timer = _Timer(self.time() + delay, callback, args)
        self._timers.append(timer)
        return timer

    def time(self) -> float:
        return time.monotonic()

    def run_until(self, holds: Callable[[], bool], look_every_s: float | None = None) -> None:
        """Run until `holds` returns True, which is checked after each event, and at the given interval."""
        while not holds():
            for fd, events in self._poll.poll(self._patience_ms(look_every_s)):
                # Look again: a callback may have removed the next one.
                if events & ~select.POLLOUT and (reader := self._readers.get(fd)) is not None:
                    reader()
                if events & ~select.POLLIN and (writer := self._writers.get(fd)) is not None:
                    writer()
            self._call_due()

    def _register(self, fd: int) -> None:
        events = select.POLLIN if fd in self._readers else 0
        events |= select.POLLOUT if fd in self._writers else 0
        if events:
            self._poll.register(fd, events)
        else:
            try:
                self._poll.unregister(fd)
            except KeyError:  # nothing was watched
                return

    def _patience_ms(self, look_every_s: float | None) -> float | None:
        if not self._timers and look_every_s is None:
            return None
        self._timers = [timer for timer in self._timers if not timer.is_cancelled]
        left_s = [max(timer.when - self.time(), 0) for timer in self._timers]
        if look_every_s is not None:
            left_s.append(look_every_s)
        return min(left_s) * 1000 if left_s else None  # poll rounds up, so it does not wake too soon

    def _call_due(self) -> None:
        if not self._timers:
            return
        now = self.time()
        due = [timer for timer in self._timers if timer.when <= now]
        self._timers = [timer for timer in self._timers if timer.when > now]
        for timer in due:
            if not timer.is_cancelled:
                timer.callback(*timer.args)
