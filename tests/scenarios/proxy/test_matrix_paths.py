"""Path and method tricks, over every transport that the proxy reads: what is judged is what arrives."""

from __future__ import annotations

from urllib.parse import unquote

import pytest

from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.hosts.endpoint_scope import EndpointScope
from support.proxy.transports import (
    API,
    READABLE,
    TEXTUAL,
    WITH_CREDENTIAL,
    Answer,
    FiveTransports,
    Transport,
    five_transports,
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
    "dots with an escaped parameter": "/files/..%3b/admin",
    "dots with a blank": "/files/..%20/admin",
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


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_no_spelling_of_a_path_gets_around_a_rule(transport: Transport) -> None:
    below = "" if transport is Transport.REVERSE else "/v1"
    with five_transports(base_path="/v1", endpoints=RULES) as stage:
        for name, path in EVASIONS.items():
            assert stage.ask(transport, below + path).status in (400, 403), name
        assert stage.is_untouched
        assert len(stage.denials) == len(EVASIONS)
        assert stage.ask(transport, below + "/files/%78/y").status == 200
        assert [request.target for request in stage.requests] == [b"/v1/files/x/y"]


def test_no_spelling_gets_around_a_path_rule_over_plain_http() -> None:
    with five_transports(scoped=RULES) as stage:
        for name, path in EVASIONS.items():
            assert stage.ask(Transport.ABSOLUTE, "/v1" + path).status in (400, 403), name
        assert stage.is_untouched
        assert len(stage.denials) == len(EVASIONS)
        assert stage.ask(Transport.ABSOLUTE, "/v1/files/%78/y").status == 200
        assert [request.target for request in stage.requests] == [b"/v1/files/x/y"]


def test_a_host_that_is_granted_for_some_paths_is_not_tunnelled_to() -> None:
    with five_transports(scoped=RULES) as stage:
        assert stage.ask(Transport.TUNNEL).status == 403
        assert stage.is_untouched
        assert [event["denial_category"] for event in stage.denials] == ["endpoint_policy"]
    with five_transports() as stage:
        assert stage.ask(Transport.TUNNEL).status == 200


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_what_passes_where_no_rule_is_stays_below_the_base_path(transport: Transport) -> None:
    below = "" if transport is Transport.REVERSE else "/v1"
    outside = [
        "/../admin",
        "/%2e%2e/admin",
        "/..;/admin",
        "/a/..%2f..%2fadmin",
        "/a/../../admin",
        "/..\\admin",
    ]
    with five_transports(base_path="/v1") as stage:
        for path in outside:
            assert stage.ask(transport, below + path).status in (400, 403), path
        assert stage.is_untouched
        for path in ("/@evil.test/x", "//evil.test/x", "/http://evil.test/", "/a%2Fb"):
            stage.ask(transport, below + path)
        for request in stage.requests:
            assert request.target.startswith(b"/v1/")
            assert ".." not in unquote(request.target.decode())
            assert request.value(b"host") == stage.authority_of(transport).encode()


@pytest.mark.parametrize("transport", [Transport.INSIDE, Transport.HTTP2])
def test_beside_the_base_path_there_is_no_credential(transport: Transport) -> None:
    with five_transports(base_path="/v1") as stage:
        for path in ("/admin", "/v1x", "/v2/x", "/"):
            assert stage.ask(transport, path).status == 403, path
        assert stage.is_untouched
        assert stage.ask(transport, "/v1/x").status == 200


@pytest.mark.parametrize(
    "prefix", ["..", "%61lpha", "Alpha", "alpha%00", "alpha;x", "_ep_api.test", "", "alpha.", "alphaa"]
)
def test_a_service_has_one_spelling(prefix: str) -> None:
    with five_transports() as stage:
        head = stage.head(Transport.REVERSE).replace(b"/alpha/x", f"/{prefix}/x".encode())
        back = stage.raw(Transport.REVERSE, head + b"connection: close\r\n\r\n")
        assert statuses(back) in ([404], [400])
        assert stage.is_untouched
        assert len(stage.denials) == 1
        assert stage.ask(Transport.REVERSE).status == 200


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


@pytest.mark.parametrize("transport", TEXTUAL)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_that_is_none_is_malformed(transport: Transport, name: str) -> None:
    method, status = METHODS[name]
    with five_transports() as stage:
        assert statuses(stage.raw(transport, stage.head(transport, method=method) + b"\r\n")) == [status]
        assert stage.is_untouched
        assert [event["status"] for event in stage.denials] == [status]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_rule_for_get_is_none_for_any_other_method(transport: Transport) -> None:
    with five_transports(endpoints=RULES) as stage:
        for method in ("HEAD", "POST", "DELETE", "OPTIONS", "PATCH", "PROPFIND"):
            assert stage.ask(transport, "/v1/files/x", method=method).status == 403, method
        assert stage.is_untouched
        assert len(stage.denials) == 6
        assert stage.ask(transport, "/v1/files/x").status == 200


LENIENT = EndpointPolicy(
    "allow", deny=(EndpointRule("*", "/admin/**"), EndpointRule("DELETE", "/**")), origin="the test"
)
ASKED = LENIENT._replace(deny=(), approve=LENIENT.deny)
LENIENT_SPELLINGS = [
    "/ADMIN/keys",
    "/Admin/keys",
    "/admin./keys",
    "/admin/",
    "/admin.json",
    "/admin;x/keys",
    "/admin%3Fx",
]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("path", LENIENT_SPELLINGS)
def test_a_lenient_spelling_of_a_denied_path_is_denied(transport: Transport, path: str) -> None:
    with five_transports(endpoints=LENIENT) as stage:
        assert stage.ask(transport, path).status == 403
        assert stage.is_untouched
        (denial,) = stage.denials
        assert (denial["denial_category"], denial["rule"]) == (
            "endpoint_policy",
            "endpoint_policy.deny[* /admin/**]",
        )
        assert stage.ask(transport, path.replace("dmin", "dopt").replace("DMIN", "DOPT")).status == 200


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("path", LENIENT_SPELLINGS)
def test_a_lenient_spelling_of_a_path_to_approve_is_not_sent_unasked(transport: Transport, path: str) -> None:
    with five_transports(endpoints=ASKED) as stage:
        assert stage.ask(transport, path).status == 403  # there is nobody to ask
        assert stage.is_untouched
        assert stage.denials[0]["rule"] == "endpoint_policy.approve[* /admin/**]"


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_another_case_of_an_allowed_path_is_not_allowed(transport: Transport) -> None:
    with five_transports(endpoints=RULES) as stage:
        assert stage.ask(transport, "/v1/FILES/x").status == 403
        assert stage.is_untouched
        assert stage.ask(transport, "/v1/files/x").status == 200


@pytest.mark.parametrize("transport", READABLE)
@pytest.mark.parametrize("query", ["_method=DELETE", "a=b&%5Fmethod=delete", "method=DELETE"])
def test_no_parameter_makes_another_request_of_one_that_was_judged(transport: Transport, query: str) -> None:
    with five_transports(endpoints=LENIENT, scoped=LENIENT) as stage:
        assert stage.ask(transport, f"/projects/7?{query}", method="POST", body=b"").status == 403
        assert stage.is_untouched
        (denial,) = stage.denials
        assert denial["denial_category"] == "endpoint_policy"
        assert "the query parameter" in str(denial["reason"])
        assert stage.ask(transport, "/projects/7?other=DELETE", method="POST", body=b"").status == 200


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_without_rules_such_a_parameter_passes(transport: Transport) -> None:
    with five_transports() as stage:
        assert stage.ask(transport, "/projects/7?_method=DELETE", method="POST", body=b"").status == 200


METHOD_OVERRIDES = ["x-http-method-override", "x-http-method", "x-method-override", "x_http_method_override"]
PATH_OVERRIDES = ["x-original-url", "x-rewrite-url"]


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("name", METHOD_OVERRIDES)
def test_the_method_is_that_of_the_request_line(transport: Transport, name: str) -> None:
    with five_transports(endpoints=RULES) as stage:
        assert stage.ask(transport, "/v1/files/x", method="DELETE", fields=[(name, "GET")]).status == 403
        assert stage.is_untouched
        assert stage.ask(transport, "/v1/files/x").status == 200


@pytest.mark.parametrize("has_rules", [True, False], ids=["rules", "none"])
@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize("name", [*METHOD_OVERRIDES, *PATH_OVERRIDES])
def test_no_field_makes_another_request_of_one_that_was_judged(
    transport: Transport, name: str, has_rules: bool
) -> None:
    value = "/v1/files/secret/x" if name in PATH_OVERRIDES else "DELETE"
    with five_transports(endpoints=RULES if has_rules else EndpointPolicy()) as stage:
        answer = stage.ask(transport, "/v1/files/x", fields=[(name, value)])
        assert_refused_for_its_field(stage, answer, name, refused=has_rules)
        assert stage.ask(transport, "/v1/files/x", fields=[("x-other", value)]).status == 200


@pytest.mark.parametrize("has_rules", [True, False], ids=["rules", "none"])
@pytest.mark.parametrize("transport", READABLE)
def test_no_field_turns_an_allowed_request_into_another(transport: Transport, has_rules: bool) -> None:
    at_api: dict[str, object] | None = None
    if has_rules and transport in WITH_CREDENTIAL:
        at_api = {"scopes": (EndpointScope(API, 443, "https", RULES, ""),)}
    with five_transports(scoped=RULES if has_rules else None, options=at_api) as stage:
        answer = stage.ask(transport, "/v1/files/x", fields=[("x-original-url", "/v1/files/secret/x")])
        assert_refused_for_its_field(stage, answer, "x-original-url", refused=has_rules)
        assert stage.ask(transport, "/v1/files/x", fields=[("x-other", "/v1/files/secret/x")]).status == 200


def assert_refused_for_its_field(stage: FiveTransports, answer: Answer, name: str, *, refused: bool) -> None:
    if not refused:
        assert answer.status == 200
        assert len(stage.requests[0].values(name.encode())) == 1
        return
    assert answer.status == 403
    assert stage.is_untouched
    (denial,) = stage.denials
    assert denial["denial_category"] == "endpoint_policy"
    assert name in str(denial["reason"]).lower()


@pytest.mark.parametrize("transport", READABLE)
def test_trace_never_reaches_a_credential_route(transport: Transport) -> None:
    with five_transports() as stage:
        status = stage.ask(transport, method="TRACE").status
        if transport in WITH_CREDENTIAL:
            assert status in (403, 405)
            assert stage.is_untouched
        else:
            assert all(b"proxy-authorization" not in request.head.lower() for request in stage.requests)


@pytest.mark.parametrize("transport", [Transport.INSIDE, Transport.REVERSE])
@pytest.mark.parametrize(
    "target", ["*", "https://api.test/x", "http://evil.test/x", "api.test:443", "x", "?x"]
)
def test_no_other_form_of_a_target_is_served_there(transport: Transport, target: str) -> None:
    with five_transports() as stage:
        head = stage.head(transport, method="OPTIONS" if target == "*" else "GET")
        line, rest = head.split(b"\r\n", 1)
        asked = line.split(b" ")[1]
        back = stage.raw(
            transport, line.replace(asked, target.encode()) + b"\r\n" + rest + b"connection: close\r\n\r\n"
        )
        assert statuses(back)[0] in (400, 407)
        assert stage.is_untouched
        assert len(stage.denials) == 1


@pytest.mark.parametrize("transport", TEXTUAL)
def test_a_connect_within_another_request_is_not_served(transport: Transport) -> None:
    with five_transports() as stage:
        request = b"CONNECT evil.test:443 HTTP/1.1\r\nhost: evil.test:443\r\n\r\n"
        with stage.client(transport) as client:
            client.send(stage.head(transport) + b"\r\n")
            assert client.response().status == 200
            client.send(request)
            assert client.response().status == (501 if transport is Transport.INSIDE else 407)
        assert stage.proxy.names.asked == [stage.host_of(transport)]
        assert len(stage.requests) == 1
        assert len(stage.denials) == 1


def test_a_connect_on_a_stream_is_not_served() -> None:
    with five_transports() as stage, stage.http2() as client:
        plain = client.request(pseudo=[(":method", "CONNECT"), (":authority", "evil.test:443")], end=False)
        extended = [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/x"),
            (":authority", stage.authority_of(Transport.HTTP2)),
        ]  # fmt: skip
        assert client.answer(plain).status == 501
        assert client.answer(client.request(pseudo=extended, end=False)).status == 501
        assert stage.is_untouched
        assert len(stage.denials) == 2


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
@pytest.mark.parametrize(
    ("upgrade", "status"),
    [("h2c", 400), ("tls/1.2", 400), ("websocket, h2c", 400)],
)
def test_no_upgrade_to_another_protocol_is_passed_on(transport: Transport, upgrade: str, status: int) -> None:
    fields = [
        ("upgrade", upgrade),
        ("connection", "upgrade, http2-settings"),
        ("http2-settings", "AAMAAABkAAQ"),
    ]
    with five_transports() as stage:
        assert stage.ask(transport, fields=fields).status == status
        assert stage.is_untouched
        assert len(stage.denials) == 1
        assert stage.ask(transport).status == 200
