"""Name the MCP servers that a command may use beside it, as hosts that the proxy alone knows.

A tunnel to such a host leads to the streams of the server, which runs in a sandbox of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from nono.errors import invalid
from nono.named_tuple import NamedTuple
from nono.policy.hosts.host_filter import HostFilter, HostRule
from nono.policy.hosts.hostname import MCP_DOMAIN

PORT = 1  # tcpmux, which serves by name (RFC 1078)
LABEL_MAX = 63  # RFC 1035 section 2.3.4
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


class McpServer(NamedTuple):
    """A server that a command may use. Its policy is the profile `name`, whose program it is."""

    name: str
    origin: str  # "--mcp-server", "profile NAME, network.mcp_servers"
    reads: frozenset[str] = frozenset()  # variables that its own run finds keys in
    asks_keyring: bool = False  # its own run may find keys in a keyring

    @property
    def host(self) -> str:
        return host_of(self.name)


def host_of(name: str) -> str:
    """Return the host that stands for a server."""
    return name + MCP_DOMAIN


def fault_in(name: str) -> str | None:
    """Return why a name cannot be that of a server; None if it can."""
    if _NAME.fullmatch(name) and len(name) <= LABEL_MAX:
        return None
    return f"{name!r} is not the name of a profile in lower case"


def servers_of(entries: Iterable[tuple[str, str]]) -> tuple[McpServer, ...]:
    """Return the servers of entries with their origins, each once. Raises what invalid() returns."""
    found = dict[str, McpServer]()
    for name, origin in entries:
        if (fault := fault_in(name)) is not None:
            raise invalid(origin, fault)
        found.setdefault(name, McpServer(name, origin))
    return tuple(found.values())


def with_servers(hosts: HostFilter, servers: Iterable[McpServer]) -> HostFilter:
    """Return the filter that lets a command reach these servers too; what denies them still does."""
    rules = tuple(HostRule(server.host, PORT, server.origin) for server in servers)
    allow = None if hosts.allow is None else (*hosts.allow, *rules)
    return hosts._replace(allow=allow, raw_tunnels=(*hosts.raw_tunnels, *rules))
