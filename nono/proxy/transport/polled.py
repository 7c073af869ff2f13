"""Ask the kernel for what asyncio does not report of a connection."""

from __future__ import annotations

import asyncio
import fcntl
import select
import struct
import termios


def is_sending(transport: asyncio.Transport) -> bool:
    """Return True if bytes wait here or are on their way: in asyncio, or in the kernel (SIOCOUTQ: tcp(7)).

    Over TLS, asyncio counts only what TLS holds, and not what the loop keeps while the kernel has no room.
    The kernel may have sent all that it holds, and have to send it again: a peer that does not read drops it.
    """
    if transport.get_write_buffer_size():
        return True
    connection = transport.get_extra_info("socket")
    if connection is None:
        return False  # TLS has lost it, and uvloop tells of that in the next turn
    try:
        queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))
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
