"""Keep upstream connections between requests, and the set of all open ones."""

from __future__ import annotations

import asyncio

from nono.clock import boot_s
from nono.proxy.transport.connection_set import ConnectionSet
from nono.proxy.upstream.connection import PoolKey, UpstreamConnection


class Pool:
    """The open connections: all of them, so that none outlives the proxy, and the idle ones by key.

    Per key, max_idle_per_key connections stay idle for idle_timeout_s. The others are closed only after
    trim_after_s, so that a burst of parallel requests does not need a handshake for each. Time in which the
    machine is suspended counts: networks forget a connection meanwhile, and nobody would answer on it.
    """

    def __init__(
        self, *, idle_timeout_s: float = 90.0, max_idle_per_key: int = 4, trim_after_s: float = 1.0
    ) -> None:
        self.idle_timeout_s = idle_timeout_s
        self._trim_after_s = min(trim_after_s, idle_timeout_s)
        self._max_idle_per_key = max_idle_per_key
        self.connections = ConnectionSet()
        self._idle: dict[PoolKey, list[UpstreamConnection]] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    def opened(self, connection: UpstreamConnection) -> None:
        self.connections.add(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        self.connections.discard(connection)
        idle = self._idle.get(connection.key)
        if idle is not None and connection in idle:
            idle.remove(connection)

    def take(self, key: PoolKey) -> UpstreamConnection | None:
        """Return the most recently used idle connection, ready for begin(); None if there is none."""
        idle = self._idle.get(key)
        now_s = boot_s()
        while idle:
            connection = idle.pop()
            rested_s = now_s - connection.idle_since
            if connection.is_open and rested_s < self.idle_timeout_s and connection.is_silent:
                return connection
            connection.abort()
        return None

    def give(self, connection: UpstreamConnection) -> None:
        if self._closed:
            connection.abort()
            return
        connection.idle_since = boot_s()
        self._idle.setdefault(connection.key, []).append(connection)
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(self._trim_after_s, self._sweep)

    def drop_idle(self) -> None:
        """Close the connections that no request uses: their host may be refused now."""
        for idle in self._idle.values():
            while idle:
                idle.pop().abort()

    def _sweep(self) -> None:
        now_s = boot_s()
        for idle in self._idle.values():  # each list begins with the one idle longest
            while idle:
                limit = self._trim_after_s if len(idle) > self._max_idle_per_key else self.idle_timeout_s
                if now_s - idle[0].idle_since < limit:
                    break
                idle.pop(0).abort()
        self._sweeper = None
        # Drop empty lists: a command may use any number of origins.
        self._idle = {key: idle for key, idle in self._idle.items() if idle}
        if self._idle:
            self._sweeper = asyncio.get_running_loop().call_later(self._trim_after_s, self._sweep)

    def close(self) -> None:
        """Cut every connection; a connection given back later is cut as well."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        self.connections.abort()
