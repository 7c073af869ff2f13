"""Answer `nono why` about hosts and requests, with the functions that also decide access."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address

from nono.named_tuple import NamedTuple
from nono.policy.effective_policy import EffectivePolicy
from nono.policy.endpoints.overrides import overridden, overriding_parameter
from nono.policy.endpoints.policy import EndpointPolicy, most_allowed
from nono.policy.endpoints.remedy import host_option, remedy, service_option
from nono.policy.hosts.endpoint_scope import EndpointScope, at_another_port
from nono.policy.hosts.host_filter import Allow, HostFilter, Refuse
from nono.policy.hosts.hostname import HostError, canonical_host, ip_literal
from nono.policy.hosts.upstream import Upstream
from nono.policy.ports import PortGrants, PortRange
from nono.policy.services import minting
from nono.policy.why.paths import Answer

_ANY_HOST = IPv4Address("203.0.113.1")  # reserved for documentation (RFC 5737), so no host has it


def why_host(rules: EffectivePolicy, host: str, port: int) -> Answer:
    """Explain whether the child may reach `host` (a name or an address) on `port`; resolves nothing."""
    capabilities, hosts = rules.capabilities, rules.hosts
    if capabilities.restricts_network:
        rule = _past_the_proxy(capabilities.ports, host, port)
        if rule is not None:
            return Answer("allowed", "port_granted", source=rule, details=f"a direct connection, by {rule}")
        if hosts is None:
            return _blocked(capabilities.ports, host, port)
    if hosts is None:
        return Answer("allowed", "network_allowed")
    through_route = _through_route(rules, hosts, host, port)
    if through_route is not None:
        return through_route
    match hosts.judge_unresolved(host, port):
        case Allow(rule, origin):
            details = f"allowed by {rule}" if rule else "no allow list was asked for"
            scopes = _scopes(rules, host)
            listed = [rule for scope in scopes for rule in scope.endpoints.allow]
            of_route = any(_is_upstream(route.upstream, host, port) for route in rules.routes)
            if scopes and not of_route and all(scope.port != port for scope in scopes):
                return Answer(
                    "denied",
                    "endpoint_restricted",
                    details=at_another_port(host, port, ((scope.scheme, scope.port) for scope in scopes)),
                    policy_source=scopes[0].endpoints.origin,
                    endpoint_rules=tuple((rule.method, rule.path) for rule in listed),
                )
            return Answer(
                "allowed",
                "endpoint_restricted" if listed else "proxy_allowed",
                source=origin,
                details=details + ("; on the paths of its endpoint rules only" if listed else ""),
                endpoint_rules=tuple((rule.method, rule.path) for rule in listed),
            )
        case Refuse(reason, rule, origin, hint):
            return Answer(
                "denied",
                "proxy_filtered",
                details=reason,
                policy_source=f"{rule} ({origin})" if rule else origin,
                suggested_flag=hint,
            )


def why_request(rules: EffectivePolicy, host: str, port: int, method: str, path: str) -> Answer:
    """Explain whether the child may request `path`, which is canonical, from `host`."""
    path, _, query = path.partition("?")
    answer = why_host(rules, host, port)
    if answer.status != "allowed" or rules.hosts is None:
        return answer
    name = canonical_host(host)
    scopes = [
        _Candidate(scope.endpoints, host_option(str(Upstream(scope.scheme, name, scope.port)), path))
        for scope in _scopes(rules, host)
    ]
    through_routes = [
        _Candidate(route.endpoints, service_option(route.name, method, path))
        for route in rules.routes
        # A credential without rules does not open paths beyond those granted for the host.
        if route.upstream.covers(name, port) and not (route.endpoints.allows_all and scopes)
    ]
    candidates = through_routes or scopes
    if not candidates:
        return answer
    judged = _judged(candidates, method, path, answer)
    if through_routes:
        _, verdict = most_allowed([each.policy for each in candidates], method, path)
        if minting.is_refused(name, method, path, verdict):
            return Answer("denied", "endpoint_restricted", details=minting.sentence(method, path))
    parameter = overriding_parameter(query)
    if judged.status == "denied" or parameter is None or all(each.policy.allows_all for each in candidates):
        return judged
    return Answer("denied", "endpoint_restricted", details=overridden(parameter))


class _Candidate(NamedTuple):
    """Rules that cover the host of a request, and the flag that would add a rule for it, if any."""

    policy: EndpointPolicy
    flag: str | None


def _judged(candidates: Sequence[_Candidate], method: str, path: str, whole_host: Answer) -> Answer:
    policy, verdict = most_allowed([each.policy for each in candidates], method, path)
    flag = next(each.flag for each in candidates if each.policy is policy)
    sentence = policy.explain(method, path, verdict)
    rules = tuple((rule.method, rule.path) for rule in policy.allow)
    match verdict.decision:
        case "allow":
            return whole_host._replace(details=sentence, endpoint_rules=rules)
        case "approve":
            return Answer(
                "approval_required", "endpoint_restricted", details=sentence, policy_source=policy.origin
            )
        case "deny":
            is_enough = remedy(policy, verdict, method, path, flag) == flag
            return Answer(
                "denied",
                "endpoint_restricted",
                details=sentence,
                policy_source=policy.origin,
                suggested_flag=flag if is_enough else None,
                endpoint_rules=rules,
            )


def _scopes(rules: EffectivePolicy, host: str) -> list[EndpointScope]:
    name = canonical_host(host)
    return [scope for scope in rules.scopes if scope.covers(name)]


def _through_route(rules: EffectivePolicy, hosts: HostFilter, host: str, port: int) -> Answer | None:
    """Return the answer for the upstream of a credential service, reached through the service's route."""
    for route in rules.routes:
        if not route.is_login and _is_upstream(route.upstream, host, port):
            narrowed = hosts.for_route(host, port, f"service {route.name}")
            if isinstance(narrowed.judge_name(host, port), Allow):
                variables = f" ({', '.join(route.base_url_env_vars)})" if route.base_url_env_vars else ""
                details = f"the credential service {route.name} reaches it through its own route{variables}"
                return Answer("allowed", "proxy_allowed", source=route.origin, details=details)
    return None


def _is_upstream(upstream: Upstream, host: str, port: int) -> bool:
    try:
        return upstream.covers(canonical_host(host), port)
    except HostError:
        return False


def _past_the_proxy(ports: PortGrants, host: str, port: int) -> str | None:
    """Return the rule that allows a direct connection; localhost is known, no other name is resolved."""
    try:
        name = "127.0.0.1" if host == "localhost" else canonical_host(host)
    except HostError:
        return None
    # A name resolves to some address, and connect ports apply to any address.
    return ports.to_connect(ip_literal(name) or _ANY_HOST, port)


def _blocked(ports: PortGrants, host: str, port: int) -> Answer:
    details = f"the network is blocked {'but for the ports that are granted' if any(ports) else 'altogether'}"
    would_open = _past_the_proxy(PortGrants(open=(PortRange(port, port),)), host, port)
    flag = f"--open-port {port}" if would_open else f"--allow-connect-port {port}" if any(ports) else None
    return Answer("denied", "network_blocked", details=details, suggested_flag=flag)
