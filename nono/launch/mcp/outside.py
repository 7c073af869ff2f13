"""Keep from a command what the runs of its MCP servers use outside their sandboxes.

A server's own run looks only at what the server itself could reach.
"""

from __future__ import annotations

from collections.abc import Mapping

from nono.errors import ConfigError
from nono.launch.mcp.place import environment, workdir_of
from nono.launch.trusted.key_helpers import refuse_writable_helpers
from nono.launch.trusted.trust_roots import refuse_writable_trust
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.hosts.mcp_servers import McpServer
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.policy.schema.profile import Profile
from nono.policy.services.key_reach import refuse_reach, refuse_readable_key, with_kept_ports


def beside_server(
    resolved: Resolved, server: McpServer, profile: Profile, environ: Mapping[str, str]
) -> Resolved:
    """Return the policy of a command that may use a server: without the ports and variables of its keys.

    The server in it knows which variables are its own.

    Raises ConfigError if the command could change what is run for the server outside, or get a key of its,
    and like resolve() for the profile.
    """
    try:
        return _beside(resolved, server, profile, environ)
    except ConfigError as error:
        raise ConfigError(
            f"{server.origin}: profile '{server.name}': {error.message}", hint=error.hint
        ) from error


def _beside(resolved: Resolved, server: McpServer, profile: Profile, environ: Mapping[str, str]) -> Resolved:
    fs, grants = HostFilesystem(), resolved.capabilities.grants
    own = environment(environ, grants)
    of_server = resolve(RunRequest(), profile, environ=own, cwd=workdir_of(server.name, environ), fs=fs)
    # What runs for the server, with what the command may do to it.
    reached = of_server._replace(capabilities=of_server.capabilities._replace(grants=grants))
    refuse_reach(of_server.services, grants, own, fs)
    behind = None if of_server.proxy is None else of_server.proxy.upstream_proxy
    if behind is not None and behind.source_file is not None:
        refuse_readable_key("upstream_proxy", behind.source_file, grants, fs)
    if any(of_server.session_hooks):
        # Imported here: few servers have hooks.
        from nono.launch.around.session_hooks import refuse_unfit

        refuse_unfit(of_server.session_hooks, grants)
    refuse_writable_trust(reached, own)
    refuse_writable_helpers(reached, own)
    withheld = resolved.environment.withheld | of_server.environment.withheld
    handed_out = (reference.removeprefix("env://") for reference, _ in of_server.env_credentials)
    reads = of_server.environment.withheld.union(handed_out)
    servers = (each._replace(reads=reads) if each == server else each for each in resolved.mcp_servers)
    return resolved._replace(
        mcp_servers=tuple(servers),
        capabilities=with_kept_ports(resolved.capabilities, of_server.capabilities.kept_ports),
        environment=resolved.environment._replace(withheld=withheld),
    )
