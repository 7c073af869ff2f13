"""Ask the kernel for what asyncio does not report of a connection."""

from __future__ import annotations

import asyncio
import fcntl
import select
import struct

from nono.kernel.uapi.process import SIOCOUTQNSD


def has_unsent(transport: asyncio.Transport) -> bool:
    """Return True if bytes wait here because the peer does not read: in asyncio, or in the kernel.

    Over TLS, asyncio counts only what TLS holds, and not what the loop keeps while the kernel has no room.
    """
    if transport.get_write_buffer_size():
        return True
    connection = transport.get_extra_info("socket")
    if connection is None:
        return False  # TLS has lost it, and uvloop tells of that in the next turn
    try:
        queued = fcntl.ioctl(connection.fileno(), SIOCOUTQNSD, bytes(4))
    except OSError:
        return False  # it is closed already
    (count,) = struct.unpack("i", queued)
    return bool(count)


def is_gone(transport: asyncio.Transport) -> bool:
    """Return True if the peer closed or reset the connection, which is not read from."""
    return _polled(transport, select.POLLRDHUP)


def has_unread(transport: asyncio.Transport) -> bool:
    """Return True if bytes have arrived on a connection that is not read from."""
    return _polled(transport, select.POLLIN)


def _polled(transport: asyncio.Transport, event: int) -> bool:
    connection = transport.get_extra_info("socket")
    if connection is None:
        return True  # TLS has lost it, and uvloop tells of that in the next turn
    waiting = select.poll()
    waiting.register(connection.fileno(), event)
    return bool(waiting.poll(0))
