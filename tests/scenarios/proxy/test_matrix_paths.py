"""Path and method tricks, by every way on which the proxy reads them: what is judged is what arrives."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.proxy.verdict.routes import Scope
from support.proxy.transports import (
    API,
    READABLE,
    TEXTUAL,
    WITH_CREDENTIAL,
    Answer,
    FiveWays,
    Way,
    five_ways,
    statuses,
)

RULES = EndpointPolicy(
    "deny",
    deny=(EndpointRule("*", "/v1/files/secret/**"),),
    allow=(EndpointRule("GET", "/v1/files/**"),),
    origin="the test",
)

EVASIONS = {
    "empty segment": "/files//secret/x",
    "dot": "/files/./secret/x",
    "dots": "/files/a/../secret/x",
    "out of the base path": "/../admin",
    "escaped dots": "/files/%2e%2e/%2e%2e/admin",
    "half escaped": "/files/%2E./admin",
    "dots and an escaped slash": "/files/..%2f..%2fadmin",
    "escaped twice": "/files/%252e%252e/admin",
    "backslash": "/files\\..\\admin",
    "escaped backslash": "/files/%5c..%5cadmin",
    "parameter": "/files/secret;a=b/x",
    "dots with a parameter": "/files/..;/admin",
    "fragment": "/files/x#/../secret",
    "query that looks allowed": "/admin?/v1/files/x",
    "escaped question mark": "/admin%3f/v1/files/x",
    "another case": "/Files/x",
    "NUL": "/files/x%00",
    "line end": "/files/x%0d%0aX:%201",
    "overlong UTF-8": "/files/%c0%ae%c0%ae/secret/x",
    "escaped letter of a denied path": "/files/%73ecret/x",
    "escaped slash of a denied path": "/files%2fsecret/x",
    "trailing slash of a denied path": "/files/secret/",
    "not UTF-8": "/files/%FFx/../secret",
    "no escape": "/files/%zz",
}


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
def test_no_spelling_of_a_path_gets_around_a_rule(way: Way) -> None:
    below = "" if way is Way.REVERSE else "/v1"
    with five_ways(base_path="/v1", endpoints=RULES) as ways:
        for name, path in EVASIONS.items():
            assert ways.ask(way, below + path).status in (400, 403), name
        assert ways.is_untouched
        assert len(ways.denials) == len(EVASIONS)
        assert ways.ask(way, below + "/files/%78/y").status == 200
        assert [request.target for request in ways.requests] == [b"/v1/files/x/y"]


def test_no_spelling_of_a_path_gets_around_the_rule_of_a_host_in_the_clear() -> None:
    with five_ways(scoped=RULES) as ways:
        for name, path in EVASIONS.items():
            assert ways.ask(Way.ABSOLUTE, "/v1" + path).status in (400, 403), name
        assert ways.is_untouched
        assert len(ways.denials) == len(EVASIONS)
        assert ways.ask(Way.ABSOLUTE, "/v1/files/%78/y").status == 200
        assert [request.target for request in ways.requests] == [b"/v1/files/x/y"]


def test_a_host_that_is_granted_for_some_paths_is_not_tunnelled_to() -> None:
    with five_ways(scoped=RULES) as ways:
        assert ways.ask(Way.TUNNEL).status == 403
        assert ways.is_untouched
        assert [event["denial_category"] for event in ways.denials] == ["endpoint_policy"]
    with five_ways() as ways:
        assert ways.ask(Way.TUNNEL).status == 200


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
def test_what_passes_where_no_rule_is_stays_below_the_base_path(way: Way) -> None:
    below = "" if way is Way.REVERSE else "/v1"
    outside = [
        "/../admin",
        "/%2e%2e/admin",
        "/..;/admin",
        "/a/..%2f..%2fadmin",
        "/a/../../admin",
        "/..\\admin",
    ]
    with five_ways(base_path="/v1") as ways:
        for path in outside:
            assert ways.ask(way, below + path).status in (400, 403), path
        assert ways.is_untouched
        for path in ("/@evil.test/x", "//evil.test/x", "/http://evil.test/", "/a%2Fb"):
            ways.ask(way, below + path)
        for request in ways.requests:
            assert request.target.startswith(b"/v1/")
            assert ".." not in unquote(request.target.decode())
            assert request.value(b"host") == ways.authority_of(way).encode()


@pytest.mark.parametrize("way", [Way.INSIDE, Way.HTTP2])
def test_beside_the_base_path_there_is_no_credential(way: Way) -> None:
    with five_ways(base_path="/v1") as ways:
        for path in ("/admin", "/v1x", "/v2/x", "/"):
            assert ways.ask(way, path).status == 403, path
        assert ways.is_untouched
        assert ways.ask(way, "/v1/x").status == 200


@pytest.mark.parametrize(
    "prefix", ["..", "%61lpha", "Alpha", "alpha%00", "alpha;x", "_ep_api.test", "", "alpha.", "alphaa"]
)
def test_a_service_has_one_spelling(prefix: str) -> None:
    with five_ways() as ways:
        head = ways.head(Way.REVERSE).replace(b"/alpha/x", f"/{prefix}/x".encode())
        back = ways.raw(Way.REVERSE, head + b"connection: close\r\n\r\n")
        assert statuses(back) in ([404], [400])
        assert ways.is_untouched
        assert len(ways.denials) == 1
        assert ways.ask(Way.REVERSE).status == 200


METHODS = {
    "lower case": ("get", 400),
    "mixed case": ("Get", 400),
    "unknown": ("SMUGGLE", 400),
    "tab within": ("GE\tT", 400),
    "blank": ("G ET", 400),
    "empty": ("", 400),
    "lower-case connect": ("connect", 400),
    "HTTP/2 preface": ("PRI", 400),
}


@pytest.mark.parametrize("way", TEXTUAL)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_is_none_is_malformed(way: Way, name: str) -> None:
    method, status = METHODS[name]
    with five_ways() as ways:
        assert statuses(ways.raw(way, ways.head(way, method=method) + b"\r\n")) == [status]
        assert ways.is_untouched
        assert [event["status"] for event in ways.denials] == [status]


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
def test_a_rule_for_get_is_none_for_any_other_method(way: Way) -> None:
    with five_ways(endpoints=RULES) as ways:
        for method in ("HEAD", "POST", "DELETE", "OPTIONS", "PATCH", "PROPFIND"):
            assert ways.ask(way, "/v1/files/x", method=method).status == 403, method
        assert ways.is_untouched
        assert len(ways.denials) == 6
        assert ways.ask(way, "/v1/files/x").status == 200


METHOD_OVERRIDES = ["x-http-method-override", "x-http-method", "x-method-override", "x_http_method_override"]
PATH_OVERRIDES = ["x-original-url", "x-rewrite-url"]


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
@pytest.mark.parametrize("name", METHOD_OVERRIDES)
def test_the_method_is_that_of_the_request_line(way: Way, name: str) -> None:
    with five_ways(endpoints=RULES) as ways:
        assert ways.ask(way, "/v1/files/x", method="DELETE", fields=[(name, "GET")]).status == 403
        assert ways.is_untouched
        assert ways.ask(way, "/v1/files/x").status == 200


@pytest.mark.parametrize("has_rules", [True, False], ids=["rules", "none"])
@pytest.mark.parametrize("way", WITH_CREDENTIAL)
@pytest.mark.parametrize("name", [*METHOD_OVERRIDES, *PATH_OVERRIDES])
def test_no_field_makes_another_request_of_one_that_was_judged(way: Way, name: str, has_rules: bool) -> None:
    value = "/v1/files/secret/x" if name in PATH_OVERRIDES else "DELETE"
    with five_ways(endpoints=RULES if has_rules else EndpointPolicy()) as ways:
        answer = ways.ask(way, "/v1/files/x", fields=[(name, value)])
        assert_refused_for_its_field(ways, answer, name, refused=has_rules)
        assert ways.ask(way, "/v1/files/x", fields=[("x-other", value)]).status == 200


@pytest.mark.parametrize("has_rules", [True, False], ids=["rules", "none"])
@pytest.mark.parametrize("way", READABLE)
def test_no_field_makes_another_request_of_one_that_the_rules_of_its_host_allow(
    way: Way, has_rules: bool
) -> None:
    at_api: dict[str, object] | None = None
    if has_rules and way in WITH_CREDENTIAL:
        at_api = {"scopes": (Scope(API, 443, "https", RULES),)}
    with five_ways(scoped=RULES if has_rules else None, options=at_api) as ways:
        answer = ways.ask(way, "/v1/files/x", fields=[("x-original-url", "/v1/files/secret/x")])
        assert_refused_for_its_field(ways, answer, "x-original-url", refused=has_rules)
        assert ways.ask(way, "/v1/files/x", fields=[("x-other", "/v1/files/secret/x")]).status == 200


def assert_refused_for_its_field(ways: FiveWays, answer: Answer, name: str, *, refused: bool) -> None:
    if not refused:
        assert answer.status == 200
        assert len(ways.requests[0].values(name.encode())) == 1
        return
    assert answer.status == 403
    assert ways.is_untouched
    (denial,) = ways.denials
    assert denial["denial_category"] == "endpoint_policy"
    assert name in str(denial["reason"]).lower()


@pytest.mark.parametrize("way", READABLE)
def test_trace_never_reaches_a_credential_route(way: Way) -> None:
    with five_ways() as ways:
        status = ways.ask(way, method="TRACE").status
        if way in WITH_CREDENTIAL:
            assert status in (403, 405)
            assert ways.is_untouched
        else:
            assert all(b"proxy-authorization" not in request.head.lower() for request in ways.requests)


@pytest.mark.parametrize("way", [Way.INSIDE, Way.REVERSE])
@pytest.mark.parametrize(
    "target", ["*", "https://api.test/x", "http://evil.test/x", "api.test:443", "x", "?x"]
)
def test_no_other_form_of_a_target_is_served_there(way: Way, target: str) -> None:
    with five_ways() as ways:
        head = ways.head(way, method="OPTIONS" if target == "*" else "GET")
        line, rest = head.split(b"\r\n", 1)
        asked = line.split(b" ")[1]
        back = ways.raw(
            way, line.replace(asked, target.encode()) + b"\r\n" + rest + b"connection: close\r\n\r\n"
        )
        assert statuses(back)[0] in (400, 407)
        assert ways.is_untouched
        assert len(ways.denials) == 1


@pytest.mark.parametrize("way", TEXTUAL)
def test_a_connect_within_another_request_is_not_served(way: Way) -> None:
    with five_ways() as ways:
        request = b"CONNECT evil.test:443 HTTP/1.1\r\nhost: evil.test:443\r\n\r\n"
        with ways.client(way) as client:
            client.send(ways.head(way) + b"\r\n")
            assert client.response().status == 200
            client.send(request)
            assert client.response().status == (501 if way is Way.INSIDE else 407)
        assert ways.proxy.names.asked == [ways.host_of(way)]
        assert len(ways.requests) == 1
        assert len(ways.denials) == 1


def test_a_connect_on_a_stream_is_not_served() -> None:
    with five_ways() as ways, ways.http2() as client:
        plain = client.request(pseudo=[(":method", "CONNECT"), (":authority", "evil.test:443")], end=False)
        extended = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/x"),
            (":authority", ways.authority_of(Way.HTTP2)),
        ]  # fmt: skip
        assert client.answer(plain).status == 501
        assert client.answer(client.request(pseudo=extended, end=False)).status == 501
        assert ways.is_untouched
        assert len(ways.denials) == 2


@pytest.mark.parametrize("way", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    ("upgrade", "status"),
    [("h2c", 400), ("tls/1.2", 400), ("websocket, h2c", 400)],
)
def test_no_upgrade_to_another_protocol_is_passed_on(way: Way, upgrade: str, status: int) -> None:
    fields = [
        ("upgrade", upgrade),
        ("connection", "upgrade, http2-settings"),
        ("http2-settings", "AAMAAABkAAQ"),
    ]
    with five_ways() as ways:
        assert ways.ask(way, fields=fields).status == status
        assert ways.is_untouched
        assert len(ways.denials) == 1
        assert ways.ask(way).status == 200
