"""Add rules for the endpoints of services to those the run started with."""

from __future__ import annotations

from collections.abc import Iterable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
    from nono.policy.live.rule import Decision, LiveRule


class LiveEndpoints:
    """The rules for endpoints added to one run, by service."""

    def __init__(self) -> None:
        self._rules: tuple[tuple[str, EndpointRule, Decision], ...] = ()

    def put(self, rules: Iterable[LiveRule]) -> None:
        """Use exactly these rules in addition to those the run started with."""
        self._rules = tuple((*rule.endpoint, rule.decision) for rule in rules)

    def laid_over(self, service: str, policy: EndpointPolicy) -> EndpointPolicy:
        """Return a service's policy with the added rules. A denial beats every grant."""
        own = [(rule, decision) for name, rule, decision in self._rules if name == service]
        deny = tuple(rule for rule, decision in own if decision == "deny")
        ahead = tuple(rule for rule, decision in own if decision == "allow")
        if not own:
            return policy
        # No other route to the same host may allow what this denies.
        is_explicit = policy.is_explicit or bool(deny)
        return policy._replace(deny=(*deny, *policy.deny), ahead=ahead, is_explicit=is_explicit)
