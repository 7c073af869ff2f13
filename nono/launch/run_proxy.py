"""Open the proxy of one run before it serves: its listener, its credentials, its variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    ExitStack,
    closing,
    contextmanager,
    nullcontext,
)

from nono.credentials.phantom import make_session_token
from nono.launch.proxy.assembly import Assembly, assemble, config_of
from nono.launch.proxy.exposed import loaded_keys, warn_of_arguments, withhold
from nono.launch.proxy.front import front_of, listening
from nono.launch.proxy.git_ssh import git_ssh
from nono.launch.serving.network import Network
from nono.launch.start import RunContext
from nono.proxy.child_env import resolver_options
from nono.proxy.upstream.lookups import lookups
from nono.sandbox.plan.enforcement import Rung, has_own_datagrams

TYPE_CHECKING = False
if TYPE_CHECKING:
    import _socket
    import socket

    from nono.launch.serving.network import ServedNetwork


@contextmanager
def with_proxy(run: RunContext) -> Iterator[Network]:
    """Listen, read the credentials, and write the files that clients need, until the block is left."""
    resolved = run.prepared.resolved
    token = make_session_token()
    config = config_of(resolved, token)._replace(port=run.options.proxy_port)
    with ExitStack() as stack:
        listener: _socket.socket
        maker = None
        if run.prepared.enforcement.rung is Rung.NETNS:
            listener, maker = stack.enter_context(_private_network(run))
        else:
            listener = stack.enter_context(closing(listening(config)))
        assembly = assemble(resolved, run.session, ca_worker=run.ca_worker, prompt=run.options.key_prompt)
        stack.enter_context(_left_logins(run, assembly))
        stack.callback(_tell_of_logins, run, assembly)
        if run.traffic is not None:
            run.traffic.keys = assembly.keys()
        keys = loaded_keys(assembly)
        warn_of_arguments(keys, run.prepared.argv, run.session)
        # On these rungs every client is the command's: see nono.launch.serving.proxied.
        knows_clients = run.prepared.enforcement.rung in (Rung.NOTIFY, Rung.NETNS)
        front = stack.enter_context(front_of(listener, assembly, config, token, knows_clients=knows_clients))
        hosts = resolved.host_filter
        assert hosts is not None  # otherwise there is no proxy
        ssh = git_ssh(run.inherited, hosts, run.prepared.capabilities.grants)
        variables = {**front.variables, **ssh.variables, **_look_ups(run)}
        inherited = {**run.inherited, **variables}
        withheld = withhold(keys, inherited, run.env_credentials, run.session)
        resolver = stack.enter_context(lookups())

        def serve() -> AbstractAsyncContextManager[ServedNetwork]:
            # Imported here: a command that starts first is loading meanwhile.
            from nono.launch.serving import proxied

            return proxied.with_proxy(run, front, resolver, maker)

        yield Network(
            serve,
            listener,
            variables,
            (*front.files, *ssh.files),
            withheld,
            tuple(detector for _, detector in keys.detectors),
            may_start_first=_may_start_first(run, assembly),
            own_files=_own_files(run, assembly),
        )


def _look_ups(run: RunContext) -> Mapping[str, str]:
    """Return what has a command without UDP look names up where the supervisor can answer."""
    enforcement = run.prepared.enforcement
    if enforcement.rung is not Rung.NOTIFY or has_own_datagrams(enforcement):
        return {}
    return {"RES_OPTIONS": resolver_options(run.inherited.get("RES_OPTIONS", ""))}


def _may_start_first(run: RunContext, assembly: Assembly) -> bool:
    """Return True if the proxy has nothing that can fail or be changed after the command has started.

    Approvals, recordings and relayed ports may be refused when they are opened. The files of a TLS identity,
    which were tried, are read again later, and no command can put others in their place (trust_roots).
    """
    resolved, ports = assembly.resolved, run.prepared.capabilities.ports
    is_recorded = resolved.proxy is not None and resolved.proxy.record_flows is not None
    is_relayed = run.prepared.enforcement.rung is Rung.NETNS and bool(ports.listen or ports.open)
    return resolved.approval is None and not is_recorded and not is_relayed


def _left_logins(run: RunContext, assembly: Assembly) -> AbstractContextManager[None]:
    resolved = run.prepared.resolved
    if not resolved.oauth_routes or not resolved.capabilities.masking.absent:
        return nullcontext()
    # Imported here: few runs have a login.
    from nono.launch.proxy.left_logins import left_logins_removed

    return left_logins_removed(resolved, run.session, assembly.phantoms)


def _own_files(run: RunContext, assembly: Assembly) -> Mapping[str, str]:
    masking = run.prepared.capabilities.masking
    if all(mask.own is None for mask in masking.masks):
        return {}
    # Imported here, as below: few runs have a login of their own.
    from nono.launch.proxy.own_logins import contents

    return contents(masking, assembly.logins.table, run.session.environ)


def _tell_of_logins(run: RunContext, assembly: Assembly) -> None:
    if not any(login.made for login in assembly.logins.table.logins):
        return
    from nono.launch.proxy.own_logins import told

    for sentence in told(assembly.logins.table):
        run.session.warn(sentence)


@contextmanager
def _private_network(run: RunContext) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Open the command's private network; yields the proxy's listener there and a socket maker's channel."""
    number, maker = run.launcher.leave_network(run.options.proxy_port)
    with _take_socket(run, number) as listener, _take_socket(run, maker) as channel:
        listener.setblocking(False)
        yield listener, channel


def _take_socket(run: RunContext, number: int) -> socket.socket:
    # Imported here: few runs have a network of their own.
    import socket

    from nono.kernel import threads

    return socket.socket(fileno=threads.duplicate_descriptor(run.launcher.pid, number))
