"""Decide the policy of a run in proxy mode: hosts, routes, scopes and settings."""

from __future__ import annotations

from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.builtin import shipped
from nono.policy.endpoints.entry import parse_allow_endpoint, rules_beside
from nono.policy.hosts import host_rules
from nono.policy.hosts.endpoint_scope import EndpointScope, scopes_of
from nono.policy.hosts.host_filter import HostFilter
from nono.policy.hosts.no_proxy import refuse_overlap
from nono.policy.hosts.proxy_settings import ProxySettings, proxy_settings
from nono.policy.network_request import NetworkRequest
from nono.policy.path_expansion import PathContext
from nono.policy.request import RunRequest
from nono.policy.schema.profile import Profile
from nono.policy.services.credential_service import CredentialService, ignored_endpoints, resolve_services
from nono.policy.services.named import names_of, parse_max_cost

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.hosts.mcp_servers import McpServer
    from nono.policy.services.oauth_routes import OAuthRoute


class ProxiedPolicy(NamedTuple):
    """The complete policy of a run's proxy."""

    host_filter: HostFilter
    services: tuple[CredentialService, ...]
    scopes: tuple[EndpointScope, ...]
    oauth_routes: tuple[OAuthRoute, ...]
    mcp_servers: tuple[McpServer, ...]
    settings: ProxySettings
    warnings: tuple[str, ...]


def proxied_policy(
    asked: NetworkRequest, request: RunRequest, profile: Profile, path_context: PathContext
) -> ProxiedPolicy:
    """Resolve the proxy's policy. Raises ConfigError for unknown, malformed or contradictory settings."""
    policy = shipped.network_policy()
    network = profile.network
    endpoints = [parse_allow_endpoint(text) for text in request.allow_endpoint]
    services = resolve_services(
        (*asked.optional_credentials, *asked.credentials),
        network.custom_credentials,
        policy.services,
        path_context,
        profile.credential_capture,
        endpoints,
        required=names_of(text for text, _ in asked.credentials),
        costs=[parse_max_cost(text) for text in request.max_cost],
    )
    scopes = scopes_of(asked.allow or (), asked.domains)
    hosts = host_rules.host_filter(asked, policy, scopes)
    servers: tuple[McpServer, ...] = ()
    if asked.mcp_servers:
        # Imported here: few runs have one.
        from nono.policy.hosts.mcp_servers import servers_of, with_servers

        servers = servers_of(asked.mcp_servers)
        hosts = with_servers(hosts, servers)
    logins = _oauth_routes(profile)
    _refuse_shared_prefixes(services, logins)
    settings = proxy_settings(request, network, profile.label)
    through_proxy = [(rule.pattern, rule.origin) for rule in hosts.allow or ()]
    through_proxy += [(service.upstream.host, f"service {service.name}") for service in services]
    through_proxy += [(route.upstream.host, f"route {route.name}") for route in logins]
    refuse_overlap(settings.no_proxy, through_proxy)
    warnings = (
        *ignored_endpoints(endpoints, network.custom_credentials),
        *_beside_the_base(services),
        *_never_reached(hosts),
    )
    return ProxiedPolicy(hosts, services, scopes, logins, servers, settings, warnings)


def _oauth_routes(profile: Profile) -> tuple[OAuthRoute, ...]:
    if not (profile.credential_routes or profile.credential_providers):
        return ()
    # Imported here: not every profile has a login.
    from nono.policy.services.oauth_routes import oauth_routes

    return oauth_routes(profile.credential_routes, profile.credential_providers, profile.label)


def _beside_the_base(services: tuple[CredentialService, ...]) -> list[str]:
    return [
        f"endpoint rule '{rule}' of {service.name} matches no request through {variable}, which leads below "
        f"{service.upstream}; did you mean {service.upstream.base_path}{rule.path}?"
        for service in services
        for variable in service.base_url_env_vars[:1]
        for rule in rules_beside(service.endpoints, service.upstream.base_path)
    ]


def _never_reached(hosts: HostFilter) -> list[str]:
    """Name the entries of the allow list that no run can reach. The shipped network profiles have none."""
    judged = [(rule, hosts.built_in_denial(rule)) for rule in (hosts.allow or ())[hosts.of_profile :]]
    return [
        f"{rule.origin}: {rule} is not reached in any run: {reason}."
        for rule, reason in judged
        if reason is not None
    ]


def _refuse_shared_prefixes(services: tuple[CredentialService, ...], logins: tuple[OAuthRoute, ...]) -> None:
    names = {service.name for service in services}
    for route in logins:
        if route.name in names:
            raise ConfigError(
                f"a credential service and a route of credential_routes are both '{route.name}'."
            )
