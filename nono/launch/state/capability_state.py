"""Define the capability state that a run gives its command, so that `nono why --self` can answer inside."""

from __future__ import annotations

from collections.abc import Callable

from nono.launch.state.strict_json import document_of, value_of
from nono.named_tuple import NamedTuple
from nono.policy.capability import NetworkMode
from nono.policy.effective_policy import EffectivePolicy
from nono.sandbox.plan.enforcement import Enforcement

Identity = tuple[int, int]  # device and inode
Identify = Callable[[str], Identity | None]  # None: no file at the path, or one that differs per process


class FileGrant(NamedTuple):
    """A grant, and the identity of the file that the kernel attached it to."""

    original: str
    path: str
    access: str
    is_file: bool
    source: str
    dev: int | None
    ino: int | None


class DomainEndpoints(NamedTuple):
    """The requests allowed to one host."""

    domain: str
    endpoints: tuple[str, ...]  # METHOD /path


class CapabilityState(NamedTuple):
    """The content of the state file. Other programs may read the fields up to domain_endpoints."""

    fs: tuple[FileGrant, ...]
    net_blocked: bool
    allowed_commands: tuple[str, ...]
    blocked_commands: tuple[str, ...]
    bypass_protection_paths: tuple[str, ...]
    deny_paths: tuple[str, ...]
    allowed_domains: tuple[str, ...]
    domain_endpoints: tuple[DomainEndpoints, ...]
    rules: EffectivePolicy
    enforcement: Enforcement
    landlock_abi: int

    def stale(self, identify: Identify) -> frozenset[str]:
        """Return granted paths whose file was replaced; the kernel refuses the new file."""
        return frozenset(
            each.path
            for each in self.fs
            if each.ino is not None and identify(each.path) != (each.dev, each.ino)
        )


def state_of(
    rules: EffectivePolicy, enforcement: Enforcement, landlock_abi: int, identify: Identify
) -> CapabilityState:
    """Return the state of a run that is about to start."""
    grants = []
    for grant in rules.grants:
        dev, ino = identify(grant.path) or (None, None)
        grants.append(
            FileGrant(grant.original, grant.path, grant.access, not grant.is_dir, grant.source, dev, ino)
        )
    capabilities = rules.capabilities._replace(elevation=enforcement.elevation)
    allowed = (rules.hosts.allow or ()) if rules.hosts is not None else ()
    return CapabilityState(
        fs=tuple(grants),
        net_blocked=capabilities.network is NetworkMode.BLOCKED,
        allowed_commands=(),
        blocked_commands=(),
        bypass_protection_paths=rules.bypassed,
        deny_paths=tuple(denial.path for denial in capabilities.denials),
        allowed_domains=tuple(map(str, allowed)),
        domain_endpoints=tuple(
            DomainEndpoints(str(scope), tuple(map(str, scope.endpoints.allow))) for scope in rules.scopes
        ),
        rules=rules._replace(capabilities=capabilities),
        enforcement=enforcement,
        landlock_abi=landlock_abi,
    )


def state_document(state: CapabilityState) -> object:
    """Return a document for json.dumps."""
    return document_of(state)


def parse_state(document: object) -> CapabilityState:
    """Parse the output of state_document().

    Raises ValueError that names the mismatch, for another version's state.
    """
    # Imported here: only readers of a state, and runs with a proxy, need them.
    from nono.policy.endpoints.policy import EndpointPolicy
    from nono.policy.hosts.endpoint_scope import EndpointScope
    from nono.policy.hosts.host_filter import HostFilter
    from nono.policy.hosts.upstream import Upstream
    from nono.policy.schema.constraints import AbsolutePath, NotNegative, OnLimit, Usd
    from nono.policy.schema.route_rules import RateLimit, UpgradeRule, UsageLimits

    records = (EndpointPolicy, EndpointScope, HostFilter, RateLimit, UpgradeRule, Upstream, UsageLimits)
    names: dict[str, object] = {each.__name__: each for each in records}
    names |= {"AbsolutePath": AbsolutePath, "NotNegative": NotNegative, "OnLimit": OnLimit, "Usd": Usd}
    state = value_of(document, CapabilityState, names, "state")
    assert isinstance(state, CapabilityState)
    return state
