"""Share one run of some work among all callers that ask for the same result at the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field

import anyio

from nono.credentials.values.errors import CredentialUnavailable


@dataclass(slots=True, eq=False)
class _Flight[T]:
    landed: anyio.Event = field(default_factory=anyio.Event)
    # Shielded, so that the run survives the cancellation of the caller that started it.
    scope: anyio.CancelScope = field(default_factory=lambda: anyio.CancelScope(shield=True))
    waiting: int = 0
    results: list[T] = field(default_factory=list)  # one, or none when it failed
    error: CredentialUnavailable | OSError | None = None


class SingleFlight[K: Hashable, T]:
    """Runs work by key, and shares each run among its callers.

    Each run is a child of the caller that started it, and is cancelled with its last caller. If the starting
    caller is cancelled while others wait, it stays until the run has ended, so that the run has an owner.
    """

    def __init__(self) -> None:
        self._flights: dict[K, _Flight[T]] = {}

    async def run(self, key: K, work: Callable[[], Awaitable[T]]) -> tuple[T, bool]:
        """Return the result of `work`, and True if this call started it.

        CredentialUnavailable and OSError reach all callers that waited; nothing is cached, so the next call
        runs again.
        """
        if (flight := self._flights.get(key)) is not None:
            await self._wait(flight, key)
            return _result(flight), False
        flight = self._flights[key] = _Flight()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._fly, flight, key, work)
            await self._wait(flight, key)
        return _result(flight), True

    async def _fly(self, flight: _Flight[T], key: K, work: Callable[[], Awaitable[T]]) -> None:
        try:
            with flight.scope:
                flight.results.append(await work())
        except (CredentialUnavailable, OSError) as error:
            flight.error = error
        finally:
            self._close(flight, key)
            flight.landed.set()

    async def _wait(self, flight: _Flight[T], key: K) -> None:
        flight.waiting += 1
        try:
            await flight.landed.wait()
        finally:
            flight.waiting -= 1
            if flight.waiting == 0 and not flight.landed.is_set():
                self._close(flight, key)  # the next caller starts a new one instead of joining this
                flight.scope.cancel()

    def _close(self, flight: _Flight[T], key: K) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]


def _result[T](flight: _Flight[T]) -> T:
    """Return the result, or raise a new error for each caller.

    The traceback of a shared error would grow with each caller.
    """
    match flight.error:
        case CredentialUnavailable() as error:
            raise CredentialUnavailable(error.message, hint=error.hint)
        case OSError() as error:
            raise OSError(error.errno, error.strerror)
        case None if flight.results:
            return flight.results[0]
    raise CredentialUnavailable("reading the credential was stopped; try again")
