"""Hold the rules of a run that decide access, and that answer questions about the run."""

from __future__ import annotations

from collections.abc import Collection

from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet, Grant
from nono.policy.environment.inheritance import PHANTOM, Withheld
from nono.policy.files.denials import DenyRules
from nono.policy.files.grants import GrantTable
from nono.policy.files.own_state import own_state
from nono.policy.files.path_verdict import FilePolicy
from nono.policy.files.unix_sockets import UnixSocketRules
from nono.policy.path_expansion import Filesystem
from nono.policy.resolve import Resolved

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.endpoints.policy import EndpointPolicy
    from nono.policy.hosts.endpoint_scope import EndpointScope
    from nono.policy.hosts.host_filter import HostFilter
    from nono.policy.hosts.upstream import Upstream
    from nono.policy.schema.route_rules import RateLimit, UpgradeRule, UsageLimits


class Route(NamedTuple):
    """The reverse route of a credential to its upstream."""

    name: str
    upstream: Upstream
    endpoints: EndpointPolicy
    origin: str
    base_url_env_vars: tuple[str, ...]
    is_login: bool  # belongs to a captured login rather than to a service
    limits: UsageLimits
    rate_limit: RateLimit | None
    upgrades: tuple[UpgradeRule, ...] | None  # None: a WebSocket wherever a GET is allowed


class EffectivePolicy(NamedTuple):
    """The rules of one run, with nothing left to look up and no secrets."""

    capabilities: CapabilitySet
    bypassed: tuple[str, ...]  # paths exempted from wider denials
    roots: tuple[tuple[str, str], ...]  # protected: spelling and canonical path
    hosts: HostFilter | None = None  # in proxy mode only
    routes: tuple[Route, ...] = ()
    scopes: tuple[EndpointScope, ...] = ()
    asked: str | None = None  # how a person is asked for approval
    withheld: tuple[Withheld, ...] = ()  # variables that were not passed on, except sources of keys
    handed_out: tuple[Grant, ...] = ()  # grants on files that the run creates, possibly inside a root

    @property
    def grants(self) -> tuple[Grant, ...]:
        """The grants of the policy and those the run adds."""
        return (*self.capabilities.grants, *self.handed_out, *self.capabilities.listed)

    def without(self, granted: Collection[str]) -> EffectivePolicy:
        """Return a copy without the grants on these paths."""
        kept = tuple(grant for grant in self.capabilities.grants if grant.path not in granted)
        own = tuple(grant for grant in self.handed_out if grant.path not in granted)
        return self._replace(capabilities=self.capabilities._replace(grants=kept), handed_out=own)

    @property
    def deny_rules(self) -> DenyRules:
        return DenyRules(self.capabilities.denials, self.bypassed)

    @property
    def unix_sockets(self) -> UnixSocketRules:
        roots = tuple(root for _, root in self.roots)
        grants = self.capabilities.grants
        return UnixSocketRules(self.capabilities.sockets, self.deny_rules, roots, written=grants)

    @property
    def files(self) -> FilePolicy:
        granted = (*self.capabilities.grants, *self.capabilities.listed)
        return FilePolicy(GrantTable(granted), self.deny_rules, self.roots, GrantTable(self.handed_out))


def effective_policy_of(resolved: Resolved, fs: Filesystem) -> EffectivePolicy:
    """Build the rules of a run, which adds grants on the files that it creates for its command."""
    services = (
        Route(
            *(each.name, each.upstream, each.endpoints, each.origin, each.base_url_env_vars, False),
            *(each.limits, each.rate_limit, each.upgrades),
        )
        for each in resolved.services
    )
    return EffectivePolicy(
        capabilities=resolved.capabilities._replace(denials=resolved.deny_rules.denials),
        bypassed=resolved.deny_rules.bypassed,
        roots=tuple((root.spelled, root.path) for root in own_state(resolved.path_context.environ, fs).roots),
        hosts=resolved.host_filter,
        routes=(*services, *_logins(resolved)),
        scopes=resolved.scopes,
        asked=None if resolved.approval is None else str(resolved.approval),
        # The command can read this in its state file, so it must not contain references to keys.
        withheld=tuple(each for each in resolved.withheld if each.rule != PHANTOM),
    )


def _logins(resolved: Resolved) -> list[Route]:
    if not resolved.oauth_routes:
        return []
    # Imported here: few runs have logins.
    from nono.policy.schema.route_rules import NO_LIMITS

    return [
        Route(
            *(each.name, each.upstream, each.endpoints, each.origin, each.base_url_env_vars, True),
            *(NO_LIMITS, None, each.upgrades),
        )
        for each in resolved.oauth_routes
    ]
