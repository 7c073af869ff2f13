"""What becomes of a request: forwarded, with a credential or without, tunnelled, or refused and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from nono.policy.network import Refuse
from nono.proxy import phantom_check, refusal, rewrite, target
from nono.proxy.filter import HostPolicy, own_port_refused, reaches_proxy
from nono.proxy.message import MessageError, RequestHead
from nono.proxy.refusal import Refusal
from nono.proxy.route import Origin, Phantom, Route, RouteTable


@dataclass(frozen=True, slots=True)
class Entry:
    """What the audit log will say about a request, apart from the decision."""

    mode: Literal["connect", "reverse"]
    target: str  # the host, or on the reverse path the service
    port: int
    method: str
    path: str | None = None  # without the values of its query
    route_id: str | None = None
    upstream: str | None = None
    mechanism: Literal["proxy_authorization", "phantom_header"] | None = None
    credential_active: bool | None = None

    @property
    def injection_mode(self) -> str | None:
        return "header" if self.credential_active else None


@dataclass(frozen=True, slots=True)
class Refused:
    entry: Entry
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class Forward:
    """Send head, then the body, to origin once its addresses have been vetted."""

    entry: Entry
    origin: Origin
    head: bytes = field(repr=False)  # finished, credential included
    hosts: HostPolicy  # vets the addresses
    route: Route | None = None

    @property
    def credentialed(self) -> bool:
        return self.route is not None

    @property
    def tls_ca(self) -> str | None:
        return None if self.route is None else self.route.tls_ca


@dataclass(frozen=True, slots=True)
class Tunnel:
    """Connect to host:port once its addresses have been vetted, and pass TLS for that host through."""

    entry: Entry
    host: str
    port: int
    hosts: HostPolicy  # vets the addresses
    raw: bool  # anything may be spoken, because the profile names this host:port as raw


Verdict = Forward | Tunnel | Refused

_HTTPS_TEXT = "https forward-proxying is not supported; use CONNECT for https"


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Judges request heads against the routes, the host filter and the session token."""

    routes: RouteTable
    hosts: HostPolicy
    session_token: Phantom
    own_port: int
    _of_route: Mapping[str, HostPolicy] = field(init=False, repr=False, compare=False)
    _denied_routes: Mapping[str, Refuse] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        filters, denied = {}, {}
        for route in self.routes.routes:
            host, port = route.origin.host, route.origin.port
            filters[route.service] = self.hosts.for_route(host, port, f"credential route {route.service!r}")
            verdict = filters[route.service].judge_name(host, port)
            if isinstance(verdict, Refuse):
                denied[route.service] = verdict
        object.__setattr__(self, "_of_route", filters)
        object.__setattr__(self, "_denied_routes", denied)

    def judge(self, head: RequestHead) -> Verdict:
        """The verdict on one request. Nothing has been resolved, dialled or recorded yet."""
        try:
            if head.wants_upgrade:
                return Refused(_entry(head), _upgrade_refused())
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
            return Refused(_entry(head), Refusal(fault.status, fault.reason))
        return Refused(_entry(head), Refusal(400, "the request target has no form this proxy serves"))

    def _connect(self, head: RequestHead) -> Verdict:
        host, port = target.parse_authority(head.target)
        entry = Entry("connect", host, port, "CONNECT", mechanism="proxy_authorization")
        if not phantom_check.proxy_authorised(head.headers, self.session_token):
            return Refused(entry, refusal.token_required())
        if reaches_proxy(host, port, self.own_port):
            return Refused(entry, refusal.host_denied(own_port_refused(host), host))
        route = self.routes.of_upstream(host, port)
        if route is not None:
            return Refused(replace(entry, route_id=route.service), _bypass_refused(route))
        verdict = self.hosts.judge_name(host, port)
        if isinstance(verdict, Refuse):
            return Refused(entry, refusal.host_denied(verdict, host))
        return Tunnel(entry, host, port, self.hosts, raw=self.hosts.allows_raw(host, port))

    def _absolute(self, head: RequestHead) -> Verdict:
        parts = target.parse_absolute(head.target)
        host, port = parts.host, parts.port
        if any(target.parse_authority(value, 80) != (host, port) for value in head.values(b"host")):
            raise MessageError("the Host field names another host than the target")
        if reaches_proxy(host, port, self.own_port):
            return self._reverse(head, parts.path)
        entry = replace(
            _entry(head, parts.path),
            target=host,
            port=port,
            mechanism="proxy_authorization",
            credential_active=False,
        )
        if not phantom_check.proxy_authorised(head.headers, self.session_token):
            return Refused(entry, refusal.token_required())
        carried = phantom_check.check_elsewhere(
            head.headers, parts.path, host, self.routes, self.session_token
        )
        if carried is not None:
            return Refused(entry, carried)
        verdict = self.hosts.judge_name(host, port)
        if isinstance(verdict, Refuse):
            return Refused(entry, refusal.host_denied(verdict, host))
        origin = Origin("http", host, port)
        written = rewrite.request_for_upstream(head, parts.path, origin, None)
        return Forward(entry, origin, written, self.hosts)

    def _reverse(self, head: RequestHead, path: bytes) -> Verdict:
        service, rest = target.split_service(path)
        route = self.routes.of_service(service)
        if route is None:
            entry = replace(_entry(head, path), target=refusal.one_line(service))
            return Refused(entry, _unknown_service(self.routes))
        origin = route.origin
        entry = Entry(
            mode="reverse",
            target=service,
            port=origin.port,
            method=head.method.decode("ascii"),
            path=target.for_record(path),
            route_id=service,
            upstream=f"{origin.host}:{origin.port}",
            mechanism="phantom_header",
            credential_active=route.credential is not None,
        )
        answer = self._route_refusal(route, head, rest)
        if answer is not None:
            return Refused(replace(entry, port=0), answer)
        try:
            sent = target.upstream_target(origin.base_path, rest)
            written = rewrite.request_for_upstream(head, sent, origin, route.credential)
        except MessageError as fault:
            return Refused(replace(entry, port=0), Refusal(fault.status, fault.reason, origin.host))
        except (OSError, ValueError):  # the text could hold the secret, so it is not passed on
            return Refused(replace(entry, port=0), _unavailable(route))
        return Forward(entry, origin, written, self._of_route[service], route)

    def _route_refusal(self, route: Route, head: RequestHead, rest: bytes) -> Refusal | None:
        if route.credential is None:
            return _unavailable(route)
        failure = phantom_check.check(route, head.headers, rest, self.routes)
        denied = self._denied_routes.get(route.service)
        if failure is None and denied is not None:
            return refusal.host_denied(denied, route.origin.host)
        if failure is None and head.method == b"TRACE":
            return _trace_refused(route)
        return failure


def _entry(head: RequestHead, path: bytes | None = None) -> Entry:
    """What is known of a request before it is known where it goes."""
    mode: Literal["connect", "reverse"] = "connect" if head.method == b"CONNECT" else "reverse"
    recorded = target.for_record(head.target if path is None else path)
    return Entry(mode, "", 0, head.method.decode("ascii"), recorded)


def _upgrade_refused() -> Refusal:
    return Refusal(
        501, "protocol upgrades are not supported here", category="unsupported_upgrade", closes=True
    )


def _bypass_refused(route: Route) -> Refusal:
    return Refusal(
        403,
        f"{route.origin.host} is reached through its credential route only",
        route.origin.host,
        f"credential route {route.service!r}",
        hint=f"use the base URL in {route.base_url_variable or route.service}",
        category="connect_bypasses_l7",
    )


def _unknown_service(routes: RouteTable) -> Refusal:
    known = ", ".join(sorted(route.service for route in routes.routes)) or "none"
    return Refusal(404, "no credential route has that name", hint=f"active routes: {known}")


def _trace_refused(route: Route) -> Refusal:
    # RFC 9110 section 9.3.8: the response repeats the request's head, which holds the credential.
    return Refusal(405, "TRACE would show the credential", route.origin.host, category="endpoint_policy")


def _unavailable(route: Route) -> Refusal:
    return Refusal(
        503,
        f"the credential of {route.service!r} is not available",
        route.origin.host,
        f"credential route {route.service!r}",
        hint=f"nono credential test {route.service}",
        category="managed_credential_unavailable",
    )
