"""Look at the profiles of MCP servers before the command starts that may use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from posixpath import join

from nono import paths
from nono.errors import ConfigError
from nono.launch.mcp.command_line import programs
from nono.launch.mcp.outside import beside_server
from nono.launch.mcp.place import workdir_of
from nono.policy.capability import Grant
from nono.policy.files.grants import at_every_mount, covering
from nono.policy.files.links import links_on_the_way
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.path_expansion import canonical_as_far, is_within
from nono.policy.profile.store import load
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Profile


def beside_servers(resolved: Resolved, environ: Mapping[str, str]) -> Resolved:
    """Return the policy of a command beside its servers, like beside_server().

    Raises ConfigError for a server that cannot be started, or that the command could make another, and
    ProfileError like load().
    """
    fs = HostFilesystem()
    written = [grant for grant in at_every_mount(resolved.capabilities.grants, fs) if grant.access.writes]
    for server in resolved.mcp_servers:
        loaded = load(server.name, environ, long_lived=True)
        profile = loaded.profile
        binary = program_of(server.name, profile)
        if profile.network.mcp_servers:
            raise ConfigError(
                f"{server.origin}: profile '{server.name}' has mcp_servers, and a server has none of its own."
            )
        workdir = workdir_of(server.name, environ)
        context = resolved.path_context._replace(workdir=workdir)
        words = [context.expand_built_in(word) for word in (binary, *profile.command_args)]
        trees = (*loaded.files, *programs(words, workdir), workdir)
        found = [each for path in trees for each in _reached(path, written, fs)]
        # Others have their directories below this one.
        found += [path for path in _places(_caches(environ), fs) if covering(written, path)]
        if found:
            raise ConfigError(
                f"{server.origin}: the command may write {found[0]}, and so decide what the server is.",
                hint="keep it outside the grants",
            )
        resolved = beside_server(resolved, server, profile, environ)
    return resolved


def program_of(name: str, profile: Profile) -> str:
    """Return the program of a server's profile. Raises ConfigError if it names none."""
    if profile.binary is None:
        raise ConfigError(
            f"profile '{name}' names no program to start.",
            hint='"binary": "npx", for instance, with its arguments in "command_args"',
        )
    return profile.binary


def _caches(environ: Mapping[str, str]) -> str:
    """Return the directory of the caches of runs, where npx and uvx keep what they start."""
    return join(paths.xdg(environ, "XDG_CACHE_HOME", ".cache"), paths.CACHES)


def _reached(path: str, written: list[Grant], fs: HostFilesystem) -> Iterator[str]:
    """Yield what the command may write of a file or a tree, and of the way there."""
    for place in _places(path, fs):
        if covering(written, place):
            yield place
    tree = canonical_as_far(path, fs)
    yield from (grant.path for grant in written if is_within(grant.path, tree))


def _places(path: str, fs: HostFilesystem) -> Iterator[str]:
    yield from (canonical_as_far(path, fs), *links_on_the_way(path, fs))
