"""Provide a credential that was read before the run and never changes."""

from __future__ import annotations

from nono.credentials.values.credential import Injection, LeakDetector, RequestFacts
from nono.named_tuple import NamedTuple
from nono.secret import Secret


class StaticCredential(NamedTuple):
    """One injection for every request of its route."""

    injection: Injection
    watches: LeakDetector | None
    key: Secret | None = None  # what the injection writes; None: not told

    def at_hand(self, request: RequestFacts) -> Injection:
        return self.injection

    async def acquire(self, request: RequestFacts) -> Injection:
        return self.injection

    def rejected(self, request: RequestFacts) -> None:
        """Do nothing: no value is cached."""

    def tripwire(self) -> LeakDetector | None:
        return self.watches
