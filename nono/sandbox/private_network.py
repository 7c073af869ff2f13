"""Move the future command to its own network namespace, with what answers it there."""

from __future__ import annotations

import socket

from nono.disk.resolv_conf import name_servers
from nono.errors import LaunchError
from nono.kernel import namespaces
from nono.sandbox.plan.virtual_network import FIRST_ADDRESS, NETMASK
from nono.sandbox.socket_maker import bind_name_servers

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket

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


def stand_in_for_hosts() -> list[_socket.socket]:
    """Make virtual addresses local to this process's network, and return a UDP socket for each name server.

    The caller closes these. Takes CAP_NET_ADMIN and CAP_NET_BIND_SERVICE over the network. Raises OSError
    that names the refused step.
    """
    servers = name_servers()
    namespaces.add_loopback_address(
        socket.inet_aton(FIRST_ADDRESS), len(servers), netmask=socket.inet_aton(NETMASK)
    )
    return bind_name_servers(servers)
