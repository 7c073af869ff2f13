"""From the endpoint rules of a profile or a flag to an EndpointPolicy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono.errors import ConfigError
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy, EndpointRule
from nono.policy.schema.routes import DefaultEntry, PolicyEntry, RuleEntry


def rule_problems(where: str, entries: Iterable[RuleEntry]) -> Iterator[tuple[str, str]]:
    """(key path, what is wrong) for each rule that is none."""
    for position, entry in enumerate(entries):
        try:
            rule_of(entry)
        except ValueError as error:
            yield f"{where}.{position}", str(error)
        if entry.timeout_secs is not None and not entry.timeout_secs > 0:
            yield f"{where}.{position}.timeout_secs", "expected seconds, more than 0"


def rule_of(entry: RuleEntry) -> EndpointRule:
    """ValueError as EndpointRule's."""
    return EndpointRule(entry.method, entry.path, entry.backend, entry.reason, entry.timeout_secs)


def allow_list(rules: Iterable[EndpointRule], origin: str) -> EndpointPolicy:
    """The policy of a plain list of rules: they allow, and nothing else is allowed. No rules: all is."""
    allow = tuple(rules)
    return EndpointPolicy("deny", allow=allow, origin=origin) if allow else ALLOW_ALL


def policy_of(entry: PolicyEntry, origin: str) -> EndpointPolicy:
    """An explicit policy. ValueError as EndpointRule's."""
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
    """The rules whose path plainly lies beside base_path, so that no request below it matches them."""
    rules = (*policy.deny, *policy.approve, *policy.allow)
    wild = [rule for rule in rules if any(mark in rule.path[: len(base_path) + 1] for mark in "*?[{\\")]
    return [rule for rule in rules if rule not in wild and not f"{rule.path}/".startswith(f"{base_path}/")]


def parse_allow_endpoint(text: str) -> tuple[str, EndpointRule]:
    """The service and the rule of ``SERVICE:METHOD:/path``. ConfigError names what is missing."""
    service, first, rest = text.partition(":")
    method, second, path = rest.partition(":")
    if not (first and second and service and method and path):
        raise ConfigError(
            f"--allow-endpoint '{text}': expected SERVICE:METHOD:/path, three parts that are not empty.",
            hint="--allow-endpoint 'openai:POST:/v1/chat/completions'",
        )
    if not path.startswith("/"):
        raise ConfigError(f"--allow-endpoint '{text}': the path must start with '/'.")
    try:
        return service, EndpointRule(method, path)
    except ValueError as error:
        raise ConfigError(f"--allow-endpoint '{text}': {error}.") from error
