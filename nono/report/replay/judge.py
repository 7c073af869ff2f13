"""Ask a policy about one recorded access."""

from __future__ import annotations

from functools import partial

from nono.named_tuple import NamedTuple
from nono.policy.capability import Access
from nono.policy.effective_policy import EffectivePolicy, Route
from nono.policy.hosts.hostname import HostError, canonical_host
from nono.policy.path_expansion import Filesystem, PathContext
from nono.policy.why.hosts import reads_paths, sees_requests, why_host, why_request
from nono.policy.why.paths import Answer, why_path
from nono.policy.why.sockets import why_socket
from nono.proxy.http.message import MessageError
from nono.proxy.http.target import canonical
from nono.proxy.verdict.refused_calls import said_beyond
from nono.report.replay.tried import Kind, Tried


class Judging(NamedTuple):
    """Rules, the directories to which paths are relative, and the files as they are now."""

    rules: EffectivePolicy
    path_context: PathContext
    fs: Filesystem


def answer(tried: Tried, judging: Judging) -> Answer:
    """Return the answer of `nono why` to an access, after checking that its credential still exists."""
    rules, path_context, fs = judging
    match tried.kind:
        case Kind.FILE:
            return why_path(rules, path_context, tried.target, tried.access or Access.READ, fs)
        case Kind.SOCKET:
            return why_socket(rules, path_context, tried.target, fs, binds=False)
        case Kind.HOST | Kind.REQUEST:
            try:
                return _network(tried, rules)
            except (HostError, MessageError) as error:
                return Answer("denied", "proxy_filtered", details=f"the proxy refuses that: {error}")


def _network(tried: Tried, rules: EffectivePolicy) -> Answer:
    route = _route(tried, rules) if tried.service else None
    if tried.service and route is None:
        return Answer(
            "denied",
            "credential_missing",
            details=f"no credential {tried.service} is loaded, which the request had",
            suggested_flag=f"--credential {tried.service}",
        )
    if tried.kind is Kind.HOST:
        return why_host(rules, tried.target, tried.port)
    path = tried.path
    if tried.is_reverse and route is not None:
        path = route.upstream.base_path + path.removeprefix(f"/{tried.service}")
    if not sees_requests(rules, tried.target, tried.port):
        return why_host(rules, tried.target, tried.port)
    lenient = not reads_paths(rules, tried.target, tried.port)
    sent = canonical((path or "/").encode("utf-8", "surrogateescape"), lenient=lenient).decode("ascii")
    beyond = partial(said_beyond, is_websocket=False)
    return why_request(rules, tried.target, tried.port, tried.method, sent, beyond)


def _route(tried: Tried, rules: EffectivePolicy) -> Route | None:
    """Return the route that would supply the request's credential. It may have another name."""
    host = canonical_host(tried.target)
    routes = [each for each in rules.routes if each.upstream.covers(host, tried.port)]
    if tried.is_reverse:
        routes = [each for each in routes if each.name == tried.service]
    return next((each for each in routes if each.name == tried.service), routes[0] if routes else None)
