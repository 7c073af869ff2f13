"""Buffer the events that one client has not read yet, in bounded memory."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator

from nono.audit.event import Event

UNREAD_BYTES_MAX = 1 << 20


class EventStream:
    """The events for one client, one JSON line each. Events that do not fit are dropped and counted."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self.unread_bytes = 0
        self._missed = 0
        self._is_over = False
        self._changed = asyncio.Event()

    def put(self, event: Event) -> None:
        line = json.dumps(event).encode("ascii") + b"\n"
        # Once an event was dropped, the count must precede every later event.
        if self._missed or self.unread_bytes + len(line) > UNREAD_BYTES_MAX:
            self._missed += 1
            return
        self._lines.append(line)
        self.unread_bytes += len(line)
        self._changed.set()

    def close(self) -> None:
        """Accept no more events. The client can still read the buffered ones."""
        self._is_over = True
        self._changed.set()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield whole lines as they arrive, until close()."""
        while True:
            piece = b"".join(self._lines)
            self._lines.clear()
            self.unread_bytes = 0
            if self._missed:
                piece += json.dumps({"type": "events_missed", "count": self._missed}).encode("ascii") + b"\n"
                self._missed = 0
            if piece:
                yield piece
            elif self._is_over:
                return
            else:
                self._changed.clear()
                await self._changed.wait()
