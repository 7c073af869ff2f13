"""Keep from a command, and from each of its MCP servers, what the runs of the others use outside.

A server's own run looks only at what the server itself could reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from nono.credentials.helpers.program import find_program
from nono.credentials.values.errors import CredentialUnavailable
from nono.launch.mcp.place import environment, workdir_of
from nono.launch.trusted.key_helpers import refuse_writable_helpers
from nono.launch.trusted.session_bus import kept_in_keyring
from nono.launch.trusted.trust_roots import refuse_writable_trust
from nono.policy.capability import Grant
from nono.policy.host_filesystem import HostFilesystem, way_to
from nono.policy.hosts.mcp_servers import McpServer
from nono.policy.request import RunRequest
from nono.policy.resolve import Resolved, resolve
from nono.policy.schema.profile import Profile
from nono.policy.services.credential_service import CredentialService
from nono.policy.services.key_reach import (
    refuse_reach,
    refuse_readable_key,
    refuse_writable_program,
    with_kept_ports,
)


def policy_of(server: McpServer, profile: Profile, environ: Mapping[str, str]) -> Resolved:
    """Return the policy of a server's own run. Raises ConfigError like resolve().

    environ: Of that run.
    """
    cwd = workdir_of(server.name, environ)
    return resolve(RunRequest(), profile, environ=environ, cwd=cwd, fs=HostFilesystem())


def own_environment(resolved: Resolved, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the servers' runs, of which each leaves out the keys of the others."""
    return environment(environ, resolved.capabilities.grants)


def refuse_within(policy: Resolved, grants: tuple[Grant, ...], environ: Mapping[str, str]) -> None:
    """Raise ConfigError if grants of others lead to a key of a run, or to what is run for it outside.

    environ: Of the run that has this policy.
    """
    fs = HostFilesystem()
    # What runs for it, with what the others may do to that.
    reached = policy._replace(capabilities=policy.capabilities._replace(grants=grants))
    refuse_reach(policy.services, grants, policy.path_context, fs)
    behind = None if policy.proxy is None else policy.proxy.upstream_proxy
    if behind is not None and behind.source_file is not None:
        refuse_readable_key("upstream_proxy", behind.source_file, grants, fs)
    for reference, variable in policy.env_credentials:
        if reference.startswith("file://"):
            refuse_readable_key(variable, reference.removeprefix("file://"), grants, fs)
    if any(policy.session_hooks):
        # Imported here: few runs have hooks.
        from nono.launch.around.session_hooks import refuse_unfit

        refuse_unfit(policy.session_hooks, grants)
    for service in policy.services:
        for command in _commands(service, environ, fs):
            _refuse_writable_command(service.name, command, grants, environ)
    refuse_writable_trust(reached, environ)
    refuse_writable_helpers(reached, environ)


def _commands(
    service: CredentialService, environ: Mapping[str, str], fs: HostFilesystem
) -> Iterator[Sequence[str]]:
    """Yield what may be run for a service's keys. Its own run finds out, with its own grants, which is."""
    if service.capture is not None:
        yield service.capture.command
    if service.aws is not None:
        # Imported here: few servers sign for AWS.
        from nono.policy.environment.aws_sources import aws_programs

        yield from aws_programs(environ, lambda path: fs.text(fs.canonical(path) or path))


def _refuse_writable_command(
    name: str, command: Sequence[str], grants: tuple[Grant, ...], environ: Mapping[str, str]
) -> None:
    words = [*command]
    with suppress(CredentialUnavailable):  # the run itself will report it
        # Its place once the links are followed, which are followed again when the server starts.
        words.append(find_program(command[0], environ))
    for word in (each for each in words if each.startswith("/")):
        for place in way_to(word):
            refuse_writable_program(name, place, grants, HostFilesystem())


def beside(resolved: Resolved, server: McpServer, of_server: Resolved) -> Resolved:
    """Return the policy of a command that may use a server: without the ports and variables of its keys.

    The server in it knows which variables are its own. Raises ConfigError if the command listens on a port
    of the server's.
    """
    withheld = resolved.environment.withheld | of_server.environment.withheld
    handed_out = (reference.removeprefix("env://") for reference, _ in of_server.env_credentials)
    reads = of_server.environment.withheld.union(handed_out)
    found = server._replace(reads=reads, asks_keyring=any(kept_in_keyring(of_server)))
    servers = (found if each == server else each for each in resolved.mcp_servers)
    return resolved._replace(
        mcp_servers=tuple(servers),
        capabilities=with_kept_ports(resolved.capabilities, of_server.capabilities.kept_ports),
        environment=resolved.environment._replace(withheld=withheld),
    )
