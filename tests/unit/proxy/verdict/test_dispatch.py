"""nono.proxy.verdict.dispatch: the verdict on each kind of request, without a socket."""

from __future__ import annotations

import dataclasses
from base64 import b64encode
from types import SimpleNamespace

import pytest

from nono.audit.event import part
from nono.credentials.values.credential import Outgoing
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.hosts.endpoint_scope import EndpointScope
from nono.policy.hosts.host_filter import HostFilter, parse_rule
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import Inject
from nono.policy.services.oauth_routes import OAuthProvider, TokenEndpoint
from nono.proxy.http.message import Header, request_head
from nono.proxy.http.refusal import Refusal
from nono.proxy.verdict.audit_events import allowed
from nono.proxy.verdict.dispatch import Dispatcher
from nono.proxy.verdict.host_policy import HostPolicy
from nono.proxy.verdict.logins.table import LoginTable
from nono.proxy.verdict.routes import Route, RouteTable
from nono.proxy.verdict.verdict import Capture, ConnectTarget, Forward, Intercept, Refused, Tunnel, Verdict
from nono.secret import Secret
from support.proxy.thread import PHANTOM, REAL_KEY, TOKEN, FakeCredential, Hosts, a_route

OWN_PORT = 4000
ROUTE = a_route(443, host="api.test", scheme="https", base_path="/v1")
BROKEN = a_route(443, service="broken", host="broken.test", scheme="https", loaded=False)
BETA = a_route(443, service="beta", host="beta.test", scheme="https", phantom="sk-phantom-of-beta")
PROXY_AUTHORIZATION: Header = (b"Proxy-Authorization", b"Basic " + b64encode(f"nono:{TOKEN}".encode()))
KEY: Header = (b"X-Api-Key", PHANTOM.encode())


def judged(
    method: bytes, target: bytes, *headers: Header, host: bytes = b"api.test", hosts: HostPolicy | None = None
) -> Verdict:
    dispatcher = Dispatcher(
        RouteTable((ROUTE, BROKEN, BETA)),
        hosts or Hosts(denied=frozenset(("denied.test",))),
        Secret(TOKEN),
        OWN_PORT,
    )
    return dispatcher.judge(request_head(method, target, "1.1", [(b"Host", host), *headers]))


def refusal_of(verdict: Verdict) -> Refusal:
    assert isinstance(verdict, Refused)
    return verdict.refusal


def test_a_phantom_on_a_service_path_becomes_the_credential() -> None:
    verdict = judged(b"GET", b"/alpha/models?x=1", KEY)
    assert isinstance(verdict, Forward)
    assert verdict.origin == Upstream("https", "api.test", 443, "/v1")
    assert verdict.request == Outgoing(b"GET", b"/v1/models?x=1", b"api.test", [])
    assert verdict.route is ROUTE
    assert verdict.approval is None
    assert REAL_KEY not in repr(verdict)
    assert PHANTOM not in repr(verdict)


@pytest.mark.parametrize(
    ("target", "headers", "status", "category"),
    [
        pytest.param(b"/alpha/x", [], 401, "authentication_failed", id="no phantom"),
        pytest.param(b"/alpha/x", [PROXY_AUTHORIZATION], 401, "authentication_failed", id="token instead"),
        pytest.param(b"/beta/x", [KEY], 403, "authentication_failed", id="phantom of another service"),
        pytest.param(b"/broken/x", [KEY], 503, "managed_credential_unavailable", id="credential missing"),
        pytest.param(b"/nosuch/x", [KEY], 404, None, id="unknown service"),
        pytest.param(b"/%61lpha/x", [KEY], 404, None, id="escaped service"),
        pytest.param(b"/alpha/../x", [KEY], 400, None, id="dot segment"),
        pytest.param(b"/alpha/%2e%2e/x", [KEY], 400, None, id="escaped dot segment"),
        pytest.param(b"/alpha//evil.test/x", [KEY], 400, None, id="empty segment"),
        pytest.param(b"*", [KEY], 400, None, id="asterisk form"),
        pytest.param(b"alpha/x", [KEY], 400, None, id="authority form"),
    ],
)
def test_a_path_request_is_refused(
    target: bytes, headers: list[Header], status: int, category: str | None
) -> None:
    answer = refusal_of(judged(b"OPTIONS", target, *headers))
    assert (answer.status, answer.category) == (status, category)


def test_a_service_without_a_key_says_so_and_how_to_give_it_one() -> None:
    answer = refusal_of(judged(b"GET", b"/broken/x"))
    assert answer.error == "nono has no key for 'broken'"
    assert answer.hint is not None
    assert "`nono credential set broken`" in answer.hint
    assert "standard error" not in answer.hint  # nothing is said there
    assert answer.lasts  # so that no client tries again


def test_connect_with_the_token_opens_a_tunnel() -> None:
    verdict = judged(b"CONNECT", b"Other.TEST.:443", PROXY_AUTHORIZATION)
    assert isinstance(verdict, Tunnel)
    assert (verdict.host, verdict.port, verdict.raw) == ("other.test", 443, False)


@pytest.mark.parametrize(
    ("target", "headers", "status", "category"),
    [
        pytest.param(b"other.test:443", [], 407, "authentication_required", id="no token"),
        pytest.param(b"denied.test:443", [PROXY_AUTHORIZATION], 403, "host_denied", id="denied"),
        pytest.param(
            b"DENIED.test.:443", [PROXY_AUTHORIZATION], 403, "host_denied", id="denied, other spelling"
        ),
        pytest.param(
            b"api.test:443", [PROXY_AUTHORIZATION], 403, "connect_bypasses_l7", id="credential host"
        ),
        pytest.param(
            b"API.Test.:443", [PROXY_AUTHORIZATION], 403, "connect_bypasses_l7", id="spelled otherwise"
        ),
        pytest.param(
            b"broken.test:443", [PROXY_AUTHORIZATION], 403, "connect_bypasses_l7", id="its key missing"
        ),
        pytest.param(b"127.0.0.1:4000", [PROXY_AUTHORIZATION], 403, "host_denied", id="own port"),
        pytest.param(b"localhost:4000", [PROXY_AUTHORIZATION], 403, "host_denied", id="own port by name"),
        pytest.param(b"[::1]:4000", [PROXY_AUTHORIZATION], 403, "host_denied", id="own port by IPv6"),
        pytest.param(b"0.0.0.0:4000", [PROXY_AUTHORIZATION], 403, "host_denied", id="own port by 0.0.0.0"),
        pytest.param(b"other.test", [PROXY_AUTHORIZATION], 400, None, id="no port"),
        pytest.param(b"/alpha/x", [PROXY_AUTHORIZATION, KEY], 400, None, id="a service path"),
        pytest.param(b"other.test:443:443", [PROXY_AUTHORIZATION], 400, None, id="two ports"),
        pytest.param(b"u@other.test:443", [PROXY_AUTHORIZATION], 400, None, id="user info"),
    ],
)
def test_a_connect_is_refused(
    target: bytes, headers: list[Header], status: int, category: str | None
) -> None:
    answer = refusal_of(judged(b"CONNECT", target, *headers))
    assert (answer.status, answer.category) == (status, category)
    assert answer.challenge is (status == 407)


def test_the_hint_for_a_credential_host_names_its_variable() -> None:
    answer = refusal_of(judged(b"CONNECT", b"api.test:443", PROXY_AUTHORIZATION))
    assert answer.hint is not None
    assert "ALPHA_BASE_URL" in answer.hint


def test_another_port_of_a_credential_host_is_for_the_filter_to_decide() -> None:
    assert isinstance(judged(b"CONNECT", b"api.test:8443", PROXY_AUTHORIZATION), Tunnel)


def test_absolute_http_with_the_token_is_forwarded_without_a_credential() -> None:
    verdict = judged(b"GET", b"http://Site.test/a/../b?c", PROXY_AUTHORIZATION, host=b"site.test")
    assert isinstance(verdict, Forward)
    assert verdict.origin == Upstream("http", "site.test", 80)
    assert verdict.request == Outgoing(b"GET", b"/a/../b?c", b"site.test", [])
    assert not verdict.credentialed


@pytest.mark.parametrize(
    ("target", "host", "headers", "status"),
    [
        pytest.param(b"http://site.test/", b"site.test", [], 407, id="no token"),
        pytest.param(b"http://denied.test/", b"denied.test", [PROXY_AUTHORIZATION], 403, id="denied"),
        pytest.param(b"http://site.test/", b"other.test", [PROXY_AUTHORIZATION], 400, id="other Host"),
        pytest.param(
            b"http://site.test:81/", b"site.test", [PROXY_AUTHORIZATION], 400, id="other port in Host"
        ),
        pytest.param(b"http://u:p@site.test/", b"site.test", [PROXY_AUTHORIZATION], 400, id="user info"),
        pytest.param(b"http://site.test/", b"site.test", [PROXY_AUTHORIZATION, KEY], 403, id="a phantom"),
        pytest.param(b"http://api.test/", b"api.test", [PROXY_AUTHORIZATION, KEY], 403, id="at its own host"),
        pytest.param(b"https://site.test/", b"site.test", [PROXY_AUTHORIZATION], 400, id="https"),
        pytest.param(b"ftp://site.test/", b"site.test", [PROXY_AUTHORIZATION], 400, id="ftp"),
    ],
)
def test_an_absolute_request_is_refused(
    target: bytes, host: bytes, headers: list[Header], status: int
) -> None:
    assert refusal_of(judged(b"GET", target, *headers, host=host)).status == status


LOCAL = b"http://127.0.0.1:8080/v1?x=1"
OWN_KEY: Header = (b"Authorization", b"Bearer sk-of-its-own")


def at_local(target: bytes, *headers: Header, loaded: bool = True) -> Verdict:
    """Judge a request in absolute form beside a service whose upstream is http://127.0.0.1:8080."""
    accept = Inject("query_param", query_param="token")
    keyed = dataclasses.replace(a_route(8080, base_path="/v1", loaded=loaded), accept=accept)
    dispatcher = Dispatcher(RouteTable((keyed,)), Hosts(), Secret(TOKEN), OWN_PORT)
    host = target.split(b"/")[2]
    fields = [(b"Host", host), PROXY_AUTHORIZATION, *headers]
    return dispatcher.judge(request_head(b"GET", target, "1.1", fields))


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        pytest.param(LOCAL, [OWN_KEY], id="in a header"),
        pytest.param(LOCAL + b"&token=of-its-own", [], id="in the query"),
        pytest.param(LOCAL + b"&%74oken=of-its-own", [], id="with an escaped name"),
        pytest.param(b"http://127.0.0.1:8080/other", [OWN_KEY], id="beside the base path"),
    ],
)
def test_a_key_of_its_own_is_refused_at_the_http_upstream_of_a_service(
    target: bytes, headers: list[Header]
) -> None:
    answer = refusal_of(at_local(target, *headers))
    assert (answer.status, answer.category) == (401, "authentication_failed")
    assert refusal_of(at_local(target, *headers, loaded=False)).status == 503
    elsewhere = target.replace(b":8080", b":8081")
    assert isinstance(at_local(elsewhere, *headers), Forward)


def test_a_request_without_a_key_reaches_the_http_upstream_of_a_service() -> None:
    assert isinstance(at_local(LOCAL), Forward)
    assert isinstance(at_local(LOCAL, (b"Authorization", b"Bearer ")), Forward)


@pytest.mark.parametrize("authority", [b"127.0.0.1:4000", b"localhost:4000", b"[::1]:4000"])
def test_an_absolute_target_at_the_own_port_is_a_service_path(authority: bytes) -> None:
    verdict = judged(b"GET", b"http://" + authority + b"/alpha/x", KEY, host=authority)
    assert isinstance(verdict, Forward)
    assert verdict.origin.host == "api.test"
    assert refusal_of(judged(b"GET", b"http://" + authority + b"/alpha/x", host=authority)).status == 401


@pytest.mark.parametrize(
    ("method", "target", "host"),
    [
        pytest.param(b"CONNECT", b"other.test:443", b"other.test", id="of a tunnel"),
        pytest.param(b"GET", b"http://site.test/", b"site.test", id="over plain http"),
    ],
)
def test_an_upgrade_is_not_implemented_where_no_rule_covers_it(
    method: bytes, target: bytes, host: bytes
) -> None:
    plain = judged(method, target, PROXY_AUTHORIZATION, host=host)
    assert isinstance(plain, (Tunnel, Forward))
    answer = refusal_of(judged(method, target, PROXY_AUTHORIZATION, (b"Upgrade", b"websocket"), host=host))
    assert (answer.status, answer.category) == (501, "unsupported_upgrade")


@pytest.mark.parametrize(
    "header", [(b"Upgrade", b"websocket"), (b"Upgrade", b"h2c"), (b"Connection", b"upgrade")], ids=repr
)
def test_half_a_handshake_is_refused_with_or_without_a_key(header: Header) -> None:
    assert refusal_of(judged(b"GET", b"/alpha/x", KEY, header)).status == 400
    assert refusal_of(judged(b"GET", b"/alpha/x", header)).status == 401


def test_an_empty_allow_list_lets_nothing_but_a_credential_route_through() -> None:
    nothing = HostFilter(allow=())
    assert isinstance(judged(b"GET", b"/alpha/x", KEY, hosts=nothing), Forward)
    assert refusal_of(judged(b"CONNECT", b"other.test:443", PROXY_AUTHORIZATION, hosts=nothing)).status == 403


@pytest.mark.parametrize(
    ("method", "target", "header", "rule", "origin"),
    [
        (b"CONNECT", b"some.example:443", PROXY_AUTHORIZATION, "*.example", "--allow-domain"),
        (b"GET", b"http://some.example/", PROXY_AUTHORIZATION, "*.example", "--allow-domain"),
        (b"GET", b"/alpha/x", KEY, "api.test:443", "credential route 'alpha'"),
    ],
    ids=["tunnel", "without a key", "with a key"],
)
def test_an_allowed_request_names_the_rule_that_allows_it(
    method: bytes, target: bytes, header: Header, rule: str, origin: str
) -> None:
    some = HostFilter(allow=(parse_rule("*.example", "--allow-domain"),))
    host = target.removeprefix(b"http://").rstrip(b"/") if b"example" in target else b"api.test"
    verdict = judged(method, target, header, host=host, hosts=some)
    assert isinstance(verdict, Forward | Tunnel | Intercept)
    recorded = part(allowed(verdict.entry), "event")
    assert (recorded["rule"], recorded["origin"]) == (rule, origin)


def test_an_intercepted_tunnel_names_the_route_that_allows_it() -> None:
    dispatcher = Dispatcher(RouteTable((ROUTE,)), HostFilter(()), Secret(TOKEN), OWN_PORT, intercepts=True)
    head = request_head(b"CONNECT", b"api.test:443", "1.1", [(b"Host", b"api.test:443"), PROXY_AUTHORIZATION])
    verdict = dispatcher.judge(head)
    assert isinstance(verdict, Intercept)
    assert (verdict.entry.rule, verdict.entry.origin) == ("api.test:443", "credential route 'alpha'")


def test_where_every_host_is_allowed_no_rule_is_named() -> None:
    verdict = judged(b"CONNECT", b"some.example:443", PROXY_AUTHORIZATION, hosts=HostFilter(allow=None))
    assert isinstance(verdict, Tunnel)
    assert "rule" not in part(allowed(verdict.entry), "event")


def test_trace_which_would_echo_the_credential_is_refused() -> None:
    assert isinstance(judged(b"OPTIONS", b"/alpha/x", KEY), Forward)
    answer = refusal_of(judged(b"TRACE", b"/alpha/x", KEY))
    assert (answer.status, answer.category) == (405, "endpoint_policy")
    assert refusal_of(judged(b"TRACE", b"/alpha/x")).status == 401


def test_a_denied_host_is_not_reached_through_its_route_either() -> None:
    denying = HostFilter(allow=None, deny=(parse_rule("api.test", "--deny-domain"),))
    answer = refusal_of(judged(b"GET", b"/alpha/x", KEY, hosts=denying))
    assert (answer.status, answer.category, answer.origin) == (403, "host_denied", "--deny-domain")


def test_the_entry_of_a_request_never_holds_its_phantom() -> None:
    verdict = judged(b"GET", b"/alpha/x?key=" + PHANTOM.encode(), KEY)
    assert isinstance(verdict, Refused)
    assert PHANTOM not in repr(verdict.entry)


@pytest.mark.parametrize(
    ("scheme", "host"),
    [("http", "api.test"), ("ftp", "localhost"), ("http", "0.0.0.0"), ("http", "10.0.0.1")],
)
def test_a_route_in_the_clear_is_for_loopback_only(scheme: str, host: str) -> None:
    a_route(80, scheme="http", host="localhost")
    with pytest.raises(ValueError, match="in the clear"):
        a_route(80, scheme=scheme, host=host)


def test_a_route_has_a_phantom_exactly_when_it_has_a_credential() -> None:
    origin = Upstream("https", "api.test", 443)
    Route("a", origin, None, None)
    with pytest.raises(ValueError, match="placeholder"):
        Route("a", origin, None, Secret("x"))
    with pytest.raises(ValueError, match="placeholder"):
        Route("a", origin, FakeCredential(), None)


def test_two_routes_cannot_share_a_service_name() -> None:
    with pytest.raises(ValueError, match="same service"):
        RouteTable((ROUTE, ROUTE))


def connected(target: bytes, *, intercepts: bool = True) -> Verdict:
    """Judge a CONNECT of a run that looks into all TLS."""
    table = RouteTable((ROUTE,), also_intercepts=lambda host: host != "left.test")
    hosts = Hosts(denied=frozenset(("denied.test",)))
    dispatcher = Dispatcher(table, hosts, Secret(TOKEN), OWN_PORT, intercepts=intercepts)
    return dispatcher.judge(request_head(b"CONNECT", target, "1.1", [(b"Host", target), PROXY_AUTHORIZATION]))


def test_intercepting_all_tls_tunnels_only_to_excluded_hosts() -> None:
    assert isinstance(connected(b"other.test:443"), Intercept)
    assert isinstance(
        judged(b"CONNECT", b"other.test:443", PROXY_AUTHORIZATION, host=b"other.test:443"), Tunnel
    )
    assert isinstance(connected(b"left.test:443"), Tunnel)
    assert refusal_of(connected(b"denied.test:443")).category == "host_denied"
    assert refusal_of(connected(b"other.test:443", intercepts=False)).category == "connect_bypasses_l7"


def _to(upstream: str, **changes: object) -> Dispatcher:
    route = a_route(443, host=upstream, scheme="https", **changes)  # type: ignore[arg-type]  # fields of Route
    return Dispatcher(RouteTable((route,)), Hosts(), Secret(TOKEN), OWN_PORT, intercepts=True)


def _at(upstream: str, method: bytes, target: bytes, **changes: object) -> Verdict:
    """Judge a request inside a CONNECT to api.openai.com or below amazonaws.com."""
    host = "sts.us-east-1.amazonaws.com" if upstream.startswith("*") else upstream
    head = request_head(method, target, "1.1", [(b"Host", host.encode()), KEY])
    return _to(upstream, **changes).judge(head, ConnectTarget(host, 443))


SECRETS = b"/v1/realtime/client_secrets"
REFUSED_SINCE = (
    "the rules changed: POST /v1/realtime/client_secrets hands out a key that works outside of this run"
)
EVERYTHING = EndpointPolicy("deny", allow=(EndpointRule("*", "/**"),))
THAT_CALL = EndpointPolicy("deny", allow=(EndpointRule("POST", "/v1/realtime/client_secrets"),))


@pytest.mark.parametrize(
    "endpoints", [EndpointPolicy(), EVERYTHING], ids=["no rules", "a rule for everything"]
)
def test_a_request_that_hands_out_a_key_is_refused(endpoints: EndpointPolicy) -> None:
    answer = refusal_of(_at("api.openai.com", b"POST", SECRETS, endpoints=endpoints))
    assert (answer.status, answer.category, answer.rule) == (403, "endpoint_policy", "hands_out_keys")
    assert isinstance(_at("api.openai.com", b"POST", b"/v1/responses", endpoints=endpoints), Forward)


def test_a_rule_for_just_that_request_lets_it_through() -> None:
    verdict = _at("api.openai.com", b"POST", SECRETS, endpoints=THAT_CALL)
    assert isinstance(verdict, Forward)
    assert verdict.entry.rule == "endpoint_policy.allow[POST /v1/realtime/client_secrets]"


@pytest.mark.parametrize("endpoints", [EndpointPolicy(), EVERYTHING], ids=["no rules", "a rule for all"])
@pytest.mark.parametrize("is_asked", [False, True])
def test_one_under_way_is_refused_once_its_rule_has_ended(endpoints: EndpointPolicy, is_asked: bool) -> None:
    """Unless a person has agreed to it."""
    before = EndpointPolicy("approve") if is_asked else THAT_CALL
    verdict = _at("api.openai.com", b"POST", SECRETS, endpoints=before)
    assert isinstance(verdict, Forward)
    assert _to("api.openai.com", endpoints=before).refused_since(verdict) is None
    reason = _to("api.openai.com", endpoints=endpoints).refused_since(verdict)
    assert reason == (None if is_asked else REFUSED_SINCE)


def test_a_wildcard_of_aws_does_not_reach_the_services_that_hand_out_keys() -> None:
    answer = refusal_of(_at("*.amazonaws.com", b"GET", b"/?Action=GetSessionToken"))
    assert (answer.status, answer.rule) == (403, "hands_out_keys")
    assert isinstance(_at("sts.us-east-1.amazonaws.com", b"GET", b"/?Action=GetSessionToken"), Forward)


LISTED = EndpointPolicy("deny", allow=(EndpointRule("GET", "/open/**"),))


def _without_key(host: str, routes: tuple[Route, ...]) -> Verdict:
    """Judge a request inside a CONNECT that presents no phantom."""
    dispatcher = Dispatcher(RouteTable(routes), Hosts(), Secret(TOKEN), OWN_PORT, intercepts=True)
    head = request_head(b"GET", b"/x", "1.1", [(b"Host", host.encode())])
    return dispatcher.judge(head, ConnectTarget(host, 443))


def test_a_body_is_drained_only_where_its_host_has_no_credential() -> None:
    free = _without_key("other.test", (ROUTE,))
    assert isinstance(free, Forward)
    assert (free.drains, free.route, free.origin) == (True, None, Upstream("https", "other.test", 443))
    keyed = _without_key("api.test", (ROUTE,))
    assert isinstance(keyed, Forward)
    assert (keyed.drains, keyed.route, keyed.origin.scheme) == (False, None, "https")


@pytest.mark.parametrize(("endpoints", "drains"), [(EndpointPolicy(), True), (LISTED, False)])
def test_a_body_is_drained_on_a_route_only_while_no_rule_could_be_evaded(
    endpoints: EndpointPolicy, drains: bool
) -> None:
    route = a_route(443, host="api.test", scheme="https", drains=True, endpoints=endpoints)
    verdict = _judged_by(RouteTable((route,)), b"GET", b"/open/x", KEY, inside=INSIDE)
    assert isinstance(verdict, Forward)
    assert verdict.drains is drains


def test_below_the_wildcard_of_a_route_a_denied_host_stays_denied() -> None:
    table = RouteTable((a_route(443, host="*.wild.test", scheme="https"),))
    hosts = Hosts(denied=frozenset(("bad.wild.test",)))
    for host, is_denied in (("good.wild.test", False), ("bad.wild.test", True)):
        verdict = _judged_by(table, b"GET", b"/x", KEY, hosts=hosts, inside=ConnectTarget(host, 443))
        assert isinstance(verdict, Refused) is is_denied
        assert not is_denied or refusal_of(verdict).category == "host_denied"


def test_the_placeholders_of_two_services_of_a_host_freeze_neither() -> None:
    table = RouteTable((ROUTE, a_route(443, service="beta", host="api.test", scheme="https", phantom="sk-b")))
    both = (KEY, (b"Authorization", b"Bearer sk-b"))
    answer = refusal_of(_judged_by(table, b"GET", b"/v1/x", *both, inside=INSIDE))
    assert (answer.status, answer.category, answer.freezes) == (403, "authentication_failed", None)
    assert answer.error == "the placeholders of 'alpha' and 'beta' were sent together"
    assert isinstance(_judged_by(table, b"GET", b"/v1/x", KEY, inside=INSIDE), Forward)


def _judged_by(
    table: RouteTable,
    method: bytes,
    target: bytes,
    *headers: Header,
    hosts: HostPolicy | None = None,
    inside: ConnectTarget | None = None,
) -> Verdict:
    """Judge a request of a run that intercepts, with the session token outside a CONNECT."""
    dispatcher = Dispatcher(table, hosts or Hosts(), Secret(TOKEN), OWN_PORT, intercepts=True)
    if inside is not None:
        host = inside.host.encode()
    else:
        host = target.split(b"/")[2] if b"://" in target else target
        headers = (PROXY_AUTHORIZATION, *headers)
    return dispatcher.judge(request_head(method, target, "1.1", [(b"Host", host), *headers]), inside)


INSIDE = ConnectTarget("api.test", 443)
SCOPES = (
    EndpointScope("paths.test", 443, "https", LISTED, ""),
    EndpointScope("clear.test", 80, "http", LISTED, ""),
)
SCOPED = RouteTable((ROUTE,), SCOPES)


def test_a_connect_inside_a_connect_ends_its_connection() -> None:
    nested = refusal_of(_judged_by(SCOPED, b"CONNECT", b"other.test:443", inside=INSIDE))
    assert (nested.status, nested.closes) == (501, True)
    assert not refusal_of(_judged_by(SCOPED, b"TRACE", b"/v1/x", KEY, inside=INSIDE)).closes


def test_a_refused_path_is_recorded_without_its_phantom() -> None:
    verdict = judged(b"GET", b"/nosuch/" + PHANTOM.encode() + b"/x", KEY)
    assert isinstance(verdict, Refused)
    assert PHANTOM not in repr(verdict.entry)
    assert (verdict.entry.path or "").endswith("/x")


def test_a_scheme_may_be_in_capitals() -> None:
    plain = _judged_by(SCOPED, b"GET", b"HTTP://site.test/")
    assert isinstance(plain, Forward)
    assert plain.origin == Upstream("http", "site.test", 80)
    assert refusal_of(_judged_by(SCOPED, b"GET", b"HTTPS://site.test/")).plain


def test_a_grant_of_paths_holds_on_its_own_scheme_only() -> None:
    assert isinstance(_judged_by(SCOPED, b"GET", b"http://clear.test/open/x"), Forward)
    assert refusal_of(_judged_by(SCOPED, b"GET", b"http://clear.test/else")).category == "endpoint_policy"
    assert refusal_of(_judged_by(SCOPED, b"GET", b"http://paths.test:443/open/x")).status == 403


def test_inside_a_connect_the_scheme_is_that_of_the_grant_for_its_port() -> None:
    scopes = [EndpointScope("both.test", *each, LISTED, "") for each in ((80, "http"), (443, "https"))]
    inside = ConnectTarget("both.test", 443)
    verdict = _judged_by(RouteTable((), tuple(scopes)), b"GET", b"/open/x", inside=inside)
    assert isinstance(verdict, Forward)
    assert verdict.origin == Upstream("https", "both.test", 443)


def test_a_service_is_reached_beside_a_grant_of_paths_on_another_port_of_its_host() -> None:
    both = RouteTable((ROUTE,), (EndpointScope("api.test", 8443, "https", LISTED, ""),))
    for port in (b"443", b"8443"):
        assert isinstance(_judged_by(both, b"CONNECT", b"api.test:" + port), Intercept)
    assert refusal_of(_judged_by(both, b"CONNECT", b"api.test:444")).status == 403


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        pytest.param(b"/open/x", [(b"X-HTTP-Method-Override", b"DELETE")], 403, id="another method"),
        pytest.param(b"/open//x", [], 400, id="an empty segment"),
    ],
)
def test_what_a_server_may_read_otherwise_is_refused_where_paths_are_granted(
    target: bytes, headers: list[Header], status: int
) -> None:
    assert isinstance(_judged_by(SCOPED, b"GET", b"http://clear.test/open/x"), Forward)
    assert isinstance(_judged_by(SCOPED, b"GET", b"http://free.test" + target, *headers), Forward)
    assert refusal_of(_judged_by(SCOPED, b"GET", b"http://clear.test" + target, *headers)).status == status


def test_a_request_without_a_key_to_a_host_for_its_key_alone_is_told_what_is_missing() -> None:
    nothing = HostFilter(allow=())
    table = RouteTable((ROUTE, BROKEN))
    keyed = _judged_by(table, b"GET", b"/v1/x", hosts=nothing, inside=INSIDE)
    assert (refusal_of(keyed).status, refusal_of(keyed).category) == (401, "authentication_failed")
    broken = _judged_by(table, b"GET", b"/x", hosts=nothing, inside=ConnectTarget("broken.test", 443))
    assert refusal_of(broken).status == 503
    for verdict in (keyed, broken):
        assert isinstance(verdict, Refused)
        assert not verdict.may_be_asked  # a person's yes would bring no key


def test_a_host_for_its_key_alone_is_a_denied_host_outside_of_a_connect() -> None:
    table = RouteTable((a_route(8080, base_path="/v1"),))
    verdict = _judged_by(table, b"GET", b"http://127.0.0.1:8080/v1/x", hosts=HostFilter(allow=()))
    assert refusal_of(verdict).category == "host_denied"
    assert isinstance(_judged_by(table, b"GET", b"http://127.0.0.1:8080/v1/x"), Forward)


def _logins(endpoint: TokenEndpoint) -> LoginTable:
    login = SimpleNamespace(provider=OAuthProvider("acme", (endpoint,), ()))
    return LoginTable((login,))  # type: ignore[arg-type]  # no more is asked for


def _beside_a_login(target: bytes, *, port: int) -> Verdict:
    """Judge a CONNECT of a run where a login gets its tokens at id.test, which is to be tunnelled unread."""
    endpoint = TokenEndpoint(Upstream("https", "id.test", port), "/token", (), "auto", ())
    table = RouteTable((), logins=_logins(endpoint))
    raw = frozenset((host, 22) for host in ("id.test", "other.test"))
    return _judged_by(table, b"CONNECT", target, hosts=Hosts(raw=raw))


def test_the_host_of_a_login_is_tunnelled_for_ssh_alone() -> None:
    for target, flags in ((b"other.test:22", (True, False)), (b"id.test:22", (False, True))):
        verdict = _beside_a_login(target, port=443)
        assert isinstance(verdict, Tunnel)
        assert (verdict.raw, verdict.only_ssh) == flags
    assert isinstance(_beside_a_login(b"id.test:443", port=443), Intercept)
    assert isinstance(_beside_a_login(b"id.test:22", port=22), Intercept)
    assert isinstance(_beside_a_login(b"id.test:2222", port=443), Intercept)


def test_at_the_host_of_a_login_a_path_is_sent_only_as_it_was_judged() -> None:
    """Spelled otherwise, the path of the tokens would be passed by, and the tokens with it."""
    endpoint = TokenEndpoint(Upstream("https", "id.test", 443), "/oauth/token", (), "auto", ())
    inside = ConnectTarget("id.test", 443)
    for logins, is_refused in ((_logins(endpoint), True), (LoginTable(), False)):
        table = RouteTable((), logins=logins, also_intercepts=lambda host: True)
        verdict = _judged_by(table, b"GET", b"/oauth//token", inside=inside)
        assert isinstance(verdict, Refused) is is_refused


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        pytest.param("api.test", True, id="a route's"),
        pytest.param("a.wild.test", True, id="below a route's wildcard"),
        pytest.param("wild.test", False, id="the apex of one"),
        pytest.param("clear.test", True, id="of some paths"),
        pytest.param("id.test", True, id="a login's"),
        pytest.param("other.test", False, id="nobody's"),
    ],
)
def test_a_host_with_a_route_paths_or_a_login_may_be_looked_up(host: str, expected: bool) -> None:
    """No rule of hosts has to allow it."""
    endpoint = TokenEndpoint(Upstream("https", "id.test", 8443), "/token", (), "auto", ())
    wildcard = a_route(8444, service="wild", host="*.wild.test", scheme="https")
    assert RouteTable((ROUTE, wildcard), SCOPES, _logins(endpoint)).leads_to(host) is expected


@pytest.mark.parametrize(
    ("target", "is_searched"),
    [(b"/login", True), (b"/login?x=1", True), (b"/login/device?x=1", True), (b"/else?/login", False)],
    ids=["itself", "with a query", "below it", "elsewhere"],
)
def test_an_answer_that_may_hold_tokens_is_searched_whatever_the_query(
    target: bytes, is_searched: bool
) -> None:
    endpoint = TokenEndpoint(Upstream("https", "id.test", 443), "/login/token", (), "auto", (), "/login")
    table = RouteTable((), logins=_logins(endpoint), also_intercepts=lambda host: True)
    verdict = _judged_by(table, b"GET", target, inside=ConnectTarget("id.test", 443))
    assert isinstance(verdict, Capture if is_searched else Forward)


@pytest.mark.parametrize(
    ("own_names", "is_listed"),
    [pytest.param(None, True, id="run"), pytest.param(frozenset(), False, id="proxy")],
)
def test_only_a_command_is_told_which_routes_there_are(
    own_names: frozenset[str] | None, is_listed: bool
) -> None:
    """Other users, and other machines where it listens for them, reach a proxy of its own without a token."""
    dispatcher = Dispatcher(RouteTable((ROUTE, BETA)), Hosts(), Secret(TOKEN), OWN_PORT, own_names=own_names)
    head = request_head(b"GET", b"/nosuch/x", "1.1", [(b"Host", b"127.0.0.1")])
    answer = refusal_of(dispatcher.judge(head))
    assert (answer.status, "alpha, beta" in str(answer)) == (404, is_listed)
