"""Notice a command that could take the place of the session bus, by way of which keyrings are asked.

Whoever listens there passes messages on as it likes, and so gets the keys that are read and stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from nono.errors import ConfigError
from nono.policy.capability import Grant
from nono.policy.environment.authority import targets
from nono.policy.files.grants import at_every_mount, covering
from nono.policy.host_filesystem import HostFilesystem, way_to
from nono.policy.resolve import Resolved

_BUS = "DBUS_SESSION_BUS_ADDRESS"


def with_judged_bus(
    resolved: Resolved, environ: Mapping[str, str], is_hidden: Callable[[str], bool]
) -> Resolved:
    """Return the policy, with a warning if its command could replace the socket of the session bus.

    is_hidden: Whether the command has another temporary directory, without a path.

    Raises ConfigError if the run, or one of its MCP servers, reads keys that may be kept in a keyring.
    """
    for path, grant in _within_reach(resolved.capabilities.grants, environ, is_hidden):
        reach = (
            f"{_BUS} names '{path}', in {grant.path}, which the command may write (source: {grant.source})"
        )
        for what in (
            *(f"credential '{name}'" for name in kept_in_keyring(resolved)),
            *(f"MCP server '{server.name}'" for server in resolved.mcp_servers if server.asks_keyring),
        ):
            raise ConfigError(
                f"{what}: {reach}: it could get the keys that a keyring is asked for there.",
                hint=f"without a keyring: env -u {_BUS} nono ...",
            )
        said = f"{reach}: it could listen there in place of the bus, and get what is kept in keyrings."
        return resolved._replace(warnings=(*resolved.warnings, said))
    return resolved


def kept_in_keyring(resolved: Resolved) -> Iterator[str]:
    """Yield what a run reads keys for that a keyring may keep."""
    # Imported here: every desktop has such a bus, and hardly any within reach.
    from nono.credentials.values.reference import KeyringReference, StoredReference, parse_reference

    for reference, name in _references(resolved):
        if isinstance(parse_reference(reference), KeyringReference | StoredReference):
            yield name


def _within_reach(
    grants: Iterable[Grant], environ: Mapping[str, str], is_hidden: Callable[[str], bool]
) -> Iterator[tuple[str, Grant]]:
    written = [grant for grant in at_every_mount(grants, HostFilesystem()) if grant.access.writes]
    addresses = environ.get(_BUS, "").split(";")
    for path in (path for address in addresses for path in targets(_BUS, address) or ()):
        for place in way_to(path):
            if not is_hidden(place):
                yield from ((path, grant) for grant in covering(written, place))


def _references(resolved: Resolved) -> Iterator[tuple[str, str]]:
    """Yield each credential reference of a run, and what its key is for."""
    for service in resolved.services:
        yield from ((reference, service.name) for reference in service.references)
    yield from resolved.env_credentials
    behind = None if resolved.proxy is None else resolved.proxy.upstream_proxy
    if behind is not None and behind.auth is not None:
        yield behind.auth, f"{behind.host}:{behind.port}"
