"""Rules about paths: the same on every way to a host, over the very bytes that are sent."""

from __future__ import annotations

from base64 import b64encode

import pytest

from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy, EndpointRule
from nono.policy.hosts.endpoint_scope import EndpointScope
from nono.policy.hosts.host_filter import HostFilter
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import UpgradeRule
from nono.proxy.http.message import Header, request_head
from nono.proxy.verdict.dispatch import Dispatcher
from nono.proxy.verdict.host_policy import HostPolicy
from nono.proxy.verdict.routes import Route, RouteTable
from nono.proxy.verdict.verdict import ConnectTarget, Forward, Intercept, Refused, Tunnel, Verdict
from nono.secret import Secret
from support.proxy.interception import intercepting
from support.proxy.thread import PHANTOM, TOKEN, Client, Hosts, a_route
from support.servers.http1 import upstream

BETA = "sk-phantom-of-beta"
KEY: Header = (b"X-Api-Key", PHANTOM.encode())
BETA_KEY: Header = (b"X-Api-Key", BETA.encode())
AUTHORISED: Header = (b"Proxy-Authorization", b"Basic " + b64encode(f"nono:{TOKEN}".encode()))


def rules(default: str = "deny", **lists: list[str]) -> EndpointPolicy:
    def rule(text: str) -> EndpointRule:
        method, _, path = text.partition(" ")
        return EndpointRule(method, path)

    given = {name: tuple(map(rule, texts)) for name, texts in lists.items()}
    return EndpointPolicy(default, origin="the test", **given)  # type: ignore[arg-type]  # a test's own words


READS = rules(allow=["GET /v1/models/*", "GET /v1/files/**"])


class Site:
    """The verdicts on requests for api.test:443, by the three ways that lead there."""

    def __init__(
        self, *routes: Route, scopes: tuple[EndpointScope, ...] = (), hosts: HostPolicy | None = None
    ) -> None:
        table = RouteTable(routes, scopes)
        self.dispatcher = Dispatcher(table, hosts or Hosts(), Secret(TOKEN), 4000, intercepts=True)

    def inside(
        self, path: bytes, *headers: Header, method: bytes = b"GET", host: str = "api.test", port: int = 443
    ) -> Verdict:
        where = ConnectTarget(host, port)
        head = request_head(method, path, "1.1", [(b"Host", where.authority), *headers])
        return self.dispatcher.judge(head, where)

    def reverse(self, path: bytes, *headers: Header, method: bytes = b"GET") -> Verdict:
        return self.dispatcher.judge(
            request_head(method, b"/alpha" + path, "1.1", [(b"Host", b"127.0.0.1"), *headers])
        )

    def connect(self, authority: bytes) -> Verdict:
        return self.dispatcher.judge(
            request_head(b"CONNECT", authority, "1.1", [(b"Host", authority), AUTHORISED])
        )

    def absolute(self, url: bytes, host: bytes, *headers: Header) -> Verdict:
        return self.dispatcher.judge(
            request_head(b"GET", url, "1.1", [(b"Host", host), AUTHORISED, *headers])
        )


def a_site(endpoints: EndpointPolicy = READS, **fields: object) -> Site:
    return Site(
        a_route(443, host="api.test", scheme="https", base_path="/v1", endpoints=endpoints, **fields)  # type: ignore[arg-type]  # further fields of Route
    )


def status(verdict: Verdict) -> int:
    """Return the status of a refusal, or 200 for what is forwarded."""
    if isinstance(verdict, Refused):
        assert verdict.refusal.status != 200
        return verdict.refusal.status
    assert isinstance(verdict, Forward)
    return 200


def test_a_refusal_names_the_option_that_would_allow_the_request() -> None:
    """The same as `nono why` suggests, on each way."""
    served, scope = a_site(), EndpointScope("api.test", 443, "https", READS, "")
    scoped, wild = Site(scopes=(scope,)), Site(scopes=(scope._replace(host="*.test"),))
    refusals = {
        "inside": (served.inside(b"/v1/admin", KEY), "--allow-endpoint alpha:GET:/v1/admin"),
        "reverse": (served.reverse(b"/admin", KEY), "--allow-endpoint alpha:GET:/v1/admin"),
        "no key": (served.inside(b"/v1/admin"), "--allow-endpoint alpha:GET:/v1/admin"),
        "a host of paths": (scoped.inside(b"/v1/admin"), "--allow-domain https://api.test/v1/admin"),
        "below a wildcard": (wild.inside(b"/v1/admin"), "--allow-domain https://api.test/v1/admin"),
    }
    for way, (verdict, option) in refusals.items():
        assert isinstance(verdict, Refused), way
        assert (verdict.refusal.status, verdict.refusal.hint) == (403, option), way


def test_the_option_is_for_the_rules_that_denied_the_request() -> None:
    """Not for another service of the host, nor for another port than the one that a path is granted at."""
    alpha = a_route(443, host="api.test", scheme="https", base_path="/v1")
    beta = a_route(443, service="beta", host="api.test", scheme="https", base_path="/v1", endpoints=READS)
    denied = Site(alpha, beta).inside(b"/v1/admin")
    assert isinstance(denied, Refused)
    assert denied.refusal.hint == "--allow-endpoint beta:GET:/v1/admin"
    scopes = tuple(EndpointScope("api.test", port, "https", READS, "") for port in (8443, 443))
    elsewhere = Site(scopes=scopes).inside(b"/v1/admin")
    assert isinstance(elsewhere, Refused)
    assert elsewhere.refusal.hint == "--allow-domain https://api.test:8443/v1/admin"  # the first of them


def test_no_option_is_named_where_a_rule_denies_the_request() -> None:
    verdict = a_site(rules("allow", deny=["GET /v1/admin"])).inside(b"/v1/admin", KEY)
    assert isinstance(verdict, Refused)
    assert verdict.refusal.hint == "remove endpoint_policy.deny[GET /v1/admin] from the test"


@pytest.mark.parametrize(("reason", "said"), [("billing is ours", ": billing is ours"), (None, "")])
def test_a_refusal_gives_the_reason_that_the_rule_has(reason: str | None, said: str) -> None:
    policy = EndpointPolicy("allow", deny=(EndpointRule("*", "/v1/admin", reason=reason),), origin="the test")
    verdict = a_site(policy).inside(b"/v1/admin", KEY)
    assert isinstance(verdict, Refused)
    assert verdict.refusal.error == f"GET /v1/admin is not allowed on api.test{said}"


CASES = [
    pytest.param(b"GET", b"/models/x", 200, id="allowed"),
    pytest.param(b"HEAD", b"/models/x", 403, id="another method"),
    pytest.param(b"POST", b"/models/x", 403, id="a method that writes"),
    pytest.param(b"GET", b"/models", 403, id="shorter"),
    pytest.param(b"GET", b"/models/x/y", 403, id="a star spans no slash"),
    pytest.param(b"GET", b"/files/x/y", 200, id="two stars do"),
    pytest.param(b"GET", b"/admin", 403, id="another path"),
    pytest.param(b"GET", b"/admin?x=/v1/models/x", 403, id="an allowed path in the query"),
    pytest.param(b"GET", b"/models/x?a=1", 200, id="with a query"),
    pytest.param(b"GET", b"/Models/x", 403, id="another case"),
    pytest.param(b"GET", b"/models/%78", 200, id="escaped, sent unescaped"),
]


@pytest.mark.parametrize(("method", "path", "expected"), CASES)
def test_a_rule_means_the_same_on_both_ways(method: bytes, path: bytes, expected: int) -> None:
    site = a_site()
    reverse = site.reverse(path, KEY, method=method)
    inside = site.inside(b"/v1" + path, KEY, method=method)
    assert status(reverse) == status(inside) == expected
    if isinstance(reverse, Forward) and isinstance(inside, Forward):
        assert reverse.request == inside.request
        assert reverse.entry.rule == inside.entry.rule
        assert reverse.entry.rule is not None
    elif isinstance(reverse, Refused) and isinstance(inside, Refused):
        assert reverse.entry.rule == inside.entry.rule
        assert reverse.refusal == inside.refusal
        assert reverse.refusal.category == "endpoint_policy"
        assert reverse.refusal.origin == "the test"


EVASIONS = [
    pytest.param(b"/files/../admin", id="dot segment"),
    pytest.param(b"/files/./x", id="single dot"),
    pytest.param(b"/files/%2e%2e/admin", id="escaped dots"),
    pytest.param(b"/files/%2E./admin", id="half escaped"),
    pytest.param(b"/files/..%2fadmin", id="escaped slash behind dots"),
    pytest.param(b"/files/%252e%252e/admin", id="double encoding"),
    pytest.param(b"/files/..;a=b/admin", id="dots with a parameter"),
    pytest.param(b"/files/..%3Ba=b/admin", id="dots with an escaped parameter"),
    pytest.param(b"/files\\..\\admin", id="backslash"),
    pytest.param(b"/files/%5c..%5cadmin", id="escaped backslash"),
    pytest.param(b"/files/x%00", id="NUL"),
    pytest.param(b"/files/x%0d%0aX:1", id="line end"),
    pytest.param(b"/files/x#y", id="fragment"),
    pytest.param(b"/files//admin", id="empty segment"),
    pytest.param(b"//evil.test/files/x", id="an authority"),
    pytest.param(b"/files/%zz", id="no escape"),
    pytest.param(b"/files/%", id="half an escape"),
    pytest.param(b"/files/%c0%ae%c0%ae/admin", id="UTF-8, overlong"),
    pytest.param(b"/files/x%2Fy", id="escaped slash"),
    pytest.param(b"/files/\xe2\x80\xae", id="bytes above ASCII"),
]


@pytest.mark.parametrize("path", EVASIONS)
def test_an_ambiguous_path_is_refused_or_sent_as_judged(path: bytes) -> None:
    site = a_site()
    try:
        verdicts = [site.reverse(path, KEY), site.inside(b"/v1" + path, KEY)]
    except ValueError:  # the head itself is malformed
        return
    for verdict in verdicts:
        if isinstance(verdict, Forward):
            sent = verdict.request.target
            assert sent.startswith(b"/v1/files/")
            assert b"/.." not in sent
        else:
            assert status(verdict) in (400, 403)
    assert status(site.reverse(b"/files/x", KEY)) == 200


@pytest.mark.parametrize("path", [b"/files/x%2Fy", b"/files//y", b"/x%2f..y"])
def test_odd_spellings_pass_only_where_no_rule_depends_on_the_path(path: bytes) -> None:
    open_site, ruled = a_site(ALLOW_ALL), a_site(READS)
    upgrades = a_site(ALLOW_ALL, upgrades=(UpgradeRule("/v1/live"),))
    scoped = Site(
        a_route(443, host="api.test", scheme="https", base_path="/v1"),
        scopes=(EndpointScope("api.test", 443, "https", rules(allow=["* /v1/**"]), ""),),
    )
    for ways, expected in ((open_site, 200), (ruled, 400), (upgrades, 400), (scoped, 400)):
        assert status(ways.reverse(path, KEY)) == expected
        assert status(ways.inside(b"/v1" + path, KEY)) == expected
    verdict = open_site.inside(b"/v1" + path, KEY)
    assert isinstance(verdict, Forward)
    assert verdict.request.target.lower() == b"/v1" + path.lower()


@pytest.mark.parametrize("path", [b"/../v2", b"/%2e%2e/v2", b"/..%2Fv2", b"/..;/v2", b"/..%3B/v2", b"/.%2e/"])
@pytest.mark.parametrize("endpoints", [ALLOW_ALL, READS], ids=["no rules", "rules"])
def test_no_spelling_leaves_the_base_path(path: bytes, endpoints: EndpointPolicy) -> None:
    site = a_site(endpoints)
    assert status(site.reverse(path, KEY)) == 400
    assert status(site.inside(b"/v1" + path, KEY)) in (400, 403)


@pytest.mark.parametrize("target", [b"/@evil.test/x", b"/:80/x", b"/x@evil.test"])
def test_what_looks_like_an_authority_stays_a_path(target: bytes) -> None:
    site = a_site(ALLOW_ALL)
    verdict = site.reverse(target, KEY)
    assert isinstance(verdict, Forward)
    assert verdict.origin == Upstream("https", "api.test", 443, "/v1")
    assert verdict.request.target == b"/v1" + target
    assert verdict.request.authority == b"api.test"


@pytest.mark.parametrize(
    "prefix", [b"/%61lpha/x", b"/../alpha/x", b"//alpha/x", b"/ALPHA/x", b"/alpha%2Fx", b"/..;/x"]
)
def test_a_prefix_is_compared_byte_by_byte(prefix: bytes) -> None:
    site = a_site(ALLOW_ALL)
    head = request_head(b"GET", prefix, "1.1", [(b"Host", b"x"), KEY])
    assert status(site.dispatcher.judge(head)) == 404


def test_a_denied_path_stays_denied_with_a_path_parameter_or_an_escape() -> None:
    site = a_site(rules("allow", deny=["* /v1/admin"]))
    for path in (b"/admin", b"/admin;x=1", b"/%61dmin", b"/admin;x"):
        assert status(site.reverse(path, KEY)) == status(site.inside(b"/v1" + path, KEY)) == 403
    assert status(site.reverse(b"/administrator", KEY)) == 200


def test_a_method_override_does_not_change_what_is_judged() -> None:
    site = a_site()
    override: Header = (b"X-HTTP-Method-Override", b"GET")
    assert status(site.inside(b"/v1/models/x", KEY, override, method=b"POST")) == 403
    assert status(site.inside(b"/v1/models/x", KEY, override)) == 403  # it would change what is carried out
    assert status(site.inside(b"/v1/models/x", KEY)) == 200
    assert status(a_site(rules(allow=["get /v1/**"])).inside(b"/v1/x", KEY)) == 200


def test_approval_is_asked_for_on_both_ways_with_the_same_rule() -> None:
    site = a_site(rules(allow=["GET /v1/**"], approve=["POST /v1/pay"]))
    for verdict in (
        site.reverse(b"/pay", KEY, method=b"POST"),
        site.inside(b"/v1/pay", KEY, method=b"POST"),
    ):
        assert isinstance(verdict, Forward)
        assert verdict.approval is not None
        assert verdict.approval.label == "endpoint_policy.approve[POST /v1/pay]"
    plain = site.reverse(b"/pay", KEY)
    assert isinstance(plain, Forward)
    assert plain.approval is None


def test_the_rules_of_a_route_hold_for_requests_without_its_phantom_too() -> None:
    site = a_site()
    assert status(site.inside(b"/v1/models/x")) == 200
    assert status(site.inside(b"/v1/admin")) == 403
    assert status(site.inside(b"/v2/admin")) == 403


# -- hosts of which some paths are granted

SCOPE = EndpointScope("api.test", 443, "https", rules(allow=["* /public/**"]), "")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(b"/public/x", 200, id="granted"),
        pytest.param(b"/public", 200, id="its root"),
        pytest.param(b"/private/x", 403, id="not granted"),
        pytest.param(b"/public/../private", 400, id="dot segment"),
        pytest.param(b"/public/%2e%2e/private", 400, id="escaped dots"),
        pytest.param(b"/public//x", 400, id="empty segment"),
        pytest.param(b"/public%2F..%2Fprivate", 400, id="escaped slash"),
    ],
)
def test_a_scoped_host_is_reached_on_its_paths_only(path: bytes, expected: int) -> None:
    site = Site(scopes=(SCOPE,))
    verdict = site.inside(path, (b"Authorization", b"Bearer own"))
    assert status(verdict) == expected
    if isinstance(verdict, Forward):
        assert verdict.route is None
        assert verdict.request.headers == [(b"Authorization", b"Bearer own")]
        assert verdict.entry.rule == "endpoint_policy.allow[* /public/**]"


@pytest.mark.parametrize(
    ("authority", "kind"),
    [
        pytest.param(b"api.test:443", Intercept, id="its port"),
        pytest.param(b"API.test.:443", Intercept, id="spelled otherwise"),
        pytest.param(b"api.test:8443", Refused, id="another port"),
        pytest.param(b"api.test:80", Refused, id="the port of http"),
        pytest.param(b"api.test:22", Refused, id="the port of SSH"),
        pytest.param(b"xapi.test:443", Tunnel, id="another host"),
        pytest.param(b"a.api.test:443", Tunnel, id="below it"),
    ],
)
def test_a_scoped_host_is_reached_at_its_own_port_only(authority: bytes, kind: type) -> None:
    verdict = Site(scopes=(SCOPE,)).connect(authority)
    assert isinstance(verdict, kind)
    if isinstance(verdict, Refused):
        assert (verdict.refusal.status, verdict.refusal.category) == (403, "endpoint_policy")


def test_without_interception_a_scoped_host_is_refused() -> None:
    dispatcher = Dispatcher(RouteTable((), (SCOPE,)), Hosts(), Secret(TOKEN), 4000)
    head = request_head(b"CONNECT", b"api.test:443", "1.1", [(b"Host", b"x"), AUTHORISED])
    verdict = dispatcher.judge(head)
    assert isinstance(verdict, Refused)
    assert verdict.refusal.category == "connect_bypasses_l7"


@pytest.mark.parametrize(
    ("scheme", "port", "url", "host", "expected"),
    [
        pytest.param("https", 443, b"http://api.test/public/x", b"api.test", 403, id="https scope, http"),
        pytest.param("https", 443, b"http://api.test:443/public/x", b"api.test:443", 403, id="at its port"),
        pytest.param("http", 80, b"http://api.test/public/x", b"api.test", 200, id="http scope"),
        pytest.param("http", 80, b"http://api.test/private", b"api.test", 403, id="another path"),
        pytest.param("http", 80, b"http://api.test/public/../private", b"api.test", 400, id="dot segment"),
        pytest.param("http", 80, b"http://api.test:81/public/x", b"api.test:81", 403, id="another port"),
        pytest.param("http", 80, b"http://other.test/private", b"other.test", 200, id="another host"),
    ],
)
def test_over_plain_http_a_scope_holds_for_its_own_scheme_and_port(
    scheme: str, port: int, url: bytes, host: bytes, expected: int
) -> None:
    scope = EndpointScope("api.test", port, scheme, SCOPE.endpoints, "")
    assert status(Site(scopes=(scope,)).absolute(url, host)) == expected


def test_a_wildcard_scope_covers_what_is_below_it() -> None:
    scope = EndpointScope("*.api.test", 443, "https", SCOPE.endpoints, "")
    site = Site(scopes=(scope,))
    assert isinstance(site.connect(b"a.b.api.test:443"), Intercept)
    assert isinstance(site.connect(b"api.test:443"), Tunnel)
    assert status(site.inside(b"/public/x", host="a.api.test")) == 200
    assert status(site.inside(b"/x", host="a.api.test")) == 403


def test_scopes_of_one_host_add_up() -> None:
    more = EndpointScope("*.test", 443, "https", rules(allow=["GET /more"]), "")
    site = Site(scopes=(SCOPE, more))
    assert status(site.inside(b"/public/x")) == 200
    assert status(site.inside(b"/more")) == 200
    assert status(site.inside(b"/most")) == 403


def test_a_phantom_that_is_sent_to_a_scoped_host_freezes_its_credential() -> None:
    site = Site(a_route(443, host="other.test", scheme="https"), scopes=(SCOPE,))
    for verdict in (site.inside(b"/public/x", KEY), site.inside(b"/public/x?k=" + PHANTOM.encode())):
        assert isinstance(verdict, Refused)
        assert (verdict.refusal.status, verdict.refusal.freezes) == (403, "alpha")


# -- a credential on a scoped host


def test_a_credential_opens_no_path_that_its_host_was_not_granted_with() -> None:
    site = Site(a_route(443, host="api.test", scheme="https"), scopes=(SCOPE,))
    for path, expected in ((b"/public/x", 200), (b"/private", 403)):
        for verdict in (site.inside(path, KEY), site.reverse(path, KEY)):
            assert status(verdict) == expected
            if isinstance(verdict, Forward):
                assert verdict.route is not None
        assert status(site.inside(path)) == expected


def test_with_a_credential_its_own_rules_replace_the_scope() -> None:
    route = a_route(443, host="api.test", scheme="https", endpoints=rules(allow=["GET /v1/x"]))
    site = Site(route, scopes=(SCOPE,))
    for verdict in (site.inside(b"/v1/x", KEY), site.reverse(b"/v1/x", KEY)):
        assert status(verdict) == 200
    for verdict in (site.inside(b"/public/x", KEY), site.reverse(b"/public/x", KEY)):
        assert status(verdict) == 403
    assert status(site.inside(b"/public/x")) == 200
    assert status(site.inside(b"/v1/x")) == 403


def test_a_scoped_host_is_no_freer_at_the_port_of_a_credential() -> None:
    site = Site(a_route(8443, host="api.test", scheme="https"), scopes=(SCOPE,))
    assert isinstance(site.connect(b"api.test:8443"), Intercept)
    assert status(site.inside(b"/public/x", KEY, port=8443)) == 200
    assert status(site.inside(b"/private", KEY, port=8443)) == 403
    assert status(site.inside(b"/private", port=8443)) == 403
    assert status(site.inside(b"/public/x", port=8443)) == 403


def test_a_denied_host_stays_denied_through_a_scope() -> None:
    site = Site(scopes=(SCOPE,), hosts=Hosts(denied=frozenset(("api.test",))))
    verdict = site.connect(b"api.test:443")
    assert isinstance(verdict, Refused)
    assert verdict.refusal.category == "host_denied"
    assert status(site.inside(b"/public/x")) == 403


# -- several routes at one host


def two_routes(alpha: EndpointPolicy, beta: EndpointPolicy, base_of_alpha: str = "") -> Site:
    return Site(
        a_route(443, host="api.test", scheme="https", endpoints=alpha, base_path=base_of_alpha),
        a_route(443, service="beta", host="api.test", scheme="https", phantom=BETA, endpoints=beta),
    )


def test_what_an_explicit_policy_denies_no_sibling_allows() -> None:
    explicit = EndpointPolicy(
        "allow", deny=(EndpointRule("*", "/admin"),), origin="the profile", is_explicit=True
    )
    legacy = EndpointPolicy("allow", deny=(EndpointRule("*", "/admin"),), origin="the profile")
    assert status(two_routes(explicit, ALLOW_ALL).inside(b"/admin", BETA_KEY)) == 403
    assert status(two_routes(explicit, ALLOW_ALL).inside(b"/x", BETA_KEY)) == 200
    assert status(two_routes(legacy, ALLOW_ALL).inside(b"/admin", BETA_KEY)) == 200
    elsewhere = two_routes(explicit, ALLOW_ALL, base_of_alpha="/v1")
    assert status(elsewhere.inside(b"/admin", BETA_KEY)) == 200


def test_the_phantom_chooses_the_rules_of_its_route() -> None:
    site = two_routes(rules(allow=["GET /a"]), rules(allow=["GET /b"]))
    assert status(site.inside(b"/a", KEY)) == 200
    assert status(site.inside(b"/a", BETA_KEY)) == 403
    assert status(site.inside(b"/b", BETA_KEY)) == 200
    assert status(site.inside(b"/b", KEY)) == 403


def test_a_wildcard_route_stands_under_a_real_filter() -> None:
    route = a_route(443, host="*.api.test", scheme="https")
    site = Site(route, hosts=HostFilter(allow=()))
    assert isinstance(site.connect(b"a.api.test:443"), Intercept)
    assert status(site.inside(b"/x", KEY, host="a.api.test")) == 200
    assert status(site.inside(b"/x", host="a.api.test")) == 401
    assert isinstance(site.connect(b"api.test:443"), Refused)
    assert isinstance(site.connect(b"a.api.test:8443"), Refused)


def test_an_http_upstream_has_its_rules_over_plain_http_too() -> None:
    route = a_route(8080, host="localhost", endpoints=rules(allow=["GET /ok"]))
    site = Site(route)
    assert status(site.absolute(b"http://localhost:8080/ok", b"localhost:8080")) == 200
    assert status(site.absolute(b"http://localhost:8080/admin", b"localhost:8080")) == 403
    assert status(site.absolute(b"http://localhost:8080/ok/../admin", b"localhost:8080")) == 400
    assert status(site.absolute(b"http://localhost:8081/admin", b"localhost:8081")) == 200


# -- on the wire


def test_what_is_judged_is_what_arrives_on_both_ways() -> None:
    with upstream() as server:
        route = a_route(
            server.port, host="localhost", base_path="/v1", endpoints=rules(allow=["GET /v1/files/**"])
        )
        with (
            intercepting(route) as p,
            Client(p.port) as outside,
            p.inside("localhost", server.port) as inside,
        ):
            fields = b" HTTP/1.1\r\nHost: localhost:%d\r\nX-Api-Key: %b\r\n\r\n" % (
                server.port,
                PHANTOM.encode(),
            )
            for path, expected in ((b"/files/%7euser/%2c?q=%2e", 200), (b"/files/%2e%2e", 400), (b"/x", 403)):
                outside.send(b"GET /alpha" + path + fields)
                assert outside.response().status == expected
                inside.send(b"GET /v1" + path + fields)
                assert inside.response().status == expected
    assert [request.target for request in server.requests] == [b"/v1/files/~user/%2C?q=%2e"] * 2


def test_a_scope_in_the_clear_is_served_inside_and_as_absolute_form() -> None:
    with upstream() as server:
        scope = EndpointScope("localhost", server.port, "http", rules(allow=["GET /public/*"]), "")
        with intercepting(scopes=(scope,)) as p:
            with p.inside("localhost", server.port) as client:
                for path, expected in (("/public/a", 200), ("/private", 403)):
                    client.send(f"GET {path} HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
                    assert client.response().status == expected
            with Client(p.port) as client:
                token = "Basic " + b64encode(f"nono:{TOKEN}".encode()).decode()
                for path, expected in (("/public/b", 200), ("/private", 403)):
                    client.send(
                        f"GET http://localhost:{server.port}{path} HTTP/1.1\r\n"
                        f"Host: localhost:{server.port}\r\nProxy-Authorization: {token}\r\n\r\n".encode()
                    )
                    assert client.response().status == expected
        decisions = p.recording.decisions()
    assert [request.target for request in server.requests] == [b"/public/a", b"/public/b"]
    assert decisions == [("allow", None)] * 2 + [
        ("deny", "endpoint_policy"),
        ("allow", None),
        ("deny", "endpoint_policy"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("Cookie: session={}; theme=dark", id="within a cookie"),
        pytest.param("Referer: https://elsewhere.test/?key={}", id="within a URL"),
        pytest.param("X-Trace: a{}b", id="between other letters"),
    ],
)
@pytest.mark.parametrize("whose", ["own", "another service's"])
def test_a_phantom_within_another_text_does_not_leave(line: str, whose: str) -> None:
    other = "sk-phantom-of-beta"
    phantom = PHANTOM if whose == "own" else other
    with upstream() as server:
        routes = (a_route(server.port), a_route(server.port, service="beta", phantom=other))
        with intercepting(*routes) as p, Client(p.port) as client:
            fields = f"Host: x\r\nAuthorization: Bearer {PHANTOM}\r\n"
            client.send(f"GET /alpha/x HTTP/1.1\r\n{fields}{line.format(phantom)}\r\n\r\n".encode())
            assert client.response().status == (401 if whose == "own" else 403)
            client.send(f"GET /alpha/x HTTP/1.1\r\n{fields}{line.format('sk-phantom-of')}\r\n\r\n".encode())
            assert client.response().status == 200
            assert len(server.requests) == 1
            assert p.recording.decisions() == [("deny", "authentication_failed"), ("allow", None)]
