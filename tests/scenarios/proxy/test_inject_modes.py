"""Where the child puts its phantom and where the credential goes: every combination, on both ways."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import Inject
from nono.proxy.verdict.routes import Route
from nono.secret import Secret
from support.proxy.interception import Intercepting, intercepting
from support.proxy.thread import PHANTOM, Client, Response, a_route
from support.servers.http1 import HttpUpstream, upstream

REAL = "real:s3cret-value"  # in every form: a user and a password, a segment, a parameter
QUOTED = b"real%3As3cret-value"
BASIC = b"Basic " + b64encode(REAL.encode())

HEADER = Inject()
X_KEY = Inject(header="X-Custom", format="{}")
BASIC_AUTH = Inject("basic_auth")
URL_PATH = Inject("url_path", path_pattern="/bot{}/", path_replacement="/bot{}/")
OTHER_PATH = Inject("url_path", path_pattern="/key-{}/", path_replacement="/key-{}/")
QUERY = Inject("query_param", query_param="key")
OTHER_QUERY = Inject("query_param", query_param="token")


def mode_route(port: int, accept: Inject, inject: Inject, **fields: object) -> Route:
    credential = StaticCredential(injection_of(inject, Secret(REAL)), None)
    fields = {"accept": accept, "inject": inject, "injection_mode": inject.mode, **fields}
    route = a_route(port, host="localhost", credential=credential)
    return replace(route, **fields)  # type: ignore[arg-type]  # a test names the fields it changes


@contextmanager
def ways(accept: Inject, inject: Inject, **fields: object) -> Iterator[tuple[HttpUpstream, Intercepting]]:
    with upstream() as server, intercepting(mode_route(server.port, accept, inject, **fields)) as p:
        yield server, p


def ask(server: HttpUpstream, p: Intercepting, path: str, fields: str = "") -> Response:
    """Send the same request both ways, and compare the answers. Returns the second."""
    lines = f" HTTP/1.1\r\nHost: localhost:{server.port}\r\n{fields}\r\n"
    with Client(p.port) as outside, p.inside("localhost", server.port) as inside:
        outside.send(f"GET /alpha{path}{lines}".encode())
        first = outside.response()
        inside.send(f"GET {path}{lines}".encode())
        second = inside.response()
    assert first.status == second.status
    assert p.recording.network[-1]["mode"] == "connect_intercept"
    for text in (PHANTOM, REAL, QUOTED.decode()):
        assert text not in json.dumps(p.recording.events)
    return second


PRESENTED = {
    HEADER: ("/send?a=1", f"Authorization: Bearer {PHANTOM}\r\n"),
    X_KEY: ("/send?a=1", f"X-Custom: {PHANTOM}\r\n"),
    BASIC_AUTH: ("/send?a=1", f"Authorization: Basic {b64encode(f'u:{PHANTOM}'.encode()).decode()}\r\n"),
    URL_PATH: (f"/bot{PHANTOM}/send?a=1", ""),
    QUERY: (f"/send?key={PHANTOM}&a=1", ""),
}
NAMES = {HEADER: "header", X_KEY: "own header", BASIC_AUTH: "basic", URL_PATH: "path", QUERY: "query"}
WRITTEN = {
    HEADER: (b"/send?a=1", [(b"authorization", b"Bearer " + REAL.encode())]),
    X_KEY: (b"/send?a=1", [(b"x-custom", REAL.encode())]),
    BASIC_AUTH: (b"/send?a=1", [(b"authorization", BASIC)]),
    URL_PATH: (b"/bot" + REAL.encode() + b"/send?a=1", []),
    QUERY: (b"/send?a=1&key=" + QUOTED, []),
}


@pytest.mark.parametrize("inject", WRITTEN, ids=NAMES.get)
@pytest.mark.parametrize("accept", PRESENTED, ids=NAMES.get)
def test_the_credential_stands_where_the_upstream_wants_it(accept: Inject, inject: Inject) -> None:
    path, fields = PRESENTED[accept]
    if inject is URL_PATH and accept is not URL_PATH:
        path = path.replace("/send", "/botX/send")  # the child leaves a place for the key
    with ways(accept, inject) as (server, p):
        assert ask(server, p, path, fields).status == 200
    for request in server.requests:
        target, added = WRITTEN[inject]
        assert request.target == target
        assert [field for field in request.fields if field[0] != b"host"] == added
    allowed = [event for event in p.recording.network if event["method"] == "GET"]
    assert [event["injection_mode"] for event in allowed] == [inject.mode] * 2
    mechanism = {"url_path": "phantom_path", "query_param": "phantom_query"}.get(
        accept.mode, "phantom_header"
    )
    assert [event["auth_mechanism"] for event in allowed] == [mechanism] * 2


@pytest.mark.parametrize("inject", WRITTEN, ids=NAMES.get)
@pytest.mark.parametrize("accept", PRESENTED, ids=NAMES.get)
@pytest.mark.parametrize(("key", "status"), [("sk-own", 401), ("", 401)], ids=["own key", "no key"])
def test_another_key_in_the_slot_reaches_neither_upstream_nor_record(
    accept: Inject, inject: Inject, key: str, status: int
) -> None:
    path, fields = PRESENTED[accept]
    if inject is URL_PATH and accept is not URL_PATH:
        path = path.replace("/send", "/botX/send")
    if accept is BASIC_AUTH:
        fields = f"Authorization: Basic {b64encode(f':{key}'.encode()).decode()}\r\n"
    path, fields = path.replace(PHANTOM, key), fields.replace(PHANTOM, key)
    lines = f" HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n"
    with ways(accept, inject) as (server, p), Client(p.port) as client:
        client.send(f"GET /alpha{path}{lines}".encode())
        assert client.response().status == status
        assert "sk-own" not in json.dumps(p.recording.events)
    assert server.connections == []


def test_googles_key_may_stand_in_the_query_and_a_key_of_the_childs_own_may_not() -> None:
    google = Inject(header="x-goog-api-key", format="{}")
    with ways(google, google) as (server, p):
        assert ask(server, p, f"/send?key={PHANTOM}&a=1").status == 200
        assert [event["auth_mechanism"] for event in p.recording.network[-2:]] == ["phantom_query"] * 2
        assert ask(server, p, "/send?key=sk-own&a=1").status == 401
        beside = ask(server, p, "/send?key=sk-own&a=1", f"x-goog-api-key: {PHANTOM}\r\n")
        assert (beside.status, p.recording.network[-1]["decision"]) == (403, "deny")
    assert [(each.target, each.fields[1:]) for each in server.requests] == [
        (b"/send?a=1", [(b"x-goog-api-key", REAL.encode())])
    ] * 2


def test_a_pattern_may_be_written_anew_for_the_upstream() -> None:
    inject = URL_PATH._replace(path_replacement="/api/{}/v2/")
    with ways(URL_PATH, inject) as (server, p):
        assert ask(server, p, f"/bot{PHANTOM}/send").status == 200
    assert server.requests[0].target == b"/api/" + REAL.encode() + b"/v2/send"


def test_the_child_may_use_another_pattern_or_name_than_the_upstream() -> None:
    with ways(OTHER_PATH, URL_PATH) as (server, p):
        assert ask(server, p, f"/key-{PHANTOM}/botX/send").status == 200
        assert ask(server, p, f"/bot{PHANTOM}/send").status == 401
    assert {request.target for request in server.requests} == {b"/bot" + REAL.encode() + b"/send"}
    with ways(OTHER_QUERY, QUERY) as (server, p):
        assert ask(server, p, f"/send?token={PHANTOM}&key=own").status == 200
        assert ask(server, p, f"/send?key={PHANTOM}").status == 401
    assert {request.target for request in server.requests} == {b"/send?key=" + QUOTED}


@pytest.mark.parametrize("path", ["/send", "/bot/send", "/x/bot"])
def test_a_path_without_a_place_for_the_credential_is_the_clients_mistake(path: str) -> None:
    with ways(HEADER, URL_PATH) as (server, p):
        assert ask(server, p, path, PRESENTED[HEADER][1]).status == 400
    assert server.connections == []


@pytest.mark.parametrize("base_path", ["/base", "/bot7/v1"])
def test_a_pattern_is_about_what_stands_below_the_base_path(base_path: str) -> None:
    accept = Inject("url_path", path_pattern="/{}/", path_replacement="/{}/")
    with (
        upstream() as server,
        intercepting(
            mode_route(
                server.port, accept, HEADER, origin=Upstream("http", "localhost", server.port, base_path)
            )
        ) as p,
        Client(p.port) as client,
        p.inside("localhost", server.port) as inside,
    ):
        client.send(f"GET /alpha/{PHANTOM}/api/v1/pods HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert client.response().status == 200
        line = f"GET {base_path}/{PHANTOM}/api/v1/pods HTTP/1.1\r\n"
        inside.send(f"{line}Host: localhost:{server.port}\r\n\r\n".encode())
        assert inside.response().status == 200
    assert [request.target.decode() for request in server.requests] == [f"{base_path}/api/v1/pods"] * 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/send?key={}", 200, id="once"),
        pytest.param("/send?k%65y={}", 200, id="an escaped name"),
        pytest.param("/send?key={}&key={}", 200, id="twice the same"),
        pytest.param("/send?key={}&key=own", 403, id="another beside it"),
        pytest.param("/send?key=own&k%65y={}", 403, id="another before it"),
        pytest.param("/send?key={}&a={}", 403, id="in another parameter too"),
        pytest.param("/send?a={}", 401, id="in another parameter only"),
        pytest.param("/send?a=1;key={}", 400, id="behind a semicolon"),
        pytest.param("/send?key={};a=1", 401, id="before a semicolon"),
        pytest.param("/{}/send?key={}", 403, id="in the path too"),
        pytest.param("/send?key={}&a=1;b={}", 403, id="behind a semicolon elsewhere"),
        pytest.param("/send?key={}&{}=1", 403, id="as a name"),
        pytest.param("/send?key={}" + "&a=1" * 150 + "&b={}", 403, id="behind many others"),
    ],
)
def test_no_copy_of_the_phantom_leaves_in_a_target(path: str, status: int) -> None:
    with ways(QUERY, QUERY) as (server, p):
        assert ask(server, p, path.replace("{}", PHANTOM)).status == status
    for request in server.requests:
        assert PHANTOM.encode() not in request.head
        assert request.target == b"/send?key=" + QUOTED


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/bot{}/send", 200, id="once"),
        pytest.param("/bot{}/bot{}/send", 403, id="twice"),
        pytest.param("/botown/bot{}/send", 403, id="behind another"),
        pytest.param("/bot{}/send?key={}", 403, id="in the query too"),
        pytest.param("/bot{}/{}", 403, id="as a segment"),
    ],
)
@pytest.mark.parametrize("inject", [URL_PATH, HEADER], ids=["path", "header"])
def test_no_copy_of_the_phantom_leaves_in_a_path(inject: Inject, path: str, status: int) -> None:
    with ways(URL_PATH, inject) as (server, p):
        assert ask(server, p, path.replace("{}", PHANTOM)).status == status
    for request in server.requests:
        assert PHANTOM.encode() not in request.head


def test_an_escaped_phantom_in_the_path_is_the_same_one() -> None:
    escaped = "".join(f"%{ord(character):02x}" for character in PHANTOM)
    with ways(URL_PATH, HEADER) as (server, p):
        assert ask(server, p, f"/bot{escaped}/send").status == 200
    assert server.requests[0].target == b"/send"


def test_a_phantom_in_the_path_of_another_host_freezes_its_credential() -> None:
    with upstream() as server:
        bot = mode_route(server.port, URL_PATH, URL_PATH)
        beta = a_route(server.port, service="beta", host="127.0.0.1", phantom="sk-phantom-of-beta")
        fields = "X-Api-Key: sk-phantom-of-beta\r\n"
        with intercepting(bot, beta) as p, Client(p.port) as client:
            for path, status in (
                (f"/alpha/bot{PHANTOM}/x", 200),
                ("/beta/botX/x", 200),
                (f"/beta/bot{PHANTOM}/x", 403),
                (f"/alpha/bot{PHANTOM}/x", 403),
            ):
                client.send(
                    f"GET {path} HTTP/1.1\r\nHost: x\r\n{fields if 'beta' in path else ''}\r\n".encode()
                )
                assert client.response().status == status
    assert len(server.requests) == 2
    assert PHANTOM not in json.dumps(p.recording.network)


def test_rules_see_a_placeholder_where_the_key_stands() -> None:
    policy = EndpointPolicy("deny", allow=(EndpointRule("GET", "/bot*/getMe"),))
    with ways(URL_PATH, URL_PATH, endpoints=policy) as (server, p):
        assert ask(server, p, f"/bot{PHANTOM}/getMe").status == 200
        denied = ask(server, p, f"/bot{PHANTOM}/send")
        assert denied.status == 403
        assert PHANTOM.encode() not in denied.body
    policy = EndpointPolicy("deny", allow=(EndpointRule("GET", "/getMe"),))
    with ways(URL_PATH, HEADER, endpoints=policy) as (server, p):
        assert ask(server, p, f"/bot{PHANTOM}/getMe").status == 200
    assert server.requests[0].target == b"/getMe"


def test_a_header_phantom_is_accepted_on_a_route_of_any_mode() -> None:
    for accept in (URL_PATH, QUERY, BASIC_AUTH):
        with ways(accept, HEADER) as (server, p):
            assert ask(server, p, "/send", f"X-Api-Key: {PHANTOM}\r\n").status == 200
            assert ask(server, p, "/send", "X-Api-Key: own\r\n").status == 401
        assert server.requests[0].values(b"x-api-key") == []


def test_a_key_of_the_child_never_doubles_the_one_upstream() -> None:
    with ways(HEADER, QUERY) as (server, p):
        assert ask(server, p, "/send?key=own&k%65y=own&a=1", PRESENTED[HEADER][1]).status == 200
        assert ask(server, p, "/send?a=1;key=own", PRESENTED[HEADER][1]).status == 400
    assert {request.target for request in server.requests} == {b"/send?a=1&key=" + QUOTED}
    with ways(HEADER, X_KEY) as (server, p):
        assert ask(server, p, "/send", PRESENTED[HEADER][1] + "X-Custom: own\r\n").status == 403
        connection = "Connection: x-custom\r\n"
        assert ask(server, p, "/send", PRESENTED[HEADER][1] + connection).status == 200
    assert server.requests[0].values(b"x-custom") == [REAL.encode()]
