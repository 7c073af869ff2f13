"""Judge a request inside an intercepted CONNECT, which must be for the host of that CONNECT."""

from __future__ import annotations

from collections.abc import Sequence

from nono.policy.hosts.upstream import Upstream
from nono.proxy.http import refusal, target
from nono.proxy.http.message import MessageError, RequestHead
from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict import phantoms
from nono.proxy.verdict.judge import Judge, is_below, is_open
from nono.proxy.verdict.routes import Route
from nono.proxy.verdict.slots import Slots
from nono.proxy.verdict.verdict import ConnectTarget, Entry, Refused, Verdict


def judge_intercepted(judge: Judge, head: RequestHead, inside: ConnectTarget) -> Verdict:
    """Judge the request. Raises MessageError if the target's form is not served or its path is ambiguous."""
    host, port = inside.host, inside.port
    routes, scopes = judge.routes.of_upstream(host, port), judge.routes.scopes_of(host)
    answer = _nested(head) or _misdirected(head, inside)
    if answer is not None:
        return Refused(entry_of(head, inside, head.target, routes), answer)
    if not head.target.startswith(b"/"):
        raise MessageError("the target of a request inside a CONNECT begins with a slash")
    logins = judge.routes.logins
    is_open_to_all = not scopes and not logins.captures(host) and all(is_open(route) for route in routes)
    path = target.canonical(head.target, lenient=is_open_to_all)
    entry = entry_of(head, inside, path, routes)
    slots = Slots(head.headers, path)
    presented, has_key = phantoms.owners(routes, slots, judge.routes)
    if logins.logins:
        at = logins.endpoint(host, port, path.partition(b"?")[0].decode("ascii"))
        if at is not None:
            return judge.at_token_endpoint(head, entry, Upstream("https", host, port), path, at)
        # Imported here: few runs have a captured login.
        from nono.proxy.verdict.logins import phantoms as login_phantoms

        presented += login_phantoms.owners(routes, head.headers)
    if len(presented) > 1:
        names = " and ".join(repr(route.service) for route in presented)
        error = f"the placeholders of {names} were sent together"
        return Refused(entry, Refusal(403, error, host, "phantom", category="authentication_failed"))
    if presented or (has_key and routes):
        # No phantom of this host was presented: the key is the command's own, or another service's phantom.
        return _with_route(judge, head, inside, entry, (presented or routes)[0], slots)
    entry = entry._replace(upstream=f"{host}:{port}", credential_active=False)
    schemes = [route.origin.scheme for route in routes]
    schemes += [scope.scheme for scope in scopes if scope.port == port] or ["https"]
    return judge.without_credential(head, entry, Upstream(schemes[0], host, port), path)


def _with_route(
    judge: Judge, head: RequestHead, inside: ConnectTarget, entry: Entry, route: Route, slots: Slots
) -> Verdict:
    origin = route.origin._replace(host=inside.host) if route.origin.is_wildcard else route.origin
    entry = entry._replace(
        route_id=route.service,
        upstream=f"{origin.host}:{origin.port}",
        credential_active=route.credential is not None,
    )
    if not is_below(route, slots.target):
        error = f"the credential of {route.service!r} is for {origin.base_path}/ and what is below it"
        return Refused(entry, Refusal(403, error, inside.host, category="endpoint_policy"))
    return judge.with_credential(head, entry, route, origin, slots)


def entry_of(head: RequestHead, inside: ConnectTarget, path: bytes, routes: Sequence[Route]) -> Entry:
    """Return the entry of a request whose route is not known yet."""
    recorded = target.for_record(phantoms.without_path_keys(routes, path))
    return Entry("connect_intercept", inside.host, inside.port, head.method.decode("ascii"), recorded)


def _nested(head: RequestHead) -> Refusal | None:
    if head.method != b"CONNECT":
        return None
    return Refusal(501, "a CONNECT inside a CONNECT is not served", closes=True)


def _misdirected(head: RequestHead, inside: ConnectTarget) -> Refusal | None:
    """Return a 421 unless Host names the CONNECT host (RFC 9110 section 7.4), since both must be one host."""
    if head.values(b"host") == [inside.authority]:
        return None
    named = [target.parse_authority(value, 443) for value in head.values(b"host")]
    if named == [(inside.host, inside.port)]:
        return None
    sent = refusal.one_line(b", ".join(head.values(b"host")).decode("latin-1")) or "nothing"
    name = inside.authority.decode("ascii")
    error = f"the Host field names {sent} inside a CONNECT to {name}"
    return Refusal(421, error, inside.host, category="host_denied")
