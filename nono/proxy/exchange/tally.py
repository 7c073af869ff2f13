"""Holds one request's turn under a limit of tokens, until it is known what it used (ADR 33)."""

from __future__ import annotations

from collections.abc import Callable

from nono.proxy.usage.ledger import UsageLimiter
from nono.proxy.usage.meter import Usage

# Statuses of gateways that gave up waiting: the model may have answered all the same.
_GAVE_UP = frozenset((504, 524))


class Tally:
    """The tokens of one request that may use some, counted once.

    What was sent counts at its worst, which is all that is left, unless its response says better: that it
    failed, or how many tokens it used, to the end.
    """

    __slots__ = ("_is_free", "_is_open", "_is_sent", "_limiter", "_release")

    def __init__(self, limiter: UsageLimiter, release: Callable[[], None]) -> None:
        """release: called once, when the next request may have its turn."""
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

    def settle(self, usage: Usage | None) -> None:
        """Count `usage`; None if the response has not said all of it. Later calls do nothing."""
        if not self._is_open:
            return
        self._is_open = False
        if usage is not None or (self._is_sent and not self._is_free):
            self._limiter.add(usage)
        self._release()
