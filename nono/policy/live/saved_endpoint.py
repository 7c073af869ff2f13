"""Write an endpoint rule into the profile that defines its service."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, cast

from nono.errors import ConfigError
from nono.policy.endpoints.entry import parse_allow_endpoint
from nono.policy.endpoints.policy import ALLOW_ALL, DEFAULT_LABEL, EndpointPolicy, EndpointRule
from nono.policy.endpoints.policy import Decision as PolicyDecision
from nono.policy.live.rule import Decision

_RULES, _POLICY = "endpoint_rules", "endpoint_policy"


def with_endpoint(document: Mapping[str, Any], decision: Decision, target: str) -> dict[str, Any]:
    """Return the profile with the rule of `nono allow` or `nono deny` added; unchanged if it has it already.

    Raises ConfigError if the profile has no such service or an earlier rule overrides this one, and TypeError
    if a part of the profile has the wrong type.
    """
    name, rule = parse_allow_endpoint(target)
    changed = deepcopy(dict(document))
    service = _service(changed, name)
    written = {"method": rule.method.upper(), "path": rule.path}
    if decision == "deny":
        _deny(service, written)
    elif _policy_of(service).judge(rule.method, rule.path).decision != "allow":
        policy = service.get(_POLICY)
        rules = service[_RULES] if policy is None else policy.setdefault("allow", [])
        if written not in rules:
            rules.append(written)
        _refuse_unless_allowed(rule, _policy_of(service))
    return changed


def _service(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the entry of a service, which the caller changes in place."""
    services = document.get("network", {}).get("custom_credentials", {})
    routes = [each for each in document.get("credential_routes", ()) if each.get("name") == name]
    found = [*([services[name]] if name in services else []), *routes]
    if not found:
        raise ConfigError(
            f"The profile has no service '{name}' of its own, where the rule would stand.",
            hint="--save NAME, of the profile that has it in custom_credentials or credential_routes; for "
            "one of nono's own, --allow-endpoint in the next run",
        )
    if not isinstance(found[0], dict):
        raise TypeError(f"the service '{name}' is not an object")
    return found[0]


def _deny(service: dict[str, Any], written: Mapping[str, str]) -> None:
    if service.get(_POLICY) is None:
        rules = service.pop(_RULES, [])
        service[_POLICY] = {"default": "deny", "allow": rules} if rules else {"default": "allow"}
    denied = service[_POLICY].setdefault("deny", [])
    if written not in denied:
        denied.append(dict(written))


def _refuse_unless_allowed(rule: EndpointRule, policy: EndpointPolicy) -> None:
    verdict = policy.judge(rule.method, rule.path)
    # A pattern need not match itself as a path; then only the default rule decides, which is no conflict.
    if verdict.decision != "allow" and verdict.label != DEFAULT_LABEL:
        raise ConfigError(
            f"In the profile, {rule} would still be refused or asked about by {verdict.label}, which comes "
            "first.",
            hint="narrow that rule in the profile; without --save it holds for the session",
        )


def _policy_of(service: Mapping[str, Any]) -> EndpointPolicy:
    policy = service.get(_POLICY)
    if policy is None:
        allow = _rules(service.get(_RULES, ()))
        return EndpointPolicy("deny", allow=allow) if allow else ALLOW_ALL
    default = policy.get("default", "deny")
    deny, approve, allow = (_rules(policy.get(each, ())) for each in ("deny", "approve", "allow"))
    decision = default if isinstance(default, str) else default.get("decision", "deny")
    return EndpointPolicy(cast(PolicyDecision, decision), deny, approve, allow)


def _rules(entries: Sequence[Mapping[str, str]]) -> tuple[EndpointRule, ...]:
    return tuple(EndpointRule(each["method"], each["path"]) for each in entries)
