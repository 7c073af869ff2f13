"""Fetch a value when first needed and again before it expires, for one caller at a time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio

from nono.credentials.values.errors import CredentialUnavailable
from nono.named_tuple import NamedTuple

FIRST_DELAY_S = 1.0  # after the first failure; doubled by each further one
MAX_DELAY_S = 60.0
FORGET_INTERVAL_S = 60.0


class Lease[T](NamedTuple):
    """A fetched value; both times are seconds from the moment the fetch began."""

    value: T
    fresh_s: float  # after this it is fetched again
    valid_s: float  # until this it serves if fetching again fails


class Renewal[T]:
    """Shares one fetch among its callers, and delays the next after each failure, with increasing delays.

    Nothing runs in the background: the first caller that finds no fresh value fetches and the others wait; if
    it is cancelled, the next one starts over. `fetch` raises CredentialUnavailable. `clock` is monotonic.
    """

    def __init__(self, fetch: Callable[[], Awaitable[Lease[T]]], *, clock: Callable[[], float]) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lock = anyio.Lock()
        self._value: T | None = None
        self._fresh_until = self._valid_until = 0.0
        self._rounds = 0  # fetches that succeeded
        self._attempts = 0  # fetches begun since the last that succeeded
        self._not_before = 0.0
        self._failure: CredentialUnavailable | None = None
        self._forgotten_at: float | None = None

    def at_hand(self) -> T | None:
        """Return the value if nobody needs to wait.

        It is fresh, or still valid while a fetch is running or being delayed.
        """
        now = self._clock()
        if self._value is None or now >= self._valid_until:
            return None
        may_fetch = not self._lock.locked() and now >= self._not_before
        return None if now >= self._fresh_until and may_fetch else self._value

    async def acquire(self) -> T:
        """Return the value, fetching it if needed.

        Raises CredentialUnavailable with the reason of the last failure.
        """
        seen = self._rounds
        async with self._lock:
            # Even a value that expires at once serves all who waited; otherwise each would fetch another one.
            if self._rounds != seen and self._value is not None:
                return self._value
            now = self._clock()
            if self._value is not None and now < self._fresh_until:
                return self._value
            if now >= self._not_before:
                return await self._renew()
            if self._value is not None and now < self._valid_until:
                return self._value
            raise self._repeated()

    def forget(self) -> bool:
        """Drop the value, at most once in FORGET_INTERVAL_S. Returns True if it was dropped.

        An upstream triggers this call. One that refuses everything must not cause a fetch with each request,
        and a late refusal of the previous value must not drop its replacement.
        """
        now = self._clock()
        if self._forgotten_at is not None and now - self._forgotten_at < FORGET_INTERVAL_S:
            return False
        self._forgotten_at = now
        self._value = None
        return True

    async def _renew(self) -> T:
        began = self._clock()
        self._attempts += 1
        try:
            lease = await self._fetch()
        except CredentialUnavailable as failure:
            self._failure = _anew(failure)
            self._wait(FIRST_DELAY_S * 2 ** min(self._attempts - 1, 16))
            if self._value is not None and self._clock() < self._valid_until:
                return self._value
            raise
        except BaseException:
            # A caller that went away proves nothing about the source, but callers that do so repeatedly must
            # not overload it.
            self._failure = None
            self._wait(FIRST_DELAY_S * 2 ** min(self._attempts - 2, 16) if self._attempts > 1 else 0.0)
            raise
        self._rounds += 1
        self._attempts = 0
        self._not_before = 0.0
        self._value = lease.value
        self._fresh_until = began + lease.fresh_s
        self._valid_until = began + lease.valid_s
        return lease.value

    def _wait(self, delay_s: float) -> None:
        self._not_before = self._clock() + min(delay_s, MAX_DELAY_S)

    def _repeated(self) -> CredentialUnavailable:
        if self._failure is None:
            return CredentialUnavailable("fetching the credential was abandoned; try again in a moment")
        return _anew(self._failure)


def _anew(failure: CredentialUnavailable) -> CredentialUnavailable:
    """Copy the error without its traceback, whose frames contain the data that was being sent."""
    return type(failure)(failure.message, hint=failure.hint)
