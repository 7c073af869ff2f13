"""Choose the rules that decide on a request: those of its route, or those of its host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from nono.named_tuple import NamedTuple
from nono.policy.endpoints.path_readings import may_be_below
from nono.policy.endpoints.policy import EndpointPolicy, EndpointVerdict, most_allowed


class RouteRules(NamedTuple):
    """The rules of a credential's route, and the base path of its upstream."""

    endpoints: EndpointPolicy
    base_path: str


def judged_with_credential(
    route: RouteRules,
    siblings: Iterable[RouteRules],
    scopes: Sequence[EndpointPolicy],
    method: str,
    path: str,
) -> tuple[EndpointPolicy, EndpointVerdict]:
    """Judge a request that carries a route's credential. The rules of a sibling route can only deny.

    siblings: The other routes of the host.
    scopes: The rules of a host that was granted on some paths only.
    """
    # A credential does not open paths outside the host's grant.
    rules = scopes if route.endpoints.allows_all and scopes else [route.endpoints]
    own = most_allowed(rules, method, path)
    if own[1].decision == "deny":
        return own
    explicit = [
        each.endpoints
        for each in siblings
        if each.endpoints.is_explicit and may_be_below(each.base_path, path)
    ]
    judged = [(policy, policy.judge(method, path)) for policy in explicit]
    return next((each for each in judged if each[1].decision == "deny"), own)


def rules_without_credential(
    routes: Iterable[EndpointPolicy], scopes: Sequence[EndpointPolicy]
) -> Sequence[EndpointPolicy]:
    """Return the rules of a request without a credential; none: the host filter alone decides."""
    return scopes or [each for each in routes if not each.allows_all]


def is_at_or_below(base_path: str, path: str) -> bool:
    """Return True if a canonical path is the base path or below it. A query may follow."""
    return path.startswith(base_path) and path[len(base_path) : len(base_path) + 1] in ("", "/", "?")
