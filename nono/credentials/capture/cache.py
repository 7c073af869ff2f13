"""Keep the credentials that a command printed, for their time, and know which secrets to watch for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from nono.credentials.capture.output import Captured
from nono.credentials.values.credential import Injection, LeakDetector
from nono.credentials.values.tripwire import tripwire_for
from nono.secret import Secret

MAX_ENTRIES = 256
MAX_WATCHED = 16  # the most recent secrets, which responses are searched for
FORGET_INTERVAL_S = 60.0

Key = tuple[str, str]  # host and scope


@dataclass(frozen=True, slots=True)
class _Entry:
    captured: Captured
    expires_at: float


class CapturedCache:
    """What one command printed, by host and scope. ttl_s: 0 keeps nothing, and watches all the same."""

    def __init__(self, ttl_s: float, clock: Callable[[], float], *, basic: bool) -> None:
        """basic: The secrets are sent as Basic credentials, whose spelling is watched for as well."""
        self._ttl_s = ttl_s
        self._clock = clock
        self._basic = basic
        self._entries: dict[Key, _Entry] = {}
        self._forgotten: dict[Key, float] = {}  # time of each
        self._watched: deque[Secret] = deque(maxlen=MAX_WATCHED)
        self._watcher: LeakDetector | None = None

    def get(self, key: Key) -> Injection | None:
        entry = self._entries.get(key)
        if entry is None or self._clock() >= entry.expires_at:
            return None
        self._watch(entry.captured)
        return entry.captured.injection

    def keep(self, key: Key, captured: Captured, began: float) -> None:
        """Keep what a command printed that began at that time."""
        self._watch(captured)
        if self._ttl_s == 0:
            return
        now = self._clock()
        self._entries = {kept: entry for kept, entry in self._entries.items() if now < entry.expires_at}
        while len(self._entries) >= MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]  # the oldest
        self._entries[key] = _Entry(captured, began + self._ttl_s)
        recent = now - FORGET_INTERVAL_S
        self._forgotten = {kept: when for kept, when in self._forgotten.items() if when > recent}

    def forget(self, key: Key) -> None:
        """Forget a value that was rejected, at most once in FORGET_INTERVAL_S for the same key.

        An upstream that refuses everything must not cause a run with each request, and late refusals of the
        previous value must not drop its replacement.
        """
        now = self._clock()
        if key in self._entries and now - self._forgotten.get(key, -FORGET_INTERVAL_S) >= FORGET_INTERVAL_S:
            del self._entries[key]
            self._forgotten[key] = now

    def tripwire(self) -> LeakDetector | None:
        if self._watcher is None and self._watched:
            self._watcher = tripwire_for(self._watched, basic=self._basic)
        return self._watcher

    def _watch(self, captured: Captured) -> None:
        """Watch for the most recently used secrets: a search for all cached ones would be slow to build."""
        for secret in captured.secrets:
            if secret in self._watched:
                self._watched.remove(secret)
            else:
                self._watcher = None
            self._watched.append(secret)
