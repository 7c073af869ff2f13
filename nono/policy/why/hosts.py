"""Answer `nono why` about hosts and requests, with the functions that also decide access."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Address

from nono.named_tuple import NamedTuple
from nono.policy.effective_policy import EffectivePolicy, Route
from nono.policy.endpoints.deciding import (
    RouteRules,
    is_at_or_below,
    judged_with_credential,
    rules_without_credential,
)
from nono.policy.endpoints.overrides import overridden, overriding_parameter
from nono.policy.endpoints.policy import EndpointPolicy, EndpointVerdict, most_allowed
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
    """Explain whether the command may reach `host` (a name or an address) on `port`; resolves nothing."""
    capabilities, hosts = rules.capabilities, rules.hosts
    if capabilities.restricts_network:
        rule = _past_the_proxy(capabilities.ports, host, port)
        if rule is not None:
            return Answer("allowed", "port_granted", source=rule, details=f"a direct connection, by {rule}")
        if hosts is None:
            return _blocked(capabilities.ports, host, port)
    if hosts is None:
        return Answer("allowed", "network_allowed", details=f"host {host}, port {port}")
    answer = _through_route(rules, hosts, host, port) or _by_filter(rules, hosts, host, port)
    if answer.suggested_flag is None or not _is_opened_by_its_port(host, port):
        return answer
    # Few clients ask a proxy for this machine (NO_PROXY names it), and a database speaks no HTTP.
    return answer._replace(suggested_flag=f"--open-port {port}")


def _by_filter(rules: EffectivePolicy, hosts: HostFilter, host: str, port: int) -> Answer:
    """Return the answer for a request without a credential."""
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


# Says why a request to a route (host, method, path) is refused whatever its rules allow; None: it is not.
Beyond = Callable[[Route, str, str, str], str | None]


def nothing_beyond(route: Route, host: str, method: str, path: str) -> str | None:
    return None


def why_request(
    rules: EffectivePolicy, host: str, port: int, method: str, path: str, beyond: Beyond = nothing_beyond
) -> Answer:
    """Explain whether the command may request `path`, which is canonical, from `host`.

    Where a credential is for the path, the request has it.
    """
    path, _, query = path.partition("?")
    answer, hosts = why_host(rules, host, port), rules.hosts
    if answer.status != "allowed" or hosts is None or answer.reason == "port_granted":
        return answer
    name = canonical_host(host)
    scopes = _scopes(rules, host)
    routes = [route for route in rules.routes if route.upstream.covers(name, port)]
    if not routes and not scopes:
        return answer
    asked = _Asked(name, port, method, path, overriding_parameter(query), beyond)
    ways = [*_with_credentials(asked, routes, scopes, answer)]
    if not ways:  # no credential is for this path
        return _without(asked, routes, scopes, rules, hosts)
    statuses = [way.status for way in ways]
    for status in ("allowed", "approval_required"):
        if status in statuses:
            return ways[statuses.index(status)]
    return ways[0]


def reads_paths(rules: EffectivePolicy, host: str, port: int) -> bool:
    """Return True if a rule for the host depends on how a path is read.

    The proxy refuses spellings there that parsers may read differently.
    """
    name = canonical_host(host)
    routes = (route for route in rules.routes if route.upstream.covers(name, port))
    return bool(_scopes(rules, host)) or not all(map(_is_open, routes))


def sees_requests(rules: EffectivePolicy, host: str, port: int) -> bool:
    """Return True if the proxy judges each request to the host, because a rule or a credential is for it."""
    name = canonical_host(host)
    return bool(_scopes(rules, host)) or any(route.upstream.covers(name, port) for route in rules.routes)


def _is_open(route: Route) -> bool:
    """Return True if nothing about the route depends on how a path is read (see nono.proxy.verdict.judge)."""
    is_limited = route.upgrades or route.limits.count_usage
    return route.endpoints.allows_all and not is_limited and not route.is_login


class _Asked(NamedTuple):
    """A request that is asked about."""

    host: str  # canonical
    port: int
    method: str
    path: str  # without its query
    parameter: str | None  # of its query, if some servers would take it for the method
    beyond: Beyond

    def judged(
        self, policy: EndpointPolicy, verdict: EndpointVerdict, flag: str | None, whole: Answer
    ) -> Answer:
        """Return the answer of endpoint rules. flag: what would add a rule for the request, if anything."""
        sentence = policy.explain(self.method, self.path, verdict)
        rules = tuple((rule.method, rule.path) for rule in policy.allow)
        match verdict.decision:
            case "allow":
                return whole._replace(details=sentence, endpoint_rules=rules)
            case "approve":
                return Answer(
                    "approval_required", "endpoint_restricted", details=sentence, policy_source=policy.origin
                )
            case "deny":
                is_enough = remedy(policy, verdict, self.method, self.path, flag) == flag
                return Answer(
                    "denied",
                    "endpoint_restricted",
                    details=sentence,
                    policy_source=policy.origin,
                    suggested_flag=flag if is_enough else None,
                    endpoint_rules=rules,
                )

    def unless_overridden(self, answer: Answer, *, has_rules: bool) -> Answer:
        if answer.status == "denied" or self.parameter is None or not has_rules:
            return answer
        return Answer("denied", "endpoint_restricted", details=overridden(self.parameter))

    def option(self, scope: EndpointScope) -> str | None:
        return host_option(str(Upstream(scope.scheme, self.host, scope.port)), self.path)


def _with_credentials(
    asked: _Asked, routes: Sequence[Route], scopes: Sequence[EndpointScope], whole: Answer
) -> Iterator[Answer]:
    """Yield the answer for the request with the credential of each route that is for its path."""
    has_rules = bool(scopes) or not all(route.endpoints.allows_all for route in routes)
    for route in routes:
        if not is_at_or_below(route.upstream.base_path, asked.path):
            continue
        policy, verdict = judged_with_credential(
            _rules_of(route),
            [_rules_of(each) for each in routes if each is not route],
            [scope.endpoints for scope in scopes],
            asked.method,
            asked.path,
        )
        if (details := _minted(asked, route, verdict)) is not None:
            yield Answer("denied", "endpoint_restricted", details=details)
            continue
        of_scope = next((asked.option(scope) for scope in scopes if scope.endpoints is policy), None)
        owner = next((each for each in routes if each.endpoints is policy), route)
        flag = of_scope or service_option(owner.name, asked.method, asked.path)
        answer = asked.judged(policy, verdict, flag, whole)
        details = asked.beyond(route, asked.host, asked.method, asked.path)
        if answer.status != "denied" and details is not None:
            yield Answer("denied", "endpoint_restricted", details=details, policy_source=route.origin)
            continue
        yield asked.unless_overridden(answer, has_rules=has_rules)


def _without(
    asked: _Asked,
    routes: Sequence[Route],
    scopes: Sequence[EndpointScope],
    rules: EffectivePolicy,
    hosts: HostFilter,
) -> Answer:
    """Return the answer for the request without a credential."""
    whole = _by_filter(rules, hosts, asked.host, asked.port)
    if whole.status != "allowed" or (scopes and all(scope.port != asked.port for scope in scopes)):
        if not routes:
            return whole
        first = routes[0]
        details = f"the credential of '{first.name}' is for {first.upstream} and what is below it"
        return Answer("denied", "endpoint_restricted", details=details, policy_source=first.origin)
    deciding = rules_without_credential(
        (route.endpoints for route in routes), [scope.endpoints for scope in scopes]
    )
    if not deciding:
        return whole
    policy, verdict = most_allowed(deciding, asked.method, asked.path)
    flag = next((asked.option(scope) for scope in scopes if scope.endpoints is policy), None)
    return asked.unless_overridden(asked.judged(policy, verdict, flag, whole), has_rules=True)


def _minted(asked: _Asked, route: Route, verdict: EndpointVerdict) -> str | None:
    """Return why a request that hands out a key is refused, if it is."""
    if route.upstream.is_wildcard and minting.is_aws_key_service(asked.host):
        return minting.sentence_of_host(asked.host)
    if minting.is_refused(asked.host, asked.method, asked.path, verdict):
        return minting.sentence(asked.method, asked.path)
    return None


def _rules_of(route: Route) -> RouteRules:
    return RouteRules(route.endpoints, route.upstream.base_path)


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
    if _is_opened_by_its_port(host, port):
        flag: str | None = f"--open-port {port}"
    else:
        flag = f"--allow-connect-port {port}" if any(ports) else None
    return Answer("denied", "network_blocked", details=details, suggested_flag=flag)


def _is_opened_by_its_port(host: str, port: int) -> bool:
    return _past_the_proxy(PortGrants(open=(PortRange(port, port),)), host, port) is not None
