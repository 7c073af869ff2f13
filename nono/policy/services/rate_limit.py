"""How long a request waits for its turn under a rate limit, or that it gets none."""

from nono.policy.schema.route_rules import RateLimit


class TokenBucket:
    """A bucket that fills by requests_per_minute and holds burst tokens; each request takes one.

    now is always seconds of a clock that is not set back (CLOCK_MONOTONIC).
    """

    __slots__ = ("_capacity", "_limit", "_per_s", "_since", "_tokens")

    def __init__(self, limit: RateLimit, now: float) -> None:
        self._limit = limit
        self._per_s = limit.requests_per_minute / 60
        self._capacity = float(max(limit.burst, 1))
        self._tokens = self._capacity  # below zero: turns that are promised and still waited for
        self._since = now

    @property
    def interval_s(self) -> float:
        """Between two requests that go on for ever; 0.0 without a limit."""
        return 1 / self._per_s if self._per_s else 0.0

    def take(self, now: float) -> float | None:
        """Seconds until the request may go, 0.0 for at once; None: it would wait longer than max_delay_s.

        What waits has its token already, so the turns come in the order of the calls.
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
