"""Move the future command to its own network namespace, with a listener for the proxy."""

from __future__ import annotations

import socket

from nono.errors import LaunchError
from nono.kernel import capabilities, namespaces

ADDRESS = "127.0.0.1"
BACKLOG = 512


def enter_private_network(proxy_port: int) -> socket.socket:
    """Move this process permanently to its own network.

    Return the proxy's listener there; the caller closes it. proxy_port 0 takes a free port. OSError names the
    refused step; LaunchError: the port cannot be bound. The process must then end.
    """
    if namespaces.leave_network():
        # The user namespace granted them, and the command could reconfigure its network with them.
        capabilities.drop_all()
    try:
        return socket.create_server((ADDRESS, proxy_port), backlog=BACKLOG)
    except OSError as error:
        raise LaunchError(f"Proxy bind failed on {ADDRESS}:{proxy_port}: {error.strerror}") from error
