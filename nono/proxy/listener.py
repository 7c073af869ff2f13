"""Bind the proxy's listener, before anything that serves it is imported."""

from __future__ import annotations

import socket

BACKLOG = 512  # connections waiting until the proxy serves


def bind(address: str, port: int) -> socket.socket:
    """Return a listening socket; the caller closes it. port 0 takes a free one. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound
