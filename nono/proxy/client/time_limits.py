"""Limit how long a client may take over a head, a body, a response or its last bytes."""

from __future__ import annotations

from collections.abc import Callable

from nono.proxy.transport.deadline import Deadline


class TimeLimits:
    """The limit that runs on one connection. Call cancel() last, before dropping it.

    head_s: The time from the first byte of a head to its last, even if bytes keep arriving.
    idle_s: The time between two bytes anywhere else.
    overdue: Called once the client has taken too long.
    """

    __slots__ = ("_deadline", "_head_s", "_idle_s", "_in_head")

    def __init__(self, head_s: float, idle_s: float, overdue: Callable[[], None]) -> None:
        self._deadline = Deadline(overdue)
        self._head_s = head_s
        self._idle_s = idle_s
        self._in_head = False

    def between_requests(self, *, in_head: bool) -> None:
        """Limit the wait for the next request, or for the rest of its head."""
        if not in_head:
            self.idle()
        elif not self._in_head:
            self._in_head = True
            self._deadline.set(self._head_s)

    def during_request(self, *, awaits_client: bool) -> None:
        """Limit the wait for the client. The upstream has no limit: event streams have long silences."""
        if awaits_client:
            self.idle()
        else:
            self._in_head = False
            self._deadline.lift()

    def idle(self) -> None:
        """Limit the wait for the next byte."""
        self._in_head = False
        self._deadline.set(self._idle_s)

    def closing(self, seconds: float) -> None:
        """Limit the time in which the client must read what is left."""
        self._deadline.set(seconds)

    def cancel(self) -> None:
        self._deadline.cancel()
