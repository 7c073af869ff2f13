"""Ask the kernel for what asyncio does not report of a connection whose reading is paused."""

from __future__ import annotations

import asyncio
import select


def is_gone(transport: asyncio.Transport) -> bool:
    """Return True if the peer closed or reset the connection."""
    return _polled(transport, select.POLLRDHUP)


def has_unread(transport: asyncio.Transport) -> bool:
    """Return True if bytes have arrived that were not read yet."""
    return _polled(transport, select.POLLIN)


def _polled(transport: asyncio.Transport, event: int) -> bool:
    connection = transport.get_extra_info("socket")
    if connection is None:
        return True  # TLS has lost it, and uvloop tells of that in the next turn
    waiting = select.poll()
    waiting.register(connection.fileno(), event)
    return bool(waiting.poll(0))
