"""Define settings of a route besides its upstream: injection, limits, TLS identity and source of its secret.

Named tuples, because the fast paths through nono build policies without importing dataclasses.
"""

from __future__ import annotations

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    from nono.policy.schema.constraints import (
        AbsolutePath,
        AuthMethod,
        InjectMode,
        NotNegative,
        OnLimit,
        Usd,
    )

AWS_SUFFIXES = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws", ".api.amazonwebservices.com.cn")


class Inject(NamedTuple):
    """Position of a key in a request, read on the command's side and written on the upstream's.

    header and format apply to header and basic_auth, each other field to its own mode. format, path_pattern
    and path_replacement hold "{}" exactly once. With basic_auth, a format with a colon is the user and the
    password, as in "oauth2:{}"; any other says nothing, and the key is both.
    """

    mode: InjectMode = "header"
    header: str = "Authorization"
    format: str = "Bearer {}"
    path_pattern: str = ""
    path_replacement: str = ""
    query_param: str = ""


AUTHORIZATION = Inject()


class RateLimit(NamedTuple):
    """A token bucket; requests_per_minute 0 means no limit."""

    requests_per_minute: float
    burst: int = 5
    max_delay_s: float = 5.0  # a request that would wait longer is refused


class UsageLimits(NamedTuple):
    """What one run may use up on a route; None is no limit."""

    requests: NotNegative | None = None
    input_tokens: NotNegative | None = None
    output_tokens: NotNegative | None = None
    cost_usd: Usd | None = None  # as estimated at list prices
    on_limit: OnLimit = "refuse"

    @property
    def is_set(self) -> bool:
        """True if anything is limited."""
        return self.requests is not None or self.count_usage

    @property
    def asks(self) -> bool:
        """True if somebody is asked at a limit, who may allow as much again."""
        return self.is_set and self.on_limit == "ask"

    @property
    def count_tokens(self) -> bool:
        """True if tokens are limited, so a response that does not report its usage cannot be counted."""
        return self.input_tokens is not None or self.output_tokens is not None

    @property
    def count_usage(self) -> bool:
        """True if tokens or what they cost are limited."""
        return self.count_tokens or self.cost_usd is not None


NO_LIMITS = UsageLimits()


class TlsIdentity(NamedTuple):
    """The CA a route trusts and the client certificate it presents, as absolute paths of PEM files.

    Requests share connections only if their identities are equal.
    """

    ca: str | None = None  # besides the system's roots
    cert: str | None = None  # cert and key come together
    key: str | None = None


NO_IDENTITY = TlsIdentity()


class UpgradeRule(NamedTuple):
    """One path, canonical and without a pattern, on which a WebSocket may be opened."""

    path: AbsolutePath


class OAuth2Client(NamedTuple):
    """The client credentials grant (RFC 6749 section 4.4); id and secret are credential references."""

    token_url: str
    client_id: str
    client_secret: str
    scope: str = ""
    auth_method: AuthMethod = "client_secret_post"


class AwsAuth(NamedTuple):
    """Requests are signed with AWS Signature Version 4; None is found out from the upstream's name."""

    profile: str | None = None
    region: str | None = None
    service: str | None = None


class Capture(NamedTuple):
    """A command that prints a credential when it is first needed."""

    name: str
    command: tuple[str, ...]
    timeout_s: float = 5.0
    cache_ttl_s: float = 900.0  # 0: run again for each request
    cache_path_regex: str = ""  # part of the path a cached value belongs to; empty: the host
    stdin: Literal["null", "request_json"] = "null"
    allow_headers: tuple[str, ...] | None = None  # None: prints text; else JSON with these headers at most
    provider_config: str | None = None  # JSON; given: it speaks the protocol of credential providers
