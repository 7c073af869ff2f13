"""Judge a request whose destination is known, with the credential of its route or without any."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nono.policy.endpoints.deciding import (
    RouteRules,
    is_at_or_below,
    judged_with_credential,
    rules_without_credential,
)
from nono.policy.endpoints.policy import EndpointPolicy, EndpointVerdict, most_allowed
from nono.policy.endpoints.remedy import host_option, remedy, service_option
from nono.policy.hosts.endpoint_scope import EndpointScope, at_another_port
from nono.policy.hosts.host_filter import Allow, Refuse
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import NO_IDENTITY, TlsIdentity
from nono.proxy.http import refusal, websocket
from nono.proxy.http.message import Header, RequestHead
from nono.proxy.http.refusal import Refusal
from nono.proxy.usage.shape import metered
from nono.proxy.verdict import phantoms, rewrite
from nono.proxy.verdict.host_policy import HostPolicy, may_be_asked, refused_since
from nono.proxy.verdict.logins.table import LoginEndpoint
from nono.proxy.verdict.overrides import override_refused
from nono.proxy.verdict.phantoms import Presented
from nono.proxy.verdict.refused_calls import beyond_limits, minted, uncounted_parts
from nono.proxy.verdict.routes import Phantom, Route, RouteTable
from nono.proxy.verdict.slots import Slots
from nono.proxy.verdict.verdict import Capture, Entry, Forward, Refused, Verdict


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges by routes, host filter and session token. Paths are canonical and include the base path."""

    routes: RouteTable
    hosts: HostPolicy
    session_token: Phantom
    _of_route: Mapping[str, HostPolicy] = field(init=False, repr=False, compare=False)
    _names: Mapping[str, Allow | Refuse] = field(init=False, repr=False, compare=False)  # their verdicts

    def __post_init__(self) -> None:
        named = [route for route in self.routes.routes if not route.origin.is_wildcard]
        hosts = {route.service: self._new_hosts_of(route, route.origin.host) for route in named}
        object.__setattr__(self, "_of_route", hosts)
        verdicts = {
            route.service: hosts[route.service].judge_name(route.origin.host, route.origin.port)
            for route in named
        }
        object.__setattr__(self, "_names", verdicts)

    def _new_hosts_of(self, route: Route, host: str) -> HostPolicy:
        return self.hosts.for_route(host, route.origin.port, f"credential route {route.service!r}")

    def hosts_of(self, route: Route, host: str) -> HostPolicy:
        """Return the filter of a route: the same denials, and only its upstream allowed."""
        # Filters below a wildcard are not kept, because a command can name any number of hosts there.
        return self._of_route.get(route.service) or self._new_hosts_of(route, host)

    def with_credential(
        self, head: RequestHead, entry: Entry, route: Route, origin: Upstream, slots: Slots
    ) -> Verdict:
        """Judge a request for `route`. Authentication is checked before anything else."""
        if route.credential is None:
            return Refused(entry, refusal.no_key(route.service, origin.host))
        shown = self._shown(route, slots)
        entry = entry._replace(mechanism="phantom_header")
        if isinstance(shown, Refusal):
            return Refused(entry, shown)
        entry = entry._replace(mechanism=shown.mechanism, injection_mode=route.injection_mode)
        hosts = self.hosts_of(route, origin.host)
        host = self._names.get(route.service) or hosts.judge_name(origin.host, origin.port)
        if isinstance(host, Refuse):
            return Refused(entry, refusal.host_denied(host, origin.host))
        if head.method == b"TRACE":
            return Refused(entry, _trace_refused(origin.host))
        method, bare = head.method.decode("ascii"), _bare(shown.target)
        policy, verdict = self._by_rules(route, origin, method, bare)
        entry = _with_rule(entry, host, policy, verdict)
        websocket_key, has_rules = websocket.key_of(head), self.has_rules(route, origin)
        is_websocket = websocket_key is not None
        refused = (
            self._endpoint_refused(policy, verdict, origin, method, bare)
            or minted(route, origin.host, method, bare, verdict)
            or beyond_limits(route.service, route, origin.host, method, bare, is_websocket=is_websocket)
            or uncounted_parts(route.service, route, origin.host, head, shown.target)
            or (override_refused(head.headers, shown.target, origin.host) if has_rules else None)
        )
        if refused is not None:
            return Refused(entry, refused)
        request = rewrite.outgoing(head, shown.target, origin, route)
        left_over = phantoms.left_over(request, origin.host, self.routes, self.session_token, (route,))
        if left_over is not None:
            return Refused(entry, left_over)
        return Forward(
            entry,
            origin,
            request,
            hosts,
            route,
            approval=verdict if verdict.decision == "approve" else None,
            drains=route.drains and not has_rules,
            provider=metered(method, origin.host, bare),
            websocket_key=websocket_key,
            presented=shown.fields,
        )

    def _shown(self, route: Route, slots: Slots) -> Presented | Refusal:
        if route.login is not None:
            # Imported here and below: few runs have a captured login.
            from nono.proxy.verdict.logins import phantoms as login_phantoms

            return login_phantoms.check(
                route, route.login, slots.headers, slots.target, self.routes, self.session_token
            )
        stray = self._stray_login(slots.headers, slots.target, route.origin.host)
        return stray or phantoms.check(route, slots, self.routes)

    def _stray_login(self, headers: Sequence[Header], path: bytes, host: str) -> Refusal | None:
        if not self.routes.logins.logins:
            return None
        from nono.proxy.verdict.logins import phantoms as login_phantoms

        return login_phantoms.check_elsewhere(headers, path, host)

    def at_token_endpoint(
        self, head: RequestHead, entry: Entry, origin: Upstream, path: bytes, at: LoginEndpoint
    ) -> Verdict:
        """Judge a login's request for its tokens. Any client that may use the proxy may log in."""
        from nono.proxy.verdict.logins import phantoms as login_phantoms

        name = at.login.provider.name
        entry = entry._replace(route_id=at.login.provider.consumer, upstream=f"{origin.host}:{origin.port}")
        fields = login_phantoms.presented(
            at.credential, head.headers, path, origin.host, self.routes, self.session_token
        )
        if isinstance(fields, Refusal):
            return Refused(entry, fields)
        hosts = self.hosts.for_route(origin.host, origin.port, f"login provider {name!r}")
        host = hosts.judge_name(origin.host, origin.port)
        if isinstance(host, Refuse):
            return Refused(entry, refusal.host_denied(host, origin.host))
        entry = _with_rule(entry, host)
        if head.method == b"TRACE":
            return Refused(entry, _trace_refused(origin.host))
        if websocket.key_of(head) is not None:
            return Refused(entry, login_phantoms.no_websocket(origin.host))
        if (overrides := override_refused(head.headers, path, origin.host)) is not None:
            return Refused(entry, overrides)
        request = rewrite.outgoing(head, path, origin, None)
        return Capture(Forward(entry, origin, request, hosts, presented=fields), at)

    def _by_rules(
        self, route: Route, origin: Upstream, method: str, path: str
    ) -> tuple[EndpointPolicy, EndpointVerdict]:
        """Judge by the rules of the route or of its host; rules of a sibling route can only deny."""
        siblings = [
            RouteRules(each.endpoints, each.origin.base_path)
            for each in self.routes.of_upstream(origin.host, origin.port)
            if each is not route
        ]
        scopes = [each.endpoints for each in self.routes.scopes_of(origin.host)]
        own = RouteRules(route.endpoints, route.origin.base_path)
        return judged_with_credential(own, siblings, scopes, method, path)

    def refused_since(self, verdict: Forward) -> str | None:
        """Return why these rules refuse a request that others allowed; None if they do not.

        A request that nobody was asked about is refused by a rule that asks, too.
        """
        origin = verdict.origin
        reason = refused_since(verdict.hosts, origin.host, origin.port)
        if reason is not None:
            return reason
        method, path = verdict.entry.method, _bare(verdict.request.target)
        if verdict.route is not None:
            route = self.routes.named(verdict.route.service)
            policy, now = self._by_rules(route, origin, method, path)
            handed_out = minted(route, origin.host, method, path, now)
            if handed_out is not None and verdict.approval is None:
                return f"the rules changed: {handed_out.error}"
            has_rules = self.has_rules(route, origin)
        else:
            rules = self._rules_without_credential(origin)
            if not rules:
                return None
            policy, now = most_allowed(rules, method, path)
            has_rules = True
        if now.decision != "allow" and (now.decision != "approve" or verdict.approval is None):
            return f"the rules changed: {policy.explain(method, path, now)}"
        if not has_rules:
            return None
        replaced = override_refused(verdict.request.headers, verdict.request.target, origin.host)
        return None if replaced is None else f"the rules changed: {replaced.error}"

    def _rules_without_credential(self, origin: Upstream) -> Sequence[EndpointPolicy]:
        of_routes = (route.endpoints for route in self.routes.of_upstream(origin.host, origin.port))
        return rules_without_credential(
            of_routes, [scope.endpoints for scope in self.routes.scopes_of(origin.host)]
        )

    def has_rules(self, route: Route, origin: Upstream) -> bool:
        """Return True if a rule of the route, its siblings or the host depends on how a request is read."""
        routes, scopes = self.routes.of_upstream(origin.host, origin.port), self.routes.scopes_of(origin.host)
        return bool(scopes) or not all(map(is_open, (route, *routes)))

    def _carried_key(
        self, head: RequestHead, path: bytes, host: str, routes: Sequence[Route]
    ) -> Refusal | None:
        """Refuse a request that carries a key where none is redeemed. routes: those of the host."""
        token = self.session_token
        stray = phantoms.check_elsewhere(head.headers, path, host, self.routes, token, here=routes)
        stray = stray or self._stray_login(head.headers, path, host)
        # A request inside a CONNECT that presents a key is judged for its route instead.
        if stray is None and routes and phantoms.owners(routes, Slots(head.headers, path), self.routes)[1]:
            return _own_key(routes[0], host)
        return stray

    def without_credential(self, head: RequestHead, entry: Entry, origin: Upstream, path: bytes) -> Verdict:
        """Judge a request without any key, by the host filter and the rules of its host."""
        host, port = origin.host, origin.port
        routes, scopes = self.routes.of_upstream(host, port), self.routes.scopes_of(host)
        carried = self._carried_key(head, path, host, routes)
        if carried is not None:
            return Refused(entry, carried)
        named = self.hosts.judge_name(host, port)
        if isinstance(named, Refuse):
            is_inside = entry.mode == "connect_intercept"  # a phantom would have opened the host
            answer = _keyless(routes, host) if is_inside and routes else refusal.host_denied(named, host)
            return Refused(entry, answer, not is_inside and may_be_asked(named, host))
        entry = _with_rule(entry, named)
        if scopes and not any((scope.scheme, scope.port) == (origin.scheme, port) for scope in scopes):
            # The grant covers paths on one scheme and port; other ports of the host are not part of it.
            return Refused(entry, other_port(host, port, scopes))
        rules = self._rules_without_credential(origin)
        approval = None
        if rules:
            method, bare = head.method.decode("ascii"), _bare(path)
            policy, verdict = most_allowed(rules, method, bare)
            entry = _with_rule(entry, named, policy, verdict)
            refused = self._endpoint_refused(policy, verdict, origin, method, bare)
            refused = refused or override_refused(head.headers, path, host)
            if refused is not None:
                return Refused(entry, refused)
            approval = verdict if verdict.decision == "approve" else None
        request = rewrite.outgoing(head, path, origin, None)
        left_over = phantoms.left_over(request, host, self.routes, self.session_token, routes)
        if left_over is not None:
            return Refused(entry, left_over)
        return Forward(
            entry,
            origin,
            request,
            self.hosts,
            trusted=TlsIdentity(ca=routes[0].tls.ca) if routes else NO_IDENTITY,
            approval=approval,
            drains=not rules and not routes,  # a leftover body could gain nothing there
            websocket_key=websocket.key_of(head),
        )

    def _endpoint_refused(
        self, policy: EndpointPolicy, verdict: EndpointVerdict, origin: Upstream, method: str, path: str
    ) -> Refusal | None:
        if verdict.decision != "deny":
            return None
        hint = remedy(policy, verdict, method, path, self._option(policy, origin, method, path))
        return refusal.endpoint_denied(origin.host, verdict, policy.origin, method, path, hint)

    def _option(self, policy: EndpointPolicy, origin: Upstream, method: str, path: str) -> str | None:
        """Return the option that adds a rule to `policy`, one of a route or of a host; None: none does."""
        for route in self.routes.of_upstream(origin.host, origin.port):
            if route.endpoints is policy:
                return service_option(route.service, method, path)
        for scope in self.routes.scopes_of(origin.host):
            if scope.endpoints is policy:
                return host_option(str(Upstream(scope.scheme, origin.host, scope.port)), path)
        return None


def _with_rule(
    entry: Entry, host: Allow, policy: EndpointPolicy | None = None, verdict: EndpointVerdict | None = None
) -> Entry:
    """Return the entry with the rule that allows the request: that of its path, or else that of its host."""
    if policy is None or verdict is None or policy.allows_all:
        return entry._replace(rule=host.rule, origin=host.origin)
    return entry._replace(rule=verdict.label, origin=policy.origin or None)


def is_open(route: Route) -> bool:
    """Return True if nothing about `route` depends on how a path is read, so unusual spellings may pass."""
    return route.endpoints.allows_all and not route.upgrades and not route.limits.count_usage


def is_below(route: Route, path: bytes) -> bool:
    """Return True if `path` is the route's base path or below it."""
    return is_at_or_below(route.origin.base_path, path.decode("ascii"))


def _bare(path: bytes) -> str:
    return path.partition(b"?")[0].decode("ascii")


def _keyless(routes: Sequence[Route], host: str) -> Refusal:
    keyless = next((route for route in routes if route.credential is None), None)
    if keyless is not None:
        return refusal.no_key(keyless.service, host)
    return phantoms.missing(routes[0])


def _own_key(route: Route, host: str) -> Refusal:
    if route.credential is None:
        return refusal.no_key(route.service, host)
    to = route.base_url_variable or route.service
    return phantoms.no_phantom(route, host, f"send the placeholder to the URL in {to}, or no key at all")


def _trace_refused(host: str) -> Refusal:
    # RFC 9110 section 9.3.8: the response repeats the request's head, which holds the credential.
    return Refusal(405, "TRACE would show the credential", host, category="endpoint_policy")


def other_port(host: str, port: int, scopes: Sequence[EndpointScope]) -> Refusal:
    """Refuse a port of a host whose granted paths are on other ports."""
    return Refusal(
        403,
        at_another_port(host, port, ((scope.scheme, scope.port) for scope in scopes)),
        host,
        "endpoints",
        scopes[0].endpoints.origin or None,
        category="endpoint_policy",
    )
