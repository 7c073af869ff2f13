"""Look at the profiles of MCP servers before the command starts that may use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nono.errors import ConfigError
from nono.policy.files.grants import accesses, at_every_mount
from nono.policy.files.links import links_on_the_way
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.profile.store import load
from nono.policy.resolve import Resolved


def refuse_unfit(resolved: Resolved, environ: Mapping[str, str]) -> None:
    """Raise ConfigError for a server that cannot be started, or that the command could make another.

    Raises ProfileError like load().
    """
    fs = HostFilesystem()
    grants = [*at_every_mount(resolved.capabilities.grants, fs)]
    for server in resolved.mcp_servers:
        loaded = load(server.name, environ, long_lived=True)
        profile = loaded.profile
        if profile.binary is None:
            raise ConfigError(
                f"{server.origin}: profile '{server.name}' names no program to start.",
                hint='"binary": "npx", for instance, with its arguments in "command_args"',
            )
        if profile.network.mcp_servers:
            raise ConfigError(
                f"{server.origin}: profile '{server.name}' has mcp_servers, and a server has none of its own."
            )
        binary = resolved.path_context.expand_built_in(profile.binary)
        programs = [binary] if "/" in binary else []
        for path in (*loaded.files, *programs):
            for place in _places(path, fs):
                held = accesses(grants, place)
                if held is not None and held.writes:
                    raise ConfigError(
                        f"{server.origin}: the command may write {place}, and so decide what the server is.",
                        hint="keep it outside the grants",
                    )


def _places(path: str, fs: HostFilesystem) -> Iterator[str]:
    yield from filter(None, (fs.canonical(path), *links_on_the_way(path, fs)))
