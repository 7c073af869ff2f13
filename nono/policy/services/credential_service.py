"""Resolve the credential services of a run: source and destination of keys, variables of phantoms."""

from __future__ import annotations

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from posixpath import isabs

from nono.errors import ConfigError
from nono.named_tuple import NamedTuple
from nono.policy.endpoints.entry import allow_list, policy_of, rule_of
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy, EndpointRule
from nono.policy.hosts.hostname import HostError
from nono.policy.hosts.upstream import Upstream, is_upstream, parse_upstream
from nono.policy.path_expansion import PathContext, UnsetVariableError
from nono.policy.schema.route_rules import (
    AwsAuth,
    Capture,
    Inject,
    OAuth2Client,
    RateLimit,
    TlsIdentity,
    UpgradeRule,
    UsageLimits,
)
from nono.policy.schema.routes import CaptureEntry, CustomCredential, ProxyEntry
from nono.policy.services.env_names import derived_variable
from nono.policy.services.named import Named, named
from nono.policy.suggestions import did_you_mean
from nono.printable import shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# The AWS SDKs read the person's own keys, or ways to obtain them, from these.
_AWS_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",  # an older name of the session token
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
# The fields of a shipped service for variables from which its clients read an address. A run sets the first
# to the route's, and leaves the others as they are; these may hold a host alone.
_SET, _LEFT = "base_url_env_vars", "address_env_vars"


class Elsewhere(NamedTuple):
    """Another address than a service's, in a variable of the environment from which its clients read one."""

    variable: str
    address: str


class CredentialService(NamedTuple):
    """A service whose real key stays with the supervisor.

    Its key has exactly one source: oauth2, aws, capture or, if all three are None, credential_key.
    """

    name: str  # also the first segment of its reverse route, unless the upstream is a wildcard
    upstream: Upstream
    inject: Inject  # position of the key
    accept: Inject  # position of the command's phantom
    credential_key: str  # a reference that nono.credentials parses; "" for oauth2 and aws
    env_vars: tuple[str, ...]  # each holds the phantom; an inherited real key is removed
    base_url_env_vars: tuple[str, ...]  # each holds the route's URL; none for a wildcard
    origin: str  # "--credential", or the profile's field
    oauth2: OAuth2Client | None = None
    aws: AwsAuth | None = None
    capture: Capture | None = None
    endpoints: EndpointPolicy = ALLOW_ALL
    rate_limit: RateLimit | None = None
    limits: UsageLimits = UsageLimits()
    tls: TlsIdentity = TlsIdentity()
    upgrades: tuple[UpgradeRule, ...] | None = None  # None: a WebSocket wherever a GET is allowed
    tripwire: bool = True  # search responses for the key
    is_optional: bool = False  # the run starts without a key
    named_as: str = ""  # SERVICE, or SERVICE=URL
    elsewhere: Elsewhere | None = None  # where the person's own clients go instead

    @property
    def references(self) -> tuple[str, ...]:
        """All credential references read for the service."""
        named = (self.credential_key,) if self.credential_key else ()
        return (self.oauth2.client_id, self.oauth2.client_secret) if self.oauth2 is not None else named

    @property
    def source_variables(self) -> tuple[str, ...]:
        """The variables its keys come from, which the command must not inherit."""
        named = tuple(ref.removeprefix("env://") for ref in self.references if ref.startswith("env://"))
        return named if self.aws is None else (*named, *_AWS_VARIABLES)

    @property
    def source_files(self) -> tuple[str, ...]:
        """The files holding its keys, which must lie outside the grants."""
        named = tuple(ref.removeprefix("file://") for ref in self.references if ref.startswith("file://"))
        return (*named, self.tls.key) if self.tls.key is not None else named


def resolve_services(
    wanted: Iterable[tuple[str, str]],
    custom: Mapping[str, CustomCredential],
    built_in: Mapping[str, Mapping[str, Any]],
    path_context: PathContext,
    captures: Mapping[str, CaptureEntry] | None = None,
    endpoints: Iterable[tuple[str, EndpointRule]] = (),
    required: Container[str] | None = None,
    costs: Iterable[tuple[str, float]] = (),
) -> tuple[CredentialService, ...]:
    """Build the services for pairs of SERVICE or SERVICE=URL and origin, each once.

    A profile's entry replaces a built-in one, and a URL either's address, of several the last.
    `endpoints` are the rules --allow-endpoint adds, by service.
    `required` are the names of services without which no run starts; None: all.
    `costs` are what services may cost in USD, by name; a person is asked beyond that, unless the profile says
    what happens at a limit.

    Raises ConfigError for an unknown service, an endpoint or a cost of a service not in use, a TLS file path
    that does not expand to an absolute one, an unknown capture, or two services that share a variable.
    """
    services: dict[str, CredentialService] = {}
    addresses: dict[str, str] = {}
    for text, origin in wanted:  # of two origins the last: the command line's
        each = named(text, origin)
        if each.address is not None:
            addresses[each.name] = each.address
        each = each._replace(address=addresses.get(each.name))  # a name alone leaves one that was given
        name, address, _ = each
        if name in custom:
            entry = custom[name] if address is None else custom[name]._replace(upstream=address)
            services[name] = _custom(name, entry, origin, path_context, captures or {})
        elif name in built_in:
            services[name] = _built_in(each, built_in, path_context.environ)
        else:
            available = sorted({*custom, *built_in})
            called = name.rpartition("@")[2]  # of an address that somebody gives as a name, no password
            raise ConfigError(
                f"no credential service is called '{called}'; there are {', '.join(available)}.",
                hint=_meant(name, available),
            )
        is_optional = required is not None and name not in required
        services[name] = services[name]._replace(named_as=each.text, is_optional=is_optional)
    for name, rule in endpoints:
        services[name] = _with_rule(_in_use(name, services, "--allow-endpoint"), rule)
    for name, cost_usd in costs:
        service = _in_use(name, services, "--max-cost")
        services[name] = service._replace(limits=_with_cost(service.limits, cost_usd))
    return tuple(_with_variables_of_their_own(services.values()))


def _with_cost(limits: UsageLimits, cost_usd: float) -> UsageLimits:
    """Return limits with one of costs, too. A lower one of the profile stays, and what it does at a limit."""
    if not limits.is_set:
        return UsageLimits(cost_usd=cost_usd, on_limit="ask")
    known = limits.cost_usd
    return limits._replace(cost_usd=cost_usd if known is None else min(known, cost_usd))


def _in_use(name: str, services: Mapping[str, CredentialService], flag: str) -> CredentialService:
    if name not in services:
        raise ConfigError(
            f"{flag}: service '{name}' not found in active credentials "
            f"({', '.join(services) or 'there are none'}).",
            hint=did_you_mean(name, services) or f"--credential {shell_word(name)}",
        )
    return services[name]


def ignored_endpoints(
    endpoints: Iterable[tuple[str, EndpointRule]], custom: Mapping[str, CustomCredential]
) -> list[str]:
    """Return a warning for each --allow-endpoint that an explicit endpoint_policy overrides."""
    return [
        f"--allow-endpoint {name}:{rule.method}:{rule.path} changes nothing: "
        f"custom_credentials.{name}.endpoint_policy decides; add the rule to its allow list."
        for name, rule in endpoints
        if name in custom and custom[name].endpoint_policy is not None
    ]


def _with_rule(service: CredentialService, rule: EndpointRule) -> CredentialService:
    if service.endpoints.is_explicit:
        return service
    origin = service.endpoints.origin or "--allow-endpoint"
    return service._replace(endpoints=allow_list((*service.endpoints.allow, rule), origin))


def _meant(name: str, available: list[str]) -> str | None:
    if name.lower() in available:
        return f"did you mean '{name.lower()}'?"
    if "," in name:
        return "give the option once for each service"
    if "://" in name:
        return "a service of your own goes into network.custom_credentials of a profile: nono profile guide"
    return did_you_mean(name, available)


def _built_in(
    wanted: Named, built_in: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str]
) -> CredentialService:
    name, address, origin = wanted
    entry = built_in[name]
    inject = Inject(header=entry["inject_header"], format=entry["credential_format"])
    try:
        upstream = parse_upstream(entry["upstream"] if address is None else address)
        if upstream.is_wildcard:
            raise ValueError("the address of one host is expected")
    except ValueError as error:  # the address is not shown: it may hold a password
        hint = f"{name}=https://HOST, or {name}=http://localhost:PORT for a server of this machine"
        raise ConfigError(f"{origin} {name}=URL: {error}.", hint=hint) from error
    return CredentialService(
        name=name,
        upstream=upstream,
        inject=inject,
        accept=inject,
        credential_key=entry["credential_key"],
        env_vars=tuple(entry["env_vars"]),
        base_url_env_vars=tuple(entry["base_url_env_vars"]),
        origin=origin,
        elsewhere=_elsewhere(entry["upstream"], built_in, environ) if address is None else None,
    )


def _elsewhere(
    address: str, built_in: Mapping[str, Mapping[str, Any]], environ: Mapping[str, str]
) -> Elsewhere | None:
    """Find another host in the variables that the clients of this address read, whatever key they send."""
    own = parse_upstream(address)
    readers = [entry for entry in built_in.values() if entry["upstream"] == address]
    for field in (_SET, _LEFT):
        for variable in dict.fromkeys(name for entry in readers for name in entry.get(field, ())):
            if not (text := environ.get(variable)):
                continue
            if field == _LEFT and "/" not in text.rstrip("/"):
                text = f"https://{text.rstrip('/')}{own.base_path}"
            if not is_upstream(text) or not parse_upstream(text).covers(own.host, own.port):
                return Elsewhere(variable, text)
    return None


def _custom(
    name: str,
    custom: CustomCredential,
    origin: str,
    path_context: PathContext,
    captures: Mapping[str, CaptureEntry],
) -> CredentialService:
    key = custom.credential_key or ""
    in_variables = name.upper().replace("-", "_")
    variables = _variables(in_variables, custom, key)
    base_url = custom.base_url_env_var or f"{in_variables}_BASE_URL"
    limit = custom.rate_limit
    try:
        upstream = parse_upstream(custom.upstream)
        return CredentialService(
            name=name,
            upstream=upstream,
            inject=_inject(custom, None),
            accept=_inject(custom, custom.proxy),
            credential_key=key,
            env_vars=variables,
            base_url_env_vars=() if upstream.is_wildcard else (base_url,),
            origin=origin,
            oauth2=custom.auth,
            aws=custom.aws_auth,
            capture=_capture(key, captures),
            endpoints=_endpoints(name, custom),
            rate_limit=RateLimit(*limit) if limit is not None else None,
            limits=custom.limits,
            tls=TlsIdentity(
                *(
                    _pem(field, custom, path_context)
                    for field in ("tls_ca", "tls_client_cert", "tls_client_key")
                )
            ),
            upgrades=custom.upgrades,
            tripwire=custom.tripwire,
        )
    except (ValueError, HostError) as error:
        raise ConfigError(f"credential service '{name}': {error}.") from error


def _variables(name: str, custom: CustomCredential, key: str) -> tuple[str, ...]:
    """Return the variables for the phantom. The AWS SDKs need a pair of keys; the second may be anything."""
    variable = custom.env_var or (derived_variable(key) if key else None)
    if custom.auth is not None and variable is None:  # without a phantom no request is let in
        variable = f"{name}_API_KEY"
    if variable is not None:
        return (variable,)
    return ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY") if custom.aws_auth is not None else ()


def _inject(custom: CustomCredential, proxy: ProxyEntry | None) -> Inject:
    """Return the position of the key or, given `proxy`, of the phantom: its fields override the service's."""
    own = proxy or ProxyEntry()
    header = own.inject_header or custom.inject_header
    pattern = own.path_pattern or custom.path_pattern or ""
    default_format = "Bearer {}" if header.lower() == "authorization" else "{}"
    return Inject(
        mode=own.inject_mode or custom.inject_mode,
        header=header,
        format=own.credential_format or custom.credential_format or default_format,
        path_pattern=pattern,
        path_replacement=own.path_replacement or custom.path_replacement or pattern,
        query_param=own.query_param_name or custom.query_param_name or "",
    )


def _endpoints(name: str, custom: CustomCredential) -> EndpointPolicy:
    where = f"custom_credentials.{name}."
    if custom.endpoint_policy is not None:
        return policy_of(custom.endpoint_policy, f"{where}endpoint_policy")
    return allow_list(map(rule_of, custom.endpoint_rules), f"{where}endpoint_rules")


def _capture(credential_key: str, captures: Mapping[str, CaptureEntry]) -> Capture | None:
    scheme, separator, name = credential_key.partition("://")
    if not separator or scheme != "cmd":
        return None
    if name not in captures:
        known = ", ".join(captures) or "there are none"
        raise ValueError(f"cmd://{name} has no entry in credential_capture ({known})")
    # Imported here: few profiles have one.
    from nono.policy.services.capture_entry import capture_of

    return capture_of(name, captures[name])


def _pem(field: str, custom: CustomCredential, path_context: PathContext) -> str | None:
    text = getattr(custom, field)
    if text is None:
        return None
    try:
        path = path_context.of_profile(text)
    except UnsetVariableError as unset:
        raise ValueError(f"{field} '{text}': {unset}") from unset
    if not isabs(path):
        raise ValueError(f"{field} '{text}' must be an absolute path")
    return path


def _with_variables_of_their_own(services: Collection[CredentialService]) -> Iterator[CredentialService]:
    """Leave out optional services that share a variable with a required one.

    Raises ConfigError for any other two that share one.
    """
    needed = {name for each in services if not each.is_optional for name in variables_of(each)}
    owners: dict[str, str] = {}
    for service in services:
        if service.is_optional and not needed.isdisjoint(variables_of(service)):
            continue
        for variable in variables_of(service):
            owner = owners.setdefault(variable, service.name)
            if owner != service.name:
                raise ConfigError(
                    f"credential services '{owner}' and '{service.name}' both set {variable}.",
                    hint="name one of them, or give one an env_var of its own in custom_credentials",
                )
        yield service


def variables_of(service: CredentialService) -> tuple[str, ...]:
    """Return the variables that a run with the service sets."""
    return (*service.env_vars, *service.base_url_env_vars)
