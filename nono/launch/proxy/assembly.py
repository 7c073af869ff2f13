"""Read the credentials of a proxy, and refuse settings that no run could use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import partial

from nono.audit.traffic import Keys
from nono.credentials.load import KeyPrompt, Loaded, LoadedService, Loader, Missing
from nono.credentials.phantom import SessionToken
from nono.credentials.phantom_ends import key_of_ends
from nono.errors import LaunchError, NonoError
from nono.launch.proxy.logins import Logins, load_logins
from nono.launch.proxy.upstream_proxy import upstream_proxy_of
from nono.launch.session import Session
from nono.named_tuple import NamedTuple
from nono.paths import state_root
from nono.policy.hosts.live_hosts import LiveHosts
from nono.policy.live.endpoints import LiveEndpoints
from nono.policy.resolve import Resolved
from nono.policy.services.credential_service import CredentialService
from nono.printable import shell_word
from nono.proxy.config import ProxyConfig
from nono.proxy.token_post import TokenPost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.launch.proxy.ca_worker import CaWorker
    from nono.policy.capability import Grant
    from nono.policy.hosts.host_filter import HostFilter
    from nono.policy.hosts.proxy_settings import ProxySettings
    from nono.policy.learning.hosts import LearningHosts
    from nono.proxy.http.upstream_proxy import UpstreamProxy
    from nono.proxy.tls.session_ca import SessionCa


class Assembly(NamedTuple):
    """Everything a proxy needs before its event loop starts. Reading the credentials may take minutes."""

    resolved: Resolved
    session: Session
    post: TokenPost
    services: Sequence[LoadedService]
    logins: Logins
    upstream_proxy: UpstreamProxy | None
    ca_worker: CaWorker | None  # the process that is making the CA
    own_authority: SessionCa | None  # the user's own CA, instead of a generated one

    @property
    def phantoms(self) -> list[str]:
        """The phantoms that the command may have in its variables."""
        outcomes = [each.outcome for each in self.services]
        return [each.phantom.child_value() for each in outcomes if isinstance(each, Loaded)]

    def keys(self) -> Keys:
        """Return what the report after the run says of the keys."""
        services = [each.service for each in self.services if isinstance(each.outcome, Loaded)]
        lacking = [each.service.name for each in self.services if isinstance(each.outcome, Missing)]
        has_any = bool(services or self.logins.hosts or not lacking)
        return Keys(
            {each.upstream.host: self._doubt(each) for each in services},
            None if has_any else " or ".join(f"nono credential set {shell_word(name)}" for name in lacking),
        )

    def _doubt(self, service: CredentialService) -> str:
        """Ask whether a service's key is valid, with the way to replace it, if nono knows one."""
        variable = next((each for each in service.source_variables if self.session.environ.get(each)), None)
        if variable is not None:
            return f"is the key in {variable} valid?"
        name = service.name if service.source_variables else service.credential_key
        is_stored = bool(name) and service.capture is None and "://" not in name
        return f"is the key of '{service.name}' valid?" + (
            f" nono credential set {shell_word(name)} stores another" if is_stored else ""
        )


def assemble(
    resolved: Resolved,
    session: Session,
    *,
    ca_worker: CaWorker | None = None,
    own_authority: SessionCa | None = None,
    prompt: KeyPrompt | None = None,
) -> Assembly:
    """Read the credentials. Raises NonoError if one is missing or unusable for any run.

    prompt: Asks a person for a missing one; None if nobody can be asked.
    """
    environ = session.environ
    for wanted in resolved.services:
        _check_tls(wanted)
        _check_helper(wanted, resolved, environ)
    post = TokenPost()
    ends = key_of_ends(state_root(environ)) if resolved.services else None
    beside = _beside_command(environ, resolved)
    loader = Loader(
        beside,
        post,
        session.record,
        session.redaction,
        session.session_id,
        prompt,
        ends,
        partial(_check_program, resolved.capabilities.grants),
    )
    loaded = loader.load(resolved.services)
    keyed = [each.service for each in loaded if isinstance(each.outcome, Loaded)]
    asked_for = {service.upstream.host for service in keyed if not service.is_optional}
    logins = load_logins(resolved.oauth_routes, beside, resolved.capabilities.masking)
    logins = logins.beside({service.upstream.host for service in keyed}, asked_for)
    services = [each for each in loaded if not _is_replaced(each, logins, asked_for)]
    for service in services:
        for sentence in service.warnings:
            session.warn(sentence)
        _require(service)
        _tell_of_a_key_not_used(service, session)
        _refuse_elsewhere(service)
    upstream_proxy = upstream_proxy_of(resolved.proxy, beside, session.warn)
    return Assembly(resolved, session, post, services, logins, upstream_proxy, ca_worker, own_authority)


def config_of(resolved: Resolved, token: SessionToken) -> ProxyConfig:
    """Return the proxy's config; the caller adds the address, and the server of its clients adds the routes.

    Raises LaunchError without a host filter.
    """
    hosts = resolved.host_filter
    if hosts is None:
        raise LaunchError("a proxy without a host filter")
    settings = resolved.proxy
    learns = settings is not None and settings.learns
    live = None if learns else LiveHosts(hosts)
    judged = _learning(hosts) if live is None else live
    return ProxyConfig(
        hosts=judged,
        live_hosts=live,
        judge_look_up=judged.judge_look_up,
        ports_named=judged.ports_named,
        live_endpoints=LiveEndpoints(),
        asks_hosts=settings is not None and settings.asks,
        also_intercepts=_also_intercepts(resolved.proxy),
        session_token=token,
    )


def _check_tls(service: CredentialService) -> None:
    """Raise NonoError if the files of the service's TLS identity cannot be used."""
    if any(service.tls):
        # Imported here: few services have one.
        from nono.launch.proxy.tls_files import check_tls_files

        check_tls_files(service)


def _check_helper(service: CredentialService, resolved: Resolved, environ: Mapping[str, str]) -> None:
    """Raise NonoError if the command could replace the program that prints the service's key."""
    if service.capture is None:
        return
    # Imported here: few runs have one.
    from nono.credentials.helpers.program import find_program
    from nono.credentials.values.errors import CredentialUnavailable

    first, *others = service.capture.command
    try:
        program = find_program(first, environ)
    except CredentialUnavailable:
        return  # loading the credential will report it
    _check_program(resolved.capabilities.grants, service.name, (program, *others))


def _check_program(grants: tuple[Grant, ...], service: str, command: Sequence[str]) -> None:
    """Raise NonoError if the sandboxed command could replace what a command line runs for a key."""
    # Imported here: few runs have one.
    from nono.policy.host_filesystem import HostFilesystem, way_to
    from nono.policy.services import key_reach

    # A script is named by its path, and the links on the way are followed each time.
    for word in (each for each in command if each.startswith("/")):
        for place in way_to(word):
            key_reach.refuse_writable_program(service, place, grants, HostFilesystem())


def _beside_command(environ: Mapping[str, str], resolved: Resolved) -> Mapping[str, str]:
    """Return the environment of programs that print or encrypt keys, now or while the command runs."""
    behind = None if resolved.proxy is None else resolved.proxy.upstream_proxy
    if not resolved.services and not resolved.oauth_routes and (behind is None or behind.auth is None):
        return environ
    # Imported here: few runs have one.
    from nono.launch.trusted.search_path import beside_command

    return beside_command(environ, resolved.capabilities.grants)


def _require(loaded: LoadedService) -> None:
    """Raise NonoError if the key is missing and the run needs it."""
    missing, service = loaded.outcome, loaded.service
    if isinstance(missing, Missing) and not service.is_optional:
        raise NonoError(f"there is no key for '{service.name}': {missing.message}", hint=missing.hint)


def _tell_of_a_key_not_used(loaded: LoadedService, session: Session) -> None:
    """Warn of a service without a key whose variable is set outside: the command does not get that either."""
    missing, service = loaded.outcome, loaded.service
    if isinstance(missing, Missing) and any(map(session.environ.get, service.env_vars)):
        session.warn(f"the command has no key for '{service.name}': {missing.hint or missing.message}")


def _refuse_elsewhere(loaded: LoadedService) -> None:
    """Raise NonoError for a key whose clients the environment leads to another address."""
    if loaded.service.elsewhere is not None and isinstance(loaded.outcome, Loaded):
        # Imported here: few environments name another address.
        from nono.policy.services.key_reach import refuse_elsewhere

        refuse_elsewhere(loaded.service)


def _is_replaced(loaded: LoadedService, logins: Logins, asked_for: Set[str]) -> bool:
    """Return True if an optional service without a key has a login, or a requested key, instead.

    Otherwise the service's base URL would lead its clients to a 503.
    """
    service, is_missing = loaded.service, isinstance(loaded.outcome, Missing)
    if not service.is_optional:
        return False
    host = service.upstream.host
    return (is_missing and host in asked_for) or logins.replaces(host, is_missing=is_missing)


def _also_intercepts(settings: ProxySettings | None) -> Callable[[str], bool] | None:
    """Return a predicate for hosts to intercept although no path rule requires it; None: there are none."""
    if settings is None or not settings.learns:
        return None
    return lambda host: host not in settings.tunnels


def _learning(hosts: HostFilter) -> LearningHosts:
    # Imported here: few runs learn.
    from nono.policy.learning.hosts import learning_hosts

    return learning_hosts(hosts)
