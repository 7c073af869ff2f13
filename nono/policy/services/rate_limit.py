"""Decide how long a request waits under a rate limit, or that it is refused."""

from nono.policy.schema.route_rules import RateLimit

# One request in 30 years: what is slower still would make the seconds overflow.
_SLOWEST_PER_S = 1e-9


class TokenBucket:
    """A bucket that fills by requests_per_minute and holds `burst` tokens; each request takes one.

    Every `now` is in seconds of a clock that is never set back (CLOCK_MONOTONIC).
    """

    __slots__ = ("_capacity", "_limit", "_per_s", "_since", "_tokens")

    def __init__(self, limit: RateLimit, now: float) -> None:
        self._limit = limit
        self._per_s = max(limit.requests_per_minute / 60, _SLOWEST_PER_S)
        self._capacity = float(max(limit.burst, 1))
        self._tokens = self._capacity  # negative: turns promised to waiting requests
        self._since = now

    @property
    def interval_s(self) -> float:
        """Seconds between requests in a steady flow. Only a bucket with a limit refuses, and is asked."""
        return 1 / self._per_s

    def take(self, now: float) -> float | None:
        """Return the seconds until the request may go, 0.0 for now; None if it exceeds max_delay_s.

        A waiting request already holds its token, so turns come in the order of the calls.
        """
        if self._limit.requests_per_minute == 0:
            return 0.0
        earned = max(0.0, now - self._since) * self._per_s
        self._tokens = min(self._capacity, self._tokens + earned)
        self._since = max(self._since, now)
        wait_s = max(0.0, (1 - self._tokens) / self._per_s)
        if wait_s > self._limit.max_delay_s:
            return None
        self._tokens -= 1
        return wait_s
