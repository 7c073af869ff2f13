"""Resolve logins whose tokens stay with the supervisor: providers, and routes to their API hosts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.endpoints.entry import allow_list, policy_of
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.hosts.upstream import Upstream, parse_origin
from nono.policy.schema.route_rules import UpgradeRule
from nono.policy.schema.routes import ProviderEntry, ProviderRoute, TokenEndpointEntry
from nono.policy.services.custom_credential import policy_problems, upgrade_problems
from nono.policy.services.env_names import may_hold_credential
from nono.policy.suggestions import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

Problem = tuple[str, str]  # key path, problem


class ResponseField(NamedTuple):
    """A field of a token endpoint's response whose value is replaced by a phantom."""

    path: tuple[str, ...]  # names from the outermost object inwards
    kind: Literal["opaque", "jwt"]
    claims: tuple[str, ...] = ()  # of a jwt: those that its phantom keeps


class TokenEndpoint(NamedTuple):
    """The endpoint that issues a login's tokens; host, port and path are compared exactly."""

    upstream: Upstream
    path: str
    response_fields: tuple[ResponseField, ...]
    request_body: Literal["auto", "json", "form"]
    request_nonce_fields: tuple[tuple[str, ...], ...]  # fields in which a phantom is exchanged for its token
    searched_below: str = "/"  # answers of the host to other paths hold no tokens


class OAuthProvider(NamedTuple):
    """A provider of logins."""

    name: str
    token_endpoints: tuple[TokenEndpoint, ...]
    api_hosts: tuple[Upstream, ...]

    @property
    def consumer(self) -> str:
        """The name under which its token endpoints redeem phantoms."""
        return f"oauth.{self.name}"


class OAuthRoute(NamedTuple):
    """A route to one API host, which redeems the phantoms of its provider's tokens."""

    name: str  # also the first segment of its reverse route
    provider: OAuthProvider
    upstream: Upstream
    env_var: str | None
    base_url_env_vars: tuple[str, ...]
    endpoints: EndpointPolicy
    upgrades: tuple[UpgradeRule, ...]
    origin: str

    @property
    def consumer(self) -> str:
        """The name under which the route redeems phantoms."""
        return f"proxy.{self.name}"


def oauth_routes(
    routes: Iterable[ProviderRoute], providers: Mapping[str, ProviderEntry], label: str
) -> tuple[OAuthRoute, ...]:
    """Build one route per API host; if a provider has several, the position is added to the name.

    The entries must be valid. Raises ConfigError for an unknown provider, a duplicate name, two providers
    with one token endpoint, or an upgrade on a host the provider does not have.
    """
    made: dict[str, OAuthRoute] = {}
    owners: dict[tuple[Upstream, str], str] = {}
    for entry in routes:
        if entry.provider not in providers:
            raise ConfigError(
                f"{label}, credential_routes: '{entry.name}' names an unknown provider '{entry.provider}' "
                f"(there are {', '.join(providers) or 'none'}).",
                hint=did_you_mean(entry.provider, providers),
            )
        provider = _provider(entry.provider, providers[entry.provider])
        for endpoint in provider.token_endpoints:
            owner = owners.setdefault((endpoint.upstream, endpoint.path), provider.name)
            if owner != provider.name:
                raise ConfigError(
                    f"{label}, credential_routes: '{owner}' and '{provider.name}' both get their tokens at "
                    f"{endpoint.upstream}{endpoint.path}, so nobody could tell whose login is made there.",
                    hint="use them in two runs",
                )
        for route in _routes(entry, provider, f"{label}, credential_routes"):
            if route.name in made:
                raise ConfigError(f"{label}, credential_routes: two routes are named '{route.name}'.")
            made[route.name] = route
    return tuple(made.values())


def provider_problems(entry: ProviderEntry) -> Iterator[Problem]:
    """Yield (field, problem) for every mistake in an entry of credential_providers."""
    if not entry.token_endpoints:
        yield "token_endpoints", "expected at least one"
    if not entry.api_hosts:
        yield "api_hosts", "expected at least one https origin"
    for position, host in enumerate(entry.api_hosts):
        yield from _origin(f"api_hosts.{position}", host)
    for position, endpoint in enumerate(entry.token_endpoints):
        for field, what in _endpoint_problems(endpoint):
            yield f"token_endpoints.{position}.{field}", what


def route_problems(entry: ProviderRoute) -> Iterator[Problem]:
    """Yield (field, problem) for every mistake in an entry of credential_routes."""
    if not entry.name.replace("-", "").replace("_", "").isalnum() or not entry.name.isascii():
        yield "name", "expected letters, digits, '-' and '_'"
    for field in ("env_var", "base_url_env_var"):
        variable = getattr(entry, field)
        if variable is not None and not may_hold_credential(variable):
            yield field, f"{variable!r} may not hold a credential"
    if entry.endpoint_policy is not None:
        yield from policy_problems(entry.endpoint_policy)
    yield from upgrade_problems("upgrades", [UpgradeRule(upgrade.path) for upgrade in entry.upgrades])
    for position, upgrade in enumerate(entry.upgrades):
        yield from _origin(f"upgrades.{position}.origin", upgrade.origin)


def _routes(entry: ProviderRoute, provider: OAuthProvider, origin: str) -> Iterator[OAuthRoute]:
    hosts = provider.api_hosts
    foreign = [each.origin for each in entry.upgrades if parse_origin(each.origin) not in hosts]
    if foreign:
        raise ConfigError(f"{origin}: '{entry.name}': {foreign[0]} is not one of the provider's api_hosts.")
    if entry.endpoint_policy is not None:
        endpoints = policy_of(entry.endpoint_policy, f"{origin}.{entry.name}.endpoint_policy")
    else:
        endpoints = allow_list([EndpointRule("*", "/**")], origin)
    for position, upstream in enumerate(hosts):
        is_first = position == 0
        yield OAuthRoute(
            name=entry.name if len(hosts) == 1 else f"{entry.name}_{position}",
            provider=provider,
            upstream=upstream,
            env_var=entry.env_var if is_first else None,
            base_url_env_vars=(entry.base_url_env_var,) if entry.base_url_env_var and is_first else (),
            endpoints=endpoints,
            upgrades=tuple(
                UpgradeRule(each.path) for each in entry.upgrades if parse_origin(each.origin) == upstream
            ),
            origin=origin,
        )


def _provider(name: str, entry: ProviderEntry) -> OAuthProvider:
    return OAuthProvider(
        name,
        tuple(map(_token_endpoint, entry.token_endpoints)),
        tuple(dict.fromkeys(map(parse_origin, entry.api_hosts))),
    )


def _token_endpoint(entry: TokenEndpointEntry) -> TokenEndpoint:
    return TokenEndpoint(
        upstream=parse_origin(entry.host),
        path=entry.path,
        response_fields=tuple(
            ResponseField(tuple(field.path.split(".")), field.kind, field.claims)
            for field in entry.response_fields
        ),
        request_body=entry.request_body,
        request_nonce_fields=tuple(tuple(field.split(".")) for field in entry.request_nonce_fields),
        searched_below=entry.searched_below,
    )


def _endpoint_problems(endpoint: TokenEndpointEntry) -> Iterator[Problem]:
    yield from _origin("host", endpoint.host)
    for field, what in upgrade_problems("path", [UpgradeRule(endpoint.path)]):
        yield field.partition(".")[0], what
    if not f"{endpoint.path}/".startswith(f"{endpoint.searched_below.rstrip('/')}/"):
        yield "searched_below", "expected a path that the endpoint's own is below"
    if not endpoint.response_fields:
        yield "response_fields", "expected at least one field that holds a token"
    for position, response_field in enumerate(endpoint.response_fields):
        if "" in response_field.path.split("."):
            yield f"response_fields.{position}.path", "expected names joined by dots"
        if response_field.claims and response_field.kind != "jwt":
            yield f"response_fields.{position}.claims", "only a jwt has claims"
    for position, name in enumerate(endpoint.request_nonce_fields):
        if "" in name.split("."):
            yield f"request_nonce_fields.{position}", "expected names joined by dots"


def _origin(field: str, text: str) -> Iterator[Problem]:
    try:
        parse_origin(text)
    except ValueError as error:
        yield field, str(error)
