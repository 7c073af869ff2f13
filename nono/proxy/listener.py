"""Bind the proxy's listener, before anything that serves it is imported."""

from __future__ import annotations

import _socket  # socket makes enums of all its constants: 2 ms of a start

BACKLOG = 512  # connections waiting until the proxy serves


def bind(address: str, port: int) -> _socket.socket:
    """Return a listening socket; the caller closes it. port 0 takes a free one. Raises OSError."""
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    bound = _socket.socket(family, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
    try:
        bound.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        bound.bind((address, port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except BaseException:
        bound.close()
        raise
    return bound
