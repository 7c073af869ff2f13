"""Look at the profiles of MCP servers before the command starts that may use them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from posixpath import join

from nono import paths
from nono.errors import ConfigError
from nono.launch.mcp.command_line import programs
from nono.launch.mcp.outside import beside, own_environment, policy_of, refuse_within
from nono.launch.mcp.place import workdir_of
from nono.named_tuple import NamedTuple
from nono.policy.capability import Grant
from nono.policy.files.grants import at_every_mount, covering
from nono.policy.files.links import links_on_the_way
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.hosts.mcp_servers import McpServer
from nono.policy.path_expansion import PathContext, canonical_as_far, is_within
from nono.policy.profile.store import Loaded, load
from nono.policy.resolve import Resolved
from nono.policy.schema.profile import Profile


class _Server(NamedTuple):
    named: McpServer
    loaded: Loaded
    policy: Resolved


def beside_servers(resolved: Resolved, environ: Mapping[str, str]) -> Resolved:
    """Return the policy of a command beside its servers: without the ports and variables of their keys.

    Raises ConfigError for a server that cannot be started, and if the command or a server could make another
    what it is not, change what is run for another outside, or get a key of another. Raises ProfileError like
    load().
    """
    own = own_environment(resolved, environ)
    servers = [_server(named, environ, own) for named in resolved.mcp_servers]
    for server in servers:
        grants = server.policy.capabilities.grants
        with _about(server.named):
            _refuse_all(server, "the command", resolved.capabilities.grants, resolved.path_context, own)
            resolved = beside(resolved, server.named, server.policy)
        with _about(server.named, ", beside the command of this run"):
            refuse_within(resolved, grants, environ)
        for other in servers:
            if other is not server:
                with _about(server.named, f", beside the server '{other.named.name}'"):
                    _refuse_all(other, "this server", grants, resolved.path_context, own)
    return resolved


def _server(named: McpServer, environ: Mapping[str, str], own: Mapping[str, str]) -> _Server:
    loaded = load(named.name, environ, long_lived=True)
    program_of(named.name, loaded.profile)
    if loaded.profile.network.mcp_servers:
        raise ConfigError(
            f"{named.origin}: profile '{named.name}' has mcp_servers, and a server has none of its own."
        )
    with _about(named):
        return _Server(named, loaded, policy_of(named, loaded.profile, own))


@contextmanager
def _about(server: McpServer, beside_whom: str = "") -> Iterator[None]:
    """Name the server in a ConfigError."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(
            f"{server.origin}: profile '{server.name}'{beside_whom}: {error.message}", hint=error.hint
        ) from error


def _refuse_all(
    server: _Server, who: str, grants: tuple[Grant, ...], path_context: PathContext, own: Mapping[str, str]
) -> None:
    """Raise ConfigError if these grants let `who` decide what the server is, or get what is outside it."""
    fs, profile = HostFilesystem(), server.loaded.profile
    written = [grant for grant in at_every_mount(grants, fs) if grant.access.writes]
    workdir = workdir_of(server.named.name, own)
    context = path_context._replace(workdir=workdir)
    binary = program_of(server.named.name, profile)
    words = [context.expand_built_in(word) for word in (binary, *profile.command_args)]
    trees = (*server.loaded.files, *programs(words, workdir), workdir)
    found = [each for path in trees for each in _reached(path, written, fs)]
    # Others have their directories below this one.
    found += [path for path in _places(_caches(own), fs) if covering(written, path)]
    if found:
        raise ConfigError(
            f"{who} may write {found[0]}, and so decide what the server is.",
            hint="keep it outside the grants",
        )
    refuse_within(server.policy, grants, own)


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
    """Yield what these grants let somebody write of a file or a tree, and of the way there."""
    for place in _places(path, fs):
        if covering(written, place):
            yield place
    tree = canonical_as_far(path, fs)
    yield from (grant.path for grant in written if is_within(grant.path, tree))


def _places(path: str, fs: HostFilesystem) -> Iterator[str]:
    yield from (canonical_as_far(path, fs), *links_on_the_way(path, fs))
