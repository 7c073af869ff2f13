"""Decide whether a request is forwarded (with or without a credential), tunnelled, intercepted or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from nono.audit.event import NetworkEventMode
from nono.policy.hosts.endpoint_scope import EndpointScope
from nono.policy.hosts.host_filter import Refuse
from nono.policy.hosts.upstream import Upstream
from nono.proxy.handshake import ssh_identification
from nono.proxy.http import refusal, target
from nono.proxy.http.message import MessageError, RequestHead
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.upstream_proxy import UpstreamProxy
from nono.proxy.verdict import phantoms
from nono.proxy.verdict.browser_check import check_browser
from nono.proxy.verdict.host_policy import HostPolicy, may_be_asked, own_port_refused, reaches_proxy
from nono.proxy.verdict.intercepted import entry_of, judge_intercepted
from nono.proxy.verdict.judge import Judge, is_open, other_port
from nono.proxy.verdict.routes import Phantom, Route, RouteTable
from nono.proxy.verdict.slots import Slots
from nono.proxy.verdict.verdict import (
    ConnectTarget,
    Entry,
    Forward,
    Intercept,
    Mechanism,
    Refused,
    Tunnel,
    Verdict,
)

_HTTPS_TEXT = "https forward-proxying is not supported; use CONNECT for https"


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Judges request heads against the routes, the host filter and the session token."""

    routes: RouteTable
    hosts: HostPolicy
    session_token: Phantom
    own_port: int
    intercepts: bool = False  # the session has a CA that clients inside trust
    upstream_proxy: UpstreamProxy | None = None
    require_auth: bool = True  # require the session token on proxy requests
    own_names: frozenset[str] | None = None  # of a listener that browsers can reach; None: they cannot
    _judge: Judge = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_judge", Judge(self.routes, self.hosts, self.session_token))

    def refused_since(self, verdict: Forward) -> str | None:
        """Return why these rules refuse a request that others allowed; None if they do not."""
        return self._judge.refused_since(verdict)

    def judge(self, head: RequestHead, inside: ConnectTarget | None = None) -> Verdict:
        """Judge one request. Nothing has been resolved, dialled or recorded yet.

        `inside` is the CONNECT the request came through, if its TLS was terminated here.
        """
        verdict = self._verdict(head, inside)
        if isinstance(verdict, Forward) and self._is_searched(verdict):
            # Imported here: few runs have a captured login.
            from nono.proxy.verdict.logins import phantoms as login_phantoms

            verdict = login_phantoms.captured(verdict, self.routes)
        if not isinstance(verdict, Refused):
            return verdict
        entry, answer = verdict.entry, verdict.refusal
        if entry.path is not None:
            path = phantoms.without_phantoms(entry.path, self.routes, self.session_token)
            entry = entry._replace(path=path)
        # After an upgrade request llhttp stops parsing, because the other protocol may have begun.
        return Refused(
            entry, answer._replace(closes=answer.closes or head.wants_upgrade), verdict.may_be_asked
        )

    def _is_searched(self, forward: Forward) -> bool:
        """Return True if the answer may hold the tokens of a login."""
        logins = self.routes.logins
        if not logins.captures(forward.origin.host):
            return False
        path = forward.request.target.partition(b"?")[0].decode("ascii")
        return logins.searches(forward.origin.host, path)

    def _verdict(self, head: RequestHead, inside: ConnectTarget | None) -> Verdict:
        try:
            if inside is not None:
                return judge_intercepted(self._judge, head, inside)
            if head.method == b"CONNECT":
                return self._connect(head)
            if head.target.startswith(b"/"):
                return self._reverse(head, head.target)
            lowered = head.target[:8].lower()
            if lowered.startswith(b"http://"):
                return self._absolute(head)
            if lowered == b"https://":
                return Refused(_entry(head), Refusal(400, _HTTPS_TEXT, plain=True))
        except MessageError as fault:
            answer = Refusal(fault.status, fault.reason)
            if inside is None:
                return Refused(_entry(head), answer)
            routes = self.routes.of_upstream(inside.host, inside.port)
            return Refused(entry_of(head, inside, head.target, routes), answer)
        return Refused(_entry(head), Refusal(400, "this proxy does not serve a request target of this form"))

    def _is_authorised(self, head: RequestHead) -> bool:
        return not self.require_auth or phantoms.proxy_authorised(head.headers, self.session_token)

    @property
    def _mechanism(self) -> Mechanism | None:
        return "proxy_authorization" if self.require_auth else None

    # -- CONNECT

    def _connect(self, head: RequestHead) -> Verdict:
        if head.wants_upgrade:
            return Refused(_entry(head), _upgrade_refused())
        host, port = target.parse_authority(head.target)
        mode: NetworkEventMode = (
            "external"
            if self.upstream_proxy is not None and self.upstream_proxy.carries(host, port)
            else "connect"
        )
        entry = Entry(mode, host, port, "CONNECT", mechanism=self._mechanism)
        if not self._is_authorised(head):
            return Refused(entry, _token_required(head))
        if reaches_proxy(host, port, self.own_port):
            return Refused(entry, refusal.host_denied(own_port_refused(host), host))
        routes, scopes = self.routes.of_upstream(host, port), self.routes.scopes_of(host)
        is_intercepted = self.routes.also_intercepts is not None and self.routes.also_intercepts(host)
        logins = self.routes.logins
        is_captured = logins.captures(host)
        only_ssh = is_captured and port == ssh_identification.PORT and not logins.serves(host, port)
        if routes or scopes or is_intercepted or (is_captured and not only_ssh):
            return self._intercept(entry, host, port, routes, scopes)
        verdict = self.hosts.judge_name(host, port)
        if isinstance(verdict, Refuse):
            return Refused(entry, refusal.host_denied(verdict, host), may_be_asked(verdict, host))
        raw = not only_ssh and self.hosts.allows_raw(host, port)
        entry = entry._replace(rule=verdict.rule, origin=verdict.origin)
        return Tunnel(entry, host, port, self.hosts, raw=raw, only_ssh=only_ssh)

    def _intercept(
        self, entry: Entry, host: str, port: int, routes: Sequence[Route], scopes: Sequence[EndpointScope]
    ) -> Verdict:
        entry = entry._replace(mode="connect_intercept", route_id=routes[0].service if routes else None)
        logins = self.routes.logins
        if scopes and not routes and not any(scope.port == port for scope in scopes):
            return Refused(entry, other_port(host, port, scopes))
        if not self.intercepts:
            return Refused(entry._replace(mode="connect"), _bypass_refused(host, routes))
        hosts = self._judge.hosts_of(routes[0], host) if routes else self.hosts
        if logins.serves(host, port):
            hosts = self.hosts.for_route(host, port, "login provider")
        verdict = hosts.judge_name(host, port)
        if isinstance(verdict, Refuse):
            return Refused(entry, refusal.host_denied(verdict, host))
        entry = entry._replace(rule=verdict.rule, origin=verdict.origin)
        return Intercept(entry, ConnectTarget(host, port))

    # -- the proxy's own paths, and plain http

    def _absolute(self, head: RequestHead) -> Verdict:
        parts = target.parse_absolute(head.target)
        host, port = parts.host, parts.port
        if any(target.parse_authority(value, 80) != (host, port) for value in head.values(b"host")):
            raise MessageError("the Host field names another host than the target")
        if reaches_proxy(host, port, self.own_port):
            return self._reverse(head, parts.path)
        if head.wants_upgrade:
            return Refused(_entry(head), _upgrade_refused())
        entry = _entry(head, parts.path)._replace(
            target=host,
            port=port,
            mechanism=self._mechanism,
            credential_active=False,
        )
        if not self._is_authorised(head):
            return Refused(entry, _token_required(head))
        routes, scopes = self.routes.of_upstream(host, port), self.routes.scopes_of(host)
        path = parts.path
        if scopes or routes:  # a rule may depend on how the path is read, and where a key is on it
            path = target.canonical(path, lenient=not scopes and all(map(is_open, routes)))
        return self._judge.without_credential(head, entry, Upstream("http", host, port), path)

    def _reverse(self, head: RequestHead, path: bytes) -> Verdict:
        if self.own_names is not None:
            refused = check_browser(head, self.own_names)
            if refused is not None:
                return Refused(_entry(head, path), refused)
        service, rest = target.split_service(path)
        route = self.routes.of_service(service)
        if route is None:
            entry = _entry(head, path)._replace(target=refusal.one_line(service))
            # Others reach a proxy of its own too, and have shown nothing yet.
            return Refused(entry, _unknown_service(self.routes if self.own_names is None else None))
        origin = route.origin
        entry = Entry(
            mode="reverse",
            target=service,
            port=origin.port,
            method=head.method.decode("ascii"),
            path=f"/{service}{target.for_record(phantoms.without_path_keys((route,), rest))}",
            route_id=service,
            upstream=f"{origin.host}:{origin.port}",
            credential_active=route.credential is not None,
        )
        try:
            lenient = not self._judge.has_rules(route, origin)
            sent = target.upstream_target(origin.base_path, rest, lenient=lenient)
            return self._judge.with_credential(head, entry, route, origin, Slots(head.headers, sent))
        except MessageError as fault:
            return Refused(entry, Refusal(fault.status, fault.reason, origin.host))


def _token_required(head: RequestHead) -> Refusal:
    return refusal.token_required(is_asked_for=not head.values(b"proxy-authorization"))


def _entry(head: RequestHead, path: bytes | None = None) -> Entry:
    """Return the entry of a request whose destination is not known yet."""
    recorded = target.for_record(head.target if path is None else path)
    mode: NetworkEventMode = "connect" if head.method == b"CONNECT" else "reverse"
    return Entry(mode, "", 0, head.method.decode("ascii"), recorded)


def _upgrade_refused() -> Refusal:
    return Refusal(501, "protocol upgrades are not supported here", category="unsupported_upgrade")


def _bypass_refused(host: str, routes: Sequence[Route]) -> Refusal:
    if not routes:
        return Refusal(
            403,
            f"{host} is granted for some paths only, and paths inside TLS cannot be seen here",
            host,
            "endpoints",
            hint="the start-up messages say why TLS is not intercepted",
            category="connect_bypasses_l7",
        )
    route = routes[0]
    return Refusal(
        403,
        f"{host} is reached through its credential route only",
        host,
        f"credential route {route.service!r}",
        hint=f"use the base URL in {route.base_url_variable or route.service}",
        category="connect_bypasses_l7",
    )


def _unknown_service(listed: RouteTable | None) -> Refusal:
    hint = "the file that `nono proxy` names sets the base URL of each service"
    if listed is not None:
        known = ", ".join(sorted(route.service for route in listed.routes)) or "none"
        hint = f"active routes: {known}"
    return Refusal(404, "no credential route has that name", hint=hint)
