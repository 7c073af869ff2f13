"""Count the usage of a request under a limit; under one of tokens hold its turn until then (ADR 33)."""

from __future__ import annotations

from collections.abc import Callable

from nono.proxy.usage.ledger import UsageLimiter
from nono.proxy.usage.meter import Usage

# Statuses of gateways that gave up waiting: the model may still have answered.
_GAVE_UP = frozenset((504, 524))


class Tally:
    """The tokens of one request, counted once.

    A sent request counts as using every token that is left, unless its response proves that it failed or
    reports how many it used in total.
    """

    __slots__ = ("_is_free", "_is_open", "_is_sent", "_limiter", "_release")

    def __init__(self, limiter: UsageLimiter, release: Callable[[], None]) -> None:
        """release: Called once, as soon as the next request may take its turn."""
        self._limiter = limiter
        self._release = release
        self._is_open = True
        self._is_sent = False
        self._is_free = False

    def sent(self) -> None:
        """Note that from now on the upstream may have the request."""
        self._is_sent = True

    def answered(self, status: int) -> None:
        """Note the final status: a request that failed uses nothing."""
        self._is_free = status >= 300 and status not in _GAVE_UP

    def settle(self, usage: Usage | None, *, is_final: bool = True) -> None:
        """Count `usage`; None if the response reported none. Later calls do nothing.

        is_final: True if it is all that the response used.
        """
        if not self._is_open:
            return
        self._is_open = False
        if usage is not None or (self._is_sent and not self._is_free):
            self._limiter.add(usage, is_final=is_final)
        self._release()
