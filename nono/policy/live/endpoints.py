"""Lays rules for the endpoints of services over those of the start."""

from __future__ import annotations

from collections.abc import Iterable

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.live.rule import Decision, LiveRule


class LiveEndpoints:
    """The rules for endpoints of one run, by service."""

    def __init__(self) -> None:
        self._rules: tuple[tuple[str, EndpointRule, Decision], ...] = ()

    def put(self, rules: Iterable[LiveRule]) -> None:
        """Lay these rules, and no others, over those of the start."""
        self._rules = tuple((*rule.endpoint, rule.decision) for rule in rules)

    def laid_over(self, service: str, policy: EndpointPolicy) -> EndpointPolicy:
        """Return the policy of a service under the rules of now. A denial beats every grant."""
        own = [(rule, decision) for name, rule, decision in self._rules if name == service]
        deny = tuple(rule for rule, decision in own if decision == "deny")
        ahead = tuple(rule for rule, decision in own if decision == "allow")
        if not own:
            return policy
        # No other route to the same host may allow what is denied here.
        is_explicit = policy.is_explicit or bool(deny)
        return policy._replace(deny=(*deny, *policy.deny), ahead=ahead, is_explicit=is_explicit)
