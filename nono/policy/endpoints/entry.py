"""Turn the endpoint rules of a profile or a flag into an EndpointPolicy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono.errors import UsageError
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy, EndpointRule
from nono.policy.schema.routes import DefaultEntry, PolicyEntry, RuleEntry


def rule_problems(where: str, entries: Iterable[RuleEntry]) -> Iterator[tuple[str, str]]:
    """Yield (key path, problem) for each invalid rule."""
    for position, entry in enumerate(entries):
        try:
            rule_of(entry)
        except ValueError as error:
            yield f"{where}.{position}", str(error)
        if entry.timeout_secs is not None and not entry.timeout_secs > 0:
            yield f"{where}.{position}.timeout_secs", "expected seconds, more than 0"


def rule_of(entry: RuleEntry) -> EndpointRule:
    """Build a rule. Raises ValueError as EndpointRule does."""
    return EndpointRule(entry.method, entry.path, entry.backend, entry.reason, entry.timeout_secs)


def allow_list(rules: Iterable[EndpointRule], origin: str) -> EndpointPolicy:
    """Return the policy of a plain list: only its rules are allowed; an empty list allows everything."""
    allow = tuple(rules)
    return EndpointPolicy("deny", allow=allow, origin=origin) if allow else ALLOW_ALL


def policy_of(entry: PolicyEntry, origin: str) -> EndpointPolicy:
    """Build an explicit policy. Raises ValueError as EndpointRule does."""
    default = DefaultEntry(entry.default) if isinstance(entry.default, str) else entry.default
    return EndpointPolicy(
        default=default.decision,
        deny=tuple(map(rule_of, entry.deny)),
        approve=tuple(map(rule_of, entry.approve)),
        allow=tuple(map(rule_of, entry.allow)),
        default_backend=default.backend,
        default_timeout_s=default.timeout_secs,
        origin=origin,
        is_explicit=True,
    )


def rules_beside(policy: EndpointPolicy, base_path: str) -> list[EndpointRule]:
    """Return the rules whose path lies outside base_path, so that no request below it matches them.

    Skips rules that have a pattern character within the first len(base_path) + 1 characters.
    """
    rules = (*policy.deny, *policy.approve, *policy.allow)
    wild = [rule for rule in rules if any(mark in rule.path[: len(base_path) + 1] for mark in "*?[{\\")]
    return [rule for rule in rules if rule not in wild and not f"{rule.path}/".startswith(f"{base_path}/")]


def parse_allow_endpoint(text: str) -> tuple[str, EndpointRule]:
    """Split ``SERVICE:METHOD:/path`` into service and rule. Raises UsageError naming the missing part."""
    service, first, rest = text.partition(":")
    method, second, path = rest.partition(":")
    if not (first and second and service and method and path):
        raise UsageError(
            f"--allow-endpoint '{text}': expected SERVICE:METHOD:/path, three parts that are not empty.",
            hint="--allow-endpoint 'openai:POST:/v1/chat/completions'",
        )
    if not path.startswith("/"):
        raise UsageError(f"--allow-endpoint '{text}': the path must start with '/'.")
    try:
        return service, EndpointRule(method, path)
    except ValueError as error:
        raise UsageError(f"--allow-endpoint '{text}': {error}.") from error
