"""Move the future command to its own network namespace, with a listener for the proxy."""

from __future__ import annotations

import socket

from nono.errors import LaunchError
from nono.kernel import namespaces

ADDRESS = "127.0.0.1"
BACKLOG = 512


def enter_private_network(proxy_port: int) -> tuple[socket.socket, bool]:
    """Move this process permanently to its own network.

    Return the proxy's listener there, which the caller closes, and True if that took a user namespace: the
    command could reconfigure its network with the capabilities over it, so drop them. proxy_port 0 takes a
    free port.

    Raises OSError that names the refused step, LaunchError if the port cannot be bound. The process must then
    end.
    """
    holds_all = namespaces.leave_network()
    try:
        return socket.create_server((ADDRESS, proxy_port), backlog=BACKLOG), holds_all
    except OSError as error:
        raise LaunchError(f"Proxy bind failed on {ADDRESS}:{proxy_port}: {error.strerror}") from error
