"""Define the fields of a profile's routes: upstreams, rules for their paths, sources of their secrets.

Fields are spelled as in the file; nono.policy.services.credential_service and its neighbours turn them into
values.
"""

from __future__ import annotations

from collections.abc import Mapping

from nono.named_tuple import NamedTuple
from nono.policy.schema.route_rules import AwsAuth, OAuth2Client, UpgradeRule, UsageLimits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Annotated, Any, Literal

    from nono.policy.schema.constraints import (
        NOT_NEGATIVE,
        AbsolutePath,
        CacheSeconds,
        Command,
        DecisionWord,
        Format,
        Header,
        HttpsOrigin,
        InjectMode,
        NotNegative,
        PathPart,
        QueryName,
        Says,
        Seconds,
        Variable,
        When,
    )


class RuleEntry(NamedTuple):
    """A method and a pattern of paths; the rest matters in an `approve` list."""

    method: Annotated[str, Says({"minLength": 1})]
    path: AbsolutePath
    backend: str | None = None
    reason: str | None = None
    timeout_secs: Seconds | None = None


class DefaultEntry(NamedTuple):
    """The decision on a request that no rule matches."""

    decision: DecisionWord = "deny"
    backend: str | None = None
    timeout_secs: Seconds | None = None


class PolicyEntry(NamedTuple):
    """endpoint_policy: deny, then approve, then allow, then default."""

    default: DecisionWord | DefaultEntry = DefaultEntry()
    deny: tuple[RuleEntry, ...] = ()
    approve: tuple[RuleEntry, ...] = ()
    allow: tuple[RuleEntry, ...] = ()


class DomainEntry(NamedTuple):
    """An entry of allow_domain that allows some paths of a host."""

    domain: str
    endpoints: tuple[RuleEntry, ...] = ()


class ProxyEntry(NamedTuple):
    """The place of the phantom in a request; None: where the key is sent upstream."""

    inject_mode: InjectMode | None = None
    inject_header: Header | None = None
    credential_format: Format | None = None
    path_pattern: PathPart | None = None
    path_replacement: PathPart | None = None
    query_param_name: QueryName | None = None


class RateLimitEntry(NamedTuple):
    """A token bucket."""

    requests_per_minute: Annotated[float, NOT_NEGATIVE]
    burst: NotNegative = 5
    max_delay_secs: Annotated[float, NOT_NEGATIVE] = 5.0


class CustomCredential(NamedTuple):
    """A credential service of the profile's own; its secret has exactly one source."""

    upstream: Annotated[str, Says({"pattern": "^https?://"})]
    credential_key: Annotated[str, Says({"pattern": "^([A-Za-z0-9_]+$|[a-z-]+://)"})] | None = None
    inject_mode: InjectMode = "header"
    inject_header: Header = "Authorization"
    credential_format: Format | None = None  # None: "Bearer {}" in Authorization, "{}" elsewhere
    env_var: Variable | None = None  # None: derived from credential_key
    base_url_env_var: Variable | None = None  # None: the service's name, upper case, and _BASE_URL
    tls_ca: str | None = None  # PEM file trusted for this upstream besides the public roots
    tls_client_cert: str | None = None
    tls_client_key: str | None = None
    auth: OAuth2Client | None = None
    aws_auth: AwsAuth | None = None
    path_pattern: PathPart | None = None
    path_replacement: PathPart | None = None  # None: path_pattern
    query_param_name: QueryName | None = None
    proxy: ProxyEntry | None = None
    endpoint_rules: tuple[RuleEntry, ...] = ()
    endpoint_policy: PolicyEntry | None = None
    rate_limit: RateLimitEntry | None = None
    limits: UsageLimits = UsageLimits()
    tripwire: bool = True  # search responses for the key
    upgrades: tuple[UpgradeRule, ...] | None = None  # None: a WebSocket wherever a GET is allowed


class CaptureOutput(NamedTuple):
    """A command that prints ``{"headers": {...}}``, and which headers it may set."""

    format: Literal["json"]
    allow_headers: Annotated[tuple[Header, ...], Says({"minItems": 1})]


class CaptureProvider(NamedTuple):
    """A command that is given a configuration, and speaks its own protocol on stdin and stdout."""

    command: Command
    config: Mapping[str, Any] = {}


class CaptureEntry(NamedTuple):
    """A command that prints a credential; ``cmd://<its name>`` refers to it."""

    command: Command | None = None
    timeout_secs: Annotated[float, Says({"minimum": 1, "maximum": 300})] = 5.0
    cache_ttl_secs: CacheSeconds | None = None  # None: 900
    ttl_secs: CacheSeconds | None = None  # alias of cache_ttl_secs
    cache_path_regex: Annotated[str, Says({"maxLength": 256, "format": "regex"})] = ""
    stdin: Literal["null", "request_json"] = "null"
    output: Literal["text"] | CaptureOutput = "text"
    provider: CaptureProvider | None = None  # instead of command


class ResponseFieldEntry(NamedTuple):
    """A field of a token endpoint's response that holds a token."""

    path: str  # names joined by dots
    kind: Literal["opaque", "jwt"] = "opaque"
    claims: tuple[str, ...] = ()  # of a jwt: those that its phantom keeps, because the client reads them


class TokenEndpointEntry(NamedTuple):
    """The endpoint that issues a login's tokens."""

    host: HttpsOrigin
    path: AbsolutePath
    response_fields: Annotated[tuple[ResponseFieldEntry, ...], Says({"minItems": 1})]
    request_body: Literal["auto", "json", "form"] = "auto"
    request_nonce_fields: tuple[str, ...] = ()
    searched_below: AbsolutePath = "/"


class ProviderEntry(NamedTuple):
    """A provider whose logins are captured: the command holds phantoms of its tokens."""

    type: Literal["oauth_capture"]
    token_endpoints: Annotated[tuple[TokenEndpointEntry, ...], Says({"minItems": 1})]
    api_hosts: Annotated[
        tuple[HttpsOrigin, ...], Says({"minItems": 1})
    ]  # https origins at which the tokens may be used
    inject_header: str | None = None  # accepted for portability, as is credential_format:
    credential_format: str | None = None  # a phantom is replaced wherever it stands


class OriginUpgrade(NamedTuple):
    """A path of one API host on which a WebSocket may be opened."""

    origin: HttpsOrigin
    path: AbsolutePath


class ProviderRoute(NamedTuple):
    """A route to the API hosts of a provider."""

    name: Annotated[str, Says({"pattern": "^[A-Za-z0-9_-]*[A-Za-z0-9][A-Za-z0-9_-]*$"})]
    provider: str
    env_var: Variable | None = None
    base_url_env_var: Variable | None = None
    endpoint_policy: PolicyEntry | None = None
    upgrades: tuple[OriginUpgrade, ...] = ()


class UpstreamProxyEntry(NamedTuple):
    """The upstream proxy."""

    address: str  # host:port
    auth: str | None = None  # a credential reference to user:password


class EnvCredential(NamedTuple):
    """The variable that holds a credential itself, without the proxy."""

    env_var: Variable
    when: When | None = None  # decided when the file is read, and never set afterwards
