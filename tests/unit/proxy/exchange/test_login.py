"""Logins inside the sandbox: the provider gives real tokens, and the command only ever has phantoms."""

from __future__ import annotations

import gzip
import json
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest

from nono.credentials.logins.phantom import MARK, jwt_phantom, nonce_of
from nono.credentials.logins.token_store import LoginStore
from nono.credentials.logins.tokens import Consumer, LoginCredential, LoginTokens, ProviderLogin
from nono.credentials.values.credential import Injected, Outgoing
from nono.credentials.values.errors import RequestUnfit
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy, EndpointRule
from nono.policy.hosts.host_filter import HostFilter, parse_rule
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import UpgradeRule
from nono.policy.services.oauth_routes import OAuthProvider, OAuthRoute, ResponseField, TokenEndpoint
from nono.proxy.exchange.context import MAX_CAPTURING
from nono.proxy.verdict.host_policy import HostPolicy
from nono.proxy.verdict.login_table import LoginTable
from nono.proxy.verdict.routes import Origin, Route
from nono.secret import Secret
from support.proxy.interception import Inside, Intercepting, connect, intercepting
from support.proxy.thread import (
    PHANTOM,
    TIMEOUT_S,
    TOKEN,
    Client,
    FakeCredential,
    Hosts,
    Names,
    Response,
    a_route,
    proxy,
    wait_until,
)
from support.servers.http1 import Authority, Handler, HttpUpstream, Received, answer_ok, upstream

AUTH, API, ELSEWHERE = "auth.acme.test", "api.acme.test", "elsewhere.test"
ACCESS, REFRESH, ID = "real-access-token-1", "real-refresh-token-1", "aGVhZA.cmVhbC1pZC10b2tlbg.c2ln"
REAL = (ACCESS, REFRESH, ID)
GRANTED = {"token_type": "Bearer", "expires_in": 3600, "access_token": ACCESS, "refresh_token": REFRESH}
CODE = b"grant_type=authorization_code&code=abc&code_verifier=xyz"
UNKNOWN = "nono_" + "0" * 64

Answer = tuple[int, bytes, Sequence[tuple[str, str]]]


def json_answer(content: object, status: int = 200) -> Answer:
    return status, json.dumps(content).encode(), [("Content-Type", "application/json")]


@dataclass
class Provider:
    """What the token endpoint answers next, and how its answers are sent."""

    answer: Answer = field(default_factory=lambda: json_answer(GRANTED))

    def __call__(self, request: Received) -> None:
        request.read_body()
        status, body, fields = self.answer
        request.connection.respond(status, b"" if request.method == b"HEAD" else body, fields)


@dataclass
class Scene:
    """A provider with one token endpoint and one API host, and a proxy that captures its logins."""

    provider: Provider
    auth: HttpUpstream
    api: HttpUpstream
    elsewhere: HttpUpstream
    store: LoginStore
    p: Intercepting
    inside: Callable[[str, HttpUpstream], Inside]

    def at(self, host: str) -> HttpUpstream:
        return {AUTH: self.auth, API: self.api, ELSEWHERE: self.elsewhere}[host]

    def ask(
        self, host: str, method: str = "GET", path: str = "/", fields: str = "", body: bytes = b""
    ) -> Response:
        """One request through a CONNECT of its own. AssertionError when a real token came back."""
        server = self.at(host)
        with self.inside(host, server) as client:
            client.send(
                f"{method} {path} HTTP/1.1\r\nHost: {host}:{server.port}\r\n{fields}".encode("latin-1")
                + (f"Content-Length: {len(body)}\r\n".encode() if body else b"")
                + b"\r\n"
                + body
            )
            answer = client.response(to_head=method == "HEAD")
        shown = repr((answer.reason, answer.fields, answer.body)) + json.dumps(self.p.recording.events)
        assert [token for token in REAL if token in shown] == []
        return answer

    def log_in(self, body: bytes = CODE, fields: str = "", path: str = "/oauth/token") -> Response:
        return self.ask(AUTH, "POST", path, fields, body)

    def phantoms(self) -> dict[str, str]:
        """The token fields of a login."""
        answer = self.log_in()
        assert answer.status == 200, answer.body
        content = json.loads(answer.body)
        return {name: value for name, value in content.items() if name.endswith("_token")}

    def expire(self) -> None:
        path = Path(self.store.path)
        document = json.loads(path.read_text())
        for entry in document["tokens"].values():
            entry["created_at_secs"] = 0
        path.write_text(json.dumps(document))


def bearer(phantom: str) -> str:
    return f"Authorization: Bearer {phantom}\r\n"


def an_endpoint(upstream_: Upstream, **changes: Any) -> TokenEndpoint:
    endpoint = TokenEndpoint(
        upstream=upstream_,
        path="/oauth/token",
        response_fields=(
            ResponseField(("access_token",), "opaque"),
            ResponseField(("refresh_token",), "opaque"),
            ResponseField(("id_token",), "jwt"),
            ResponseField(("account", "key"), "opaque"),
        ),
        request_body="auto",
        request_nonce_fields=(("refresh_token",), ("token",), ("actor", "token")),
    )
    return endpoint._replace(**changes)


def login_route(tokens: LoginTokens, route: OAuthRoute) -> Route:
    login = LoginCredential(tokens, Consumer(route.consumer, str(route.upstream)))
    origin = Origin("https", route.upstream.host, route.upstream.port)
    return Route(
        route.name, origin, login, login, login=login, endpoints=route.endpoints, upgrades=route.upgrades
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path / "home")}


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Authority:
    authority = Authority(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", authority.ca_file)  # what a context made from now on trusts
    (tmp_path / "home").mkdir()
    return authority


Make = Callable[..., Any]


@pytest.fixture
def make(authority: Authority, environ: dict[str, str]) -> Make:
    """Makes scenes; options are changes of the token endpoint, the rest is named."""

    @contextmanager
    def scene(
        *,
        hosts: HostPolicy | None = None,
        api_handler: Handler = answer_ok,
        api_hosts: Sequence[str] = (API,),
        endpoints: EndpointPolicy = ALLOW_ALL,
        upgrades: tuple[UpgradeRule, ...] = (UpgradeRule("/socket"),),
        more: Callable[[Mapping[str, HttpUpstream]], Sequence[Route]] = lambda servers: (),
        **changes: Any,
    ) -> Iterator[Scene]:
        provider = Provider()
        with ExitStack() as stack:
            tls = authority.server_context(AUTH, API, ELSEWHERE)
            handlers: dict[str, Handler] = {AUTH: provider, API: api_handler, ELSEWHERE: answer_ok}
            servers = {
                host: stack.enter_context(upstream(handler, tls)) for host, handler in handlers.items()
            }
            store = LoginStore(environ)
            tokens = LoginTokens(store)
            endpoint = an_endpoint(Upstream("https", AUTH, servers[AUTH].port), **changes)
            apis = tuple(Upstream("https", host, servers[host].port) for host in api_hosts)
            acme = OAuthProvider("acme", (endpoint,), apis)
            routes = [
                OAuthRoute(f"acme{n or ''}", acme, api, None, (), endpoints, upgrades, "the test")
                for n, api in enumerate(apis)
            ]
            table = LoginTable((ProviderLogin(tokens, acme, routes),))
            p = stack.enter_context(
                intercepting(
                    *(login_route(tokens, route) for route in routes),
                    *more(servers),
                    hosts=hosts or Hosts(),
                    logins=table,
                )
            )
            yield Scene(
                provider, servers[AUTH], servers[API], servers[ELSEWHERE], store, p,
                lambda host, server: p.inside(host, server.port),
            )  # fmt: skip

    return scene


@pytest.fixture
def scene(make: Make) -> Iterator[Scene]:
    with make() as made:
        yield made


# -- the login


def test_a_login_gives_phantoms_and_the_rest_of_the_answer_as_it_is(scene: Scene) -> None:
    scene.provider.answer = json_answer(
        {**GRANTED, "id_token": ID, "account": {"key": "real-nested", "id": 7}}
    )
    answer = scene.log_in()
    content = json.loads(answer.body)
    assert (answer.status, content["token_type"], content["expires_in"]) == (200, "Bearer", 3600)
    assert content["account"]["id"] == 7
    assert MARK.fullmatch(content["access_token"])
    assert MARK.fullmatch(content["refresh_token"])
    nonce = nonce_of(content["id_token"])
    assert nonce is not None
    assert content["id_token"] == jwt_phantom(nonce)
    stored = scene.store.read()
    kept = {
        name: stored[nonce_of(content[name]) or ""].real
        for name in ("access_token", "refresh_token", "id_token")
    }
    assert kept == {
        "access_token": Secret(ACCESS),
        "refresh_token": Secret(REFRESH),
        "id_token": Secret(ID),
    }
    assert stored[content["account"]["key"]].real == Secret("real-nested")
    [request] = scene.auth.requests
    assert (request.body, request.values(b"accept-encoding")) == (CODE, [b"identity"])
    assert scene.p.recording.decisions() == [("allow", None), ("allow", None)]
    assert scene.p.recording.network[1]["route_id"] == "oauth.acme"


@pytest.mark.parametrize(
    "write",
    [
        lambda name, phantom: (
            f"grant_type=refresh_token&{name}={phantom}&x=%20",
            "application/x-www-form-urlencoded",
        ),
        lambda name, phantom: (
            json.dumps({"grant_type": "refresh_token", name: phantom}),
            "application/json",
        ),
    ],
    ids=["form", "json"],
)
@pytest.mark.parametrize("spelled", [str, jwt_phantom], ids=["opaque", "jwt"])
def test_a_phantom_in_a_named_field_arrives_as_its_token(
    scene: Scene, write: Callable[[str, str], tuple[str, str]], spelled: Callable[[str], str]
) -> None:
    phantom = spelled(scene.phantoms()["refresh_token"])
    scene.provider.answer = json_answer({"access_token": "real-second", "refresh_token": REFRESH})
    body, kind = write("refresh_token", phantom)
    answer = scene.log_in(body.encode(), f"Content-Type: {kind}\r\nAccept-Encoding: gzip, br\r\n")
    assert answer.status == 200
    request = scene.auth.requests[-1]
    assert request.body.decode() == body.replace(phantom, REFRESH).replace(": ", ":").replace(", ", ",")
    assert request.value(b"content-length") == b"%d" % len(request.body)
    assert request.values(b"accept-encoding") == [b"identity"]
    refreshed = json.loads(answer.body)
    assert refreshed["refresh_token"] == scene.phantoms()["refresh_token"]  # of the token that came again
    assert scene.store.read()[refreshed["access_token"]].real == Secret("real-second")


def test_a_nested_field_of_a_request_is_redeemed(scene: Scene) -> None:
    phantom = scene.phantoms()["access_token"]
    body = json.dumps({"actor": {"token": phantom}, "n": [1, 2]}).encode()
    assert scene.log_in(body).status == 200
    assert json.loads(scene.auth.requests[-1].body) == {"actor": {"token": ACCESS}, "n": [1, 2]}


def test_a_token_that_must_be_escaped_in_a_form_is(scene: Scene) -> None:
    scene.provider.answer = json_answer({"refresh_token": "real+&=%/"})
    phantom = scene.phantoms()["refresh_token"]
    assert scene.log_in(f"token={phantom}".encode()).status == 200
    assert scene.auth.requests[-1].body == b"token=real%2B%26%3D%25%2F"


def test_a_phantom_in_a_header_is_redeemed_at_the_token_endpoint_too(scene: Scene) -> None:
    phantom = scene.phantoms()["access_token"]
    scene.provider.answer = json_answer({"account": {"key": "real-made-key"}})
    assert scene.log_in(b"{}", bearer(phantom)).status == 200
    assert scene.auth.requests[-1].values(b"authorization") == [f"Bearer {ACCESS}".encode()]


@pytest.mark.parametrize("name", ["X-HTTP-Method-Override", "X-Original-URL", "X_Rewrite_Url", "X-Other"])
def test_no_field_redirects_a_login_token_from_its_endpoint(scene: Scene, name: str) -> None:
    phantom = scene.phantoms()["refresh_token"]
    before = len(scene.auth.requests)
    answer = scene.log_in(f"refresh_token={phantom}".encode(), f"{name}: /echo\r\n")
    assert answer.status == (200 if name == "X-Other" else 403)
    assert len(scene.auth.requests) - before == (1 if name == "X-Other" else 0)
    denials = [event for event in scene.p.recording.network if event["decision"] == "deny"]
    assert [event["denial_category"] for event in denials] == ["endpoint_policy"] * (name != "X-Other")


def test_client_authentication_at_the_token_endpoint_passes_as_it_is(scene: Scene) -> None:
    basic = "Basic " + b64encode(b"client-id:client-secret").decode()
    assert scene.log_in(fields=f"Authorization: {basic}\r\n").status == 200
    assert scene.auth.requests[-1].values(b"authorization") == [basic.encode()]


def test_a_revocation_is_answered_with_nothing_and_that_passes(scene: Scene) -> None:
    phantom = scene.phantoms()["refresh_token"]
    scene.provider.answer = (200, b"", [])
    answer = scene.log_in(f"token={phantom}".encode())
    assert (answer.status, answer.body) == (200, b"")
    assert scene.auth.requests[-1].body == f"token={REFRESH}".encode()


def test_more_logins_at_once_than_are_held_at_once_all_come_through(scene: Scene) -> None:
    head = (
        f"POST /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(CODE)}\r\n\r\n"
    )
    with ExitStack() as stack:
        clients = [stack.enter_context(scene.inside(AUTH, scene.auth)) for _ in range(MAX_CAPTURING + 4)]
        for client in clients:
            client.send(head.encode() + CODE)
        answers = [json.loads(client.response().body)["access_token"] for client in clients]
    assert len(set(answers)) == 1  # of the same token


def test_a_client_that_does_not_read_gets_no_further_answers_meanwhile(scene: Scene) -> None:
    large = b"[" + b" " * (15 * 1024 * 1024) + b"]"
    scene.provider.answer = (200, large, [])
    request = f"GET /large HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\n\r\n".encode()
    with scene.inside(AUTH, scene.auth) as client:
        client.send(6 * request)
        scene.auth.received(1)
        for read in range(6):
            # One may wait in the transport and one in its TLS layer; each is held whole, so no third may be.
            assert len(scene.auth.requests) <= read + 2
            assert client.response().body == large
    assert len(scene.auth.requests) == 6


def test_requests_of_one_connection_follow_each_other(scene: Scene) -> None:
    head = f"POST /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(CODE)}\r\n"
    with scene.inside(AUTH, scene.auth) as client:
        client.send(head.encode() + b"Expect: 100-continue\r\n\r\n")
        assert client.head()[0] == 100
        client.send(CODE)
        assert client.response().status == 200
        client.send(2 * (head.encode() + b"\r\n" + CODE))
        assert [client.response().status for _ in range(2)] == [200, 200]
    assert len(scene.auth.requests) == 3
    assert [request.values(b"expect") for request in scene.auth.requests] == [[], [], []]


def test_a_session_cookie_of_the_provider_stays_outside(scene: Scene) -> None:
    status, body, fields = json_answer(GRANTED)
    scene.provider.answer = (status, body, [*fields, ("Set-Cookie", "session=real")])
    assert scene.log_in().value("set-cookie") is None


# -- answers that could hold a token somewhere else

DICT = json.dumps(GRANTED)
LEAKS: dict[str, Answer] = {
    "in an array": json_answer({"access_token": [ACCESS]}),
    "in an object": json_answer({"access_token": {"value": ACCESS}}),
    "in an object of an array": json_answer([{"access_token": ACCESS}]),
    "nested": json_answer({"data": {"access_token": ACCESS}}),
    "of another spelling": json_answer({"accessToken": ACCESS}),
    "of another prefix": json_answer({"user-access-token": ACCESS}),
    "beside the captured one": json_answer({**GRANTED, "again": {"refresh_token": REFRESH}}),
    "the same in another field": json_answer({**GRANTED, "session": ACCESS}),
    "the same inside a text": json_answer({**GRANTED, "note": f"use {ACCESS} now"}),
    "the same in base64": json_answer({**GRANTED, "note": b64encode(ACCESS.encode()).decode()}),
    "the same in a header": (200, DICT.encode(), [("X-Session", ACCESS)]),
    "the same as the name of a header": (
        200,
        json.dumps({**GRANTED, "access_token": "d2l0aG91dC13b3Jkcw"}).encode(),
        [("X-d2l0aG91dC13b3Jkcw", "1")],
    ),
    "in the name of a field": json_answer({**GRANTED, ACCESS: "7"}),
    "beside a field of its name": json_answer({**GRANTED, ACCESS: "access_token=123456789"}),
    "in the name of a header": (200, DICT.encode(), [(f"X-{ACCESS}", "1")]),
    "beside a header of its name": (200, DICT.encode(), [(f"X-{ID}", "access_token=123456789")]),
    "JSON in a text": json_answer({"data": json.dumps({"access_token": ACCESS})}),
    "a URL in a text": json_answer({"next": f"https://x.test/#access_token={ACCESS}"}),
    "no text where one should be": json_answer({"access_token": 7}),
    "a token that is no header value": json_answer({"access_token": f"{ACCESS}\r\nX: y"}),
    "the same name twice": (200, DICT[:-1].encode() + b', "access_token": "x"}', []),
    "a form": (200, f"access_token={ACCESS}&scope=x".encode(), []),
    "a page": (200, b"<html>welcome</html>", [("Content-Type", "text/html")]),
    "JSON with something behind it": (200, DICT.encode() + b"\n{}", []),
    "an error with tokens": json_answer(GRANTED, 400),
    "a server error with tokens": json_answer(GRANTED, 500),
    "an error that is no JSON and speaks of tokens": (400, f"access_token={ACCESS}".encode(), []),
    "in UTF-16 and no JSON": (400, f"access_token={ACCESS}".encode("utf-16-le"), []),
    "a redirect": (302, b"", [("Location", f"https://x.test/#access_token={ACCESS}&state=1")]),
    "a redirect with a page": (302, f"<a href='?id_token={ID}'>".encode(), [("Location", "/x")]),
    "an escaped redirect": (302, b"", [("Location", f"/next?to=%2F%3Faccess_token%3D{ACCESS}")]),
    "a header of that name": (200, b"{}", [("X-Access-Token", ACCESS)]),
    "too deep": (200, b"[" * 100_000, []),
    "an unknown coding": (200, gzip.compress(DICT.encode()), [("Content-Encoding", "x-unknown")]),
    "two codings": (200, gzip.compress(gzip.compress(DICT.encode())), [("Content-Encoding", "gzip, gzip")]),
    "a coding that it is not in": (200, DICT.encode(), [("Content-Encoding", "gzip")]),
}


@pytest.mark.parametrize("answer", LEAKS.values(), ids=LEAKS)
def test_a_token_in_an_unnamed_place_is_a_502_that_stores_nothing(scene: Scene, answer: Answer) -> None:
    scene.provider.answer = answer
    refused = scene.log_in()
    assert refused.status == 502
    assert "token" in refused.reason or "coding" in refused.reason
    assert len(scene.auth.requests) == 1
    assert scene.store.read() == {}
    assert [decision for decision, _ in scene.p.recording.decisions()] == ["allow", "allow", "deny"]


ELSEWHERE_LEAKS = {
    name: LEAKS[name]
    for name in (
        "nested",
        "of another spelling",
        "JSON in a text",
        "a form",
        "a redirect",
        "an error with tokens",
    )
} | {"the token endpoint's own answer": json_answer(GRANTED)}


@pytest.mark.parametrize("answer", ELSEWHERE_LEAKS.values(), ids=ELSEWHERE_LEAKS)
@pytest.mark.parametrize(
    "path", ["/oauth/token/", "/oauth/Token", "/oauth/token2", "/oauth/token;x=1", "/v2/oauth/token", "/"]
)
def test_the_other_paths_of_its_host_are_searched_the_same_way(
    scene: Scene, answer: Answer, path: str
) -> None:
    scene.provider.answer = answer
    assert scene.log_in(path=path).status == 502
    assert scene.store.read() == {}


HARMLESS: dict[str, Answer] = {
    "an error of OAuth": json_answer(
        {"error": "invalid_grant", "error_description": "refresh_token expired or id_token malformed"}, 400
    ),
    "pending": json_answer({"error": "authorization_pending"}, 400),
    "a challenge": (401, b"{}", [("WWW-Authenticate", 'Bearer error="invalid_token"')]),
    "a page": (404, b"<html>nothing here</html>", []),
    "null fields": json_answer({"access_token": None, "refresh_token": "", "expires_in": 1}, 200),
    "a redirect": (302, b"", [("Location", "https://x.test/callback?code=abc")]),
    "no content": (204, b"", []),
    "about the kind of a token": json_answer({"issued_token_type": "urn:x:token-type:access_token"}),
    "flags of that name": json_answer({"supports_refresh_token": True, "has_access_token": False}),
}  # fmt: skip


@pytest.mark.parametrize("answer", HARMLESS.values(), ids=HARMLESS)
def test_an_answer_without_tokens_passes_as_it_is(scene: Scene, answer: Answer) -> None:
    scene.provider.answer = answer
    status, body, fields = answer
    got = scene.log_in()
    assert (got.status, got.body) == (status, body)
    for name, value in fields:
        assert got.value(name) == value


def test_a_compressed_answer_is_decoded_and_captured(scene: Scene) -> None:
    scene.provider.answer = (
        200,
        gzip.compress(DICT.encode()),
        [("Content-Encoding", "gzip"), ("ETag", '"x"')],
    )
    answer = scene.log_in()
    assert MARK.fullmatch(json.loads(answer.body)["access_token"])
    assert (answer.value("content-encoding"), answer.value("etag")) == (None, None)


def test_the_answer_to_head_has_no_body(scene: Scene) -> None:
    scene.provider.answer = (200, b"", [])
    answer = scene.ask(AUTH, "HEAD", "/oauth/token")
    assert (answer.status, answer.body) == (200, b"")


@pytest.mark.parametrize("coded", [False, True], ids=["as it is", "a bomb"])
def test_an_answer_beyond_the_limit_is_a_502(scene: Scene, coded: bool) -> None:
    large = b" " * (16 * 1024 * 1024) + DICT.encode()
    if coded:
        scene.provider.answer = (200, gzip.compress(large, 1), [("Content-Encoding", "gzip")])
    else:
        scene.provider.answer = (200, large, [])
    assert scene.log_in().status == 502
    assert scene.store.read() == {}


def test_tokens_that_cannot_be_stored_are_not_passed_on(scene: Scene) -> None:
    scene.phantoms()
    Path(scene.store.path).chmod(0o644)
    scene.provider.answer = json_answer({"access_token": "real-second"})
    refused = scene.log_in()
    assert refused.status == 502
    assert b"real-second" not in refused.body
    assert b"nono credential logins" in refused.body


def test_the_way_back_of_a_redeemed_token_is_closed(scene: Scene) -> None:
    phantom = scene.phantoms()["refresh_token"]
    scene.provider.answer = json_answer({"error": "invalid_grant", "you_sent": REFRESH}, 400)
    assert scene.log_in(f"refresh_token={phantom}".encode()).status == 502


# -- requests that are not what they should be


@pytest.mark.parametrize(
    "body",
    [
        f"refresh_token={UNKNOWN}",
        f"refresh_token={UNKNOWN}0",
        "other={phantom}",
        "refresh_token={phantom}x",
        "refresh_token=x{phantom}",
        "refresh_token={phantom}&other={phantom}",
        "{phantom}",
        '{{"other": "{phantom}"}}',
        '{{"refresh_token": ["{phantom}"]}}',
        '{{"refresh_token": "{phantom}", "refresh_token": "x"}}',
        '--b\r\nContent-Disposition: form-data; name="refresh_token"\r\n\r\n{phantom}\r\n--b--',
        f'{{{{"refresh_token": "{UNKNOWN}"}}}}',
    ],
)
def test_a_phantom_that_is_unknown_or_in_no_named_field_is_refused(scene: Scene, body: str) -> None:
    phantom = scene.phantoms()["refresh_token"]
    assert scene.log_in(body.format(phantom=phantom).encode()).status == 403
    assert len(scene.auth.requests) == 1  # the login


def test_an_expired_phantom_is_refused_at_the_token_endpoint(scene: Scene) -> None:
    phantom = scene.phantoms()["refresh_token"]
    scene.expire()
    assert scene.log_in(f"refresh_token={phantom}".encode()).status == 403
    assert len(scene.auth.requests) == 1


def test_the_phantom_of_another_provider_is_refused_at_the_token_endpoint(scene: Scene) -> None:
    [foreign], _ = scene.store.add([Secret("real-foreign")], ["oauth.other"], [])
    assert scene.log_in(f"refresh_token={foreign}".encode()).status == 403
    assert scene.log_in(fields=bearer(foreign)).status == 401
    assert scene.auth.requests == []


@pytest.mark.parametrize(
    ("mode", "body", "status"),
    [("json", b"a=b", 403), ("json", b"[1]", 403), ("json", b'{"a": 1}', 200), ("form", b'{"a": 1}', 200)],
)
def test_the_form_of_the_body_is_as_the_profile_says(make: Make, mode: str, body: bytes, status: int) -> None:
    with make(request_body=mode) as scene:
        assert scene.log_in(body).status == status
        assert len(scene.auth.requests) == (status == 200)


@pytest.mark.parametrize(
    "framing",
    [f"Content-Length: {1024 * 1024 + 1}\r\n", "Transfer-Encoding: chunked\r\n"],
    ids=["length", "chunked"],
)
def test_a_request_beyond_the_limit_is_refused(scene: Scene, framing: str) -> None:
    with scene.inside(AUTH, scene.auth) as client:
        client.send(f"POST /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\n{framing}\r\n".encode())
        if "chunked" in framing:
            client.send(b"100001\r\n" + b"x" * (1024 * 1024 + 1) + b"\r\n")
        assert client.response().status == 413
    assert scene.auth.requests == []


def test_a_request_at_the_limit_passes(scene: Scene) -> None:
    assert scene.log_in(b"a=" + b"x" * (1024 * 1024 - 2)).status == 200
    assert len(scene.auth.requests[0].body) == 1024 * 1024


def test_a_compressed_request_is_refused(scene: Scene) -> None:
    assert scene.log_in(gzip.compress(CODE), "Content-Encoding: gzip\r\n").status == 403
    assert scene.auth.requests == []


def test_a_body_that_breaks_off_reaches_nobody(scene: Scene) -> None:
    with scene.inside(AUTH, scene.auth) as client:
        fields = f"Host: {AUTH}:{scene.auth.port}\r\nTransfer-Encoding: chunked\r\n"
        client.send(f"POST /oauth/token HTTP/1.1\r\n{fields}\r\nno size\r\n".encode())
        assert client.response().status == 400
    assert scene.auth.requests == []


def test_a_client_that_goes_away_ends_the_exchange(make: Make) -> None:
    asked = []

    def never(request: Received) -> None:
        asked.append(request)
        request.connection.wait_gone()

    with make() as scene:
        scene.auth.handler = never
        with scene.inside(AUTH, scene.auth) as client:
            fields = f"Host: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(CODE)}\r\n"
            client.send(f"POST /oauth/token HTTP/1.1\r\n{fields}\r\n".encode() + CODE)
            scene.auth.received(1)
        wait_until(lambda: scene.p.running.upstream_connections == 0)
    assert len(asked) == 1


# -- where the tokens are used

SLOTS = {
    "bearer": ("authorization", "Bearer {}"),
    "token": ("authorization", "token {}"),
    "x-api-key": ("x-api-key", "{}"),
    "a header of its own": ("x-acme-session", "{}"),
    "a cookie": ("cookie", "a=1; session={}; b=2"),
}


@pytest.mark.parametrize(("name", "value"), SLOTS.values(), ids=SLOTS)
@pytest.mark.parametrize("spelled", [str, jwt_phantom], ids=["opaque", "jwt"])
def test_a_phantom_is_redeemed_in_its_place_on_both_ways(
    scene: Scene, name: str, value: str, spelled: Callable[[str], str]
) -> None:
    shown = value.format(spelled(scene.phantoms()["access_token"]))
    assert scene.ask(API, path="/v1/models?x=1", fields=f"{name}: {shown}\r\nX-Other: 1\r\n").status == 200
    with Client(scene.p.port) as client:
        client.send(f"GET /acme/v1/models?x=1 HTTP/1.1\r\nHost: x\r\n{name}: {shown}\r\n\r\n".encode())
        assert client.response().status == 200
    assert len(scene.api.requests) == 2
    for request in scene.api.requests:
        assert request.target == b"/v1/models?x=1"
        assert request.values(name.encode()) == [value.format(ACCESS).encode()]
        assert b"nono_" not in request.head
    modes = [(event["mode"], event.get("route_id")) for event in scene.p.recording.network[-2:]]
    assert modes == [("connect_intercept", "acme"), ("reverse", "acme")]


def test_a_phantom_in_basic_credentials_is_redeemed(scene: Scene) -> None:
    pair = f"x-access-token:{scene.phantoms()['access_token']}"
    assert (
        scene.ask(API, fields=f"Authorization: Basic {b64encode(pair.encode()).decode()}\r\n").status == 200
    )
    real = b64encode(f"x-access-token:{ACCESS}".encode())
    assert scene.api.requests[0].values(b"authorization") == [b"Basic " + real]


def test_the_same_phantom_in_two_headers_is_one_key(scene: Scene) -> None:
    phantom = scene.phantoms()["access_token"]
    assert scene.ask(API, fields=bearer(phantom) + f"X-Api-Key: {phantom}\r\n").status == 200
    [request] = scene.api.requests
    assert (request.value(b"authorization"), request.value(b"x-api-key")) == (
        f"Bearer {ACCESS}".encode(),
        ACCESS.encode(),
    )


def test_a_phantom_is_redeemed_at_every_api_host_of_its_provider(make: Make) -> None:
    with make(api_hosts=(API, ELSEWHERE)) as scene:
        phantom = scene.phantoms()["access_token"]
        for host in (API, ELSEWHERE):
            assert scene.ask(host, fields=bearer(phantom)).status == 200
            assert scene.at(host).requests[0].values(b"authorization") == [f"Bearer {ACCESS}".encode()]


BAD_KEYS: dict[str, tuple[str, int]] = {
    "an unknown phantom": (bearer(UNKNOWN), 401),
    "a phantom cut short": ("Authorization: Bearer {access:.60}\r\n", 401),
    "a phantom with something attached": ("Authorization: Bearer {access}0\r\n", 403),
    "a JWT of somebody else around it": ("Authorization: Bearer e30.e30.{access}\r\n", 403),
    "two phantoms in one header": ("Authorization: Bearer {access} {refresh}\r\n", 403),
    "two phantoms in two headers": ("Authorization: Bearer {access}\r\nX-Api-Key: {refresh}\r\n", 403),
    "two phantoms of which one is in a cookie": (
        "Authorization: Bearer {access}\r\nCookie: s={refresh}\r\n",
        403,
    ),
    "one known and one unknown": (bearer("{access}") + f"X-Other: {UNKNOWN}\r\n", 403),
    "a key of its own": ("Authorization: Bearer sk-own-key-of-the-child\r\n", 401),
    "a key of its own beside it": ("Authorization: Bearer {access}\r\nX-Api-Key: sk-own\r\n", 403),
    "where an upstream shows it to others": ("User-Agent: {access}\r\n", 403),
    "there and in its place": ("Authorization: Bearer {access}\r\nReferer: https://x.test/{access}\r\n", 403),
    "nothing": ("", 200),
}


@pytest.mark.parametrize(("fields", "status"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_whatever_is_not_one_phantom_that_is_redeemed_here_is_refused(
    scene: Scene, fields: str, status: int
) -> None:
    phantoms = scene.phantoms()
    shown = fields.format(access=phantoms["access_token"], refresh=phantoms["refresh_token"])
    with Client(scene.p.port) as client:
        client.send(f"GET /acme/v1 HTTP/1.1\r\nHost: x\r\n{shown}\r\n".encode())
        assert client.response().status == (401 if status == 200 else status)
    assert scene.api.requests == []
    assert scene.ask(API, fields=shown).status == status
    # Without a key it is a request as any other: as far as the host filter allows the host by itself.
    assert len(scene.api.requests) == (status == 200)


@pytest.mark.parametrize("path", ["/x?key={}", "/x/{}", "/x?{}=1", "/x?key=%6eono_{tail}"])
def test_a_phantom_in_the_target_is_refused(scene: Scene, path: str) -> None:
    phantom = scene.phantoms()["access_token"]
    target = path.format(phantom, tail=phantom.removeprefix("nono_"))
    for fields in ("", bearer(phantom)):
        assert scene.ask(API, path=target, fields=fields).status in (400, 403)
    assert scene.api.requests == []


@pytest.mark.parametrize("name", ["Host", "Connection", "Keep-Alive", "TE", "Trailer"])
def test_a_phantom_in_a_field_that_ends_at_the_proxy_opens_nothing(scene: Scene, name: str) -> None:
    phantom = scene.phantoms()["access_token"]
    host = "" if name == "Host" else "Host: x\r\n"
    with Client(scene.p.port) as client:
        client.send(f"GET /acme/v1 HTTP/1.1\r\n{host}{name}: {phantom}\r\n\r\n".encode())
        assert client.response().status == 401
    assert scene.api.requests == []


def test_an_expired_or_purged_phantom_is_refused_from_then_on(scene: Scene) -> None:
    phantom = scene.phantoms()["access_token"]
    assert scene.ask(API, fields=bearer(phantom)).status == 200
    scene.expire()
    assert scene.ask(API, fields=bearer(phantom)).status == 401
    phantom = scene.phantoms()["access_token"]
    assert scene.ask(API, fields=bearer(phantom)).status == 200
    scene.store.purge()
    refused = scene.ask(API, fields=bearer(phantom))
    assert refused.status == 401
    assert json.loads(refused.body)["hint"] == "log in again inside the sandbox"
    assert len(scene.api.requests) == 2


def test_the_phantom_of_another_provider_is_refused(scene: Scene) -> None:
    [foreign], _ = scene.store.add([Secret("real-foreign")], ["oauth.other", "proxy.other"], [])
    assert scene.ask(API, fields=bearer(foreign)).status == 401
    assert scene.api.requests == []


def test_the_same_names_in_another_profile_do_not_open_another_host(scene: Scene) -> None:
    [elsewhere], _ = scene.store.add(
        [Secret("real-elsewhere")], ["oauth.acme", "proxy.acme"], ["https://api.other.test"]
    )
    assert scene.ask(API, fields=bearer(elsewhere)).status == 401
    assert scene.api.requests == []


def test_a_phantom_goes_to_no_other_host_and_to_no_other_credential(make: Make) -> None:
    def static(servers: Mapping[str, HttpUpstream]) -> Sequence[Route]:
        port = servers[ELSEWHERE].port
        return [a_route(port, host=ELSEWHERE, scheme="https", tls_ca=None)]

    with make(more=static) as scene:
        phantom = scene.phantoms()["access_token"]
        assert scene.ask(ELSEWHERE, fields=bearer(phantom)).status == 403
        assert scene.ask(ELSEWHERE, fields=f"X-Other: {phantom}\r\n").status == 403
        beside = f"Authorization: Bearer {PHANTOM}\r\nX-Other: {phantom}\r\n"
        assert scene.ask(ELSEWHERE, fields=beside).status == 403
        assert scene.ask(API, fields=bearer(PHANTOM)).status == 403
        assert scene.ask(API, fields=bearer(phantom) + f"X-Other: {PHANTOM}\r\n").status == 403
        assert scene.api.requests == scene.elsewhere.requests == []


def test_an_api_that_shows_the_token_is_masked_and_frozen(make: Make) -> None:
    def echo(request: Received) -> None:
        request.read_body()
        request.connection.respond(body=b"you are " + (request.value(b"authorization") or b""))

    with make(api_handler=echo) as scene:
        phantom = scene.phantoms()["access_token"]
        answer = scene.ask(API, fields=bearer(phantom))
        assert answer.body.startswith(b"you are Bearer ")
        assert scene.ask(API, fields=bearer(phantom)).status == 403
        assert len(scene.api.requests) == 1


def test_the_rules_of_the_route_hold(make: Make) -> None:
    rules = EndpointPolicy("deny", allow=(EndpointRule("GET", "/v1/**"),))
    with make(endpoints=rules) as scene:
        phantom = scene.phantoms()["access_token"]
        assert scene.ask(API, path="/v1/models", fields=bearer(phantom)).status == 200
        assert scene.ask(API, path="/v2/models", fields=bearer(phantom)).status == 403
        assert [request.target for request in scene.api.requests] == [b"/v1/models"]


SOCKET = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def switch(request: Received) -> None:
    request.connection.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nframe"
    )
    request.connection.wait_gone()


def test_a_phantom_is_redeemed_in_a_websocket_handshake(make: Make) -> None:
    with make(api_handler=switch) as scene:
        phantom = scene.phantoms()["access_token"]
        head = f"GET /socket HTTP/1.1\r\nHost: {API}:{scene.api.port}\r\n{SOCKET}"
        with scene.inside(API, scene.api) as client:
            client.send((head + bearer(phantom) + "\r\n").encode())
            assert client.head()[0] == 101
            assert client.read_exactly(5) == b"frame"
        assert scene.api.requests[0].values(b"authorization") == [f"Bearer {ACCESS}".encode()]
        with scene.inside(API, scene.api) as client:
            client.send((head + bearer(UNKNOWN) + "\r\n").encode())
            assert client.response().status == 401
        assert len(scene.api.requests) == 1


@pytest.mark.parametrize("path", ["/oauth/token", "/socket"])
def test_no_websocket_leads_to_the_host_of_a_token_endpoint(make: Make, path: str) -> None:
    with make(api_hosts=(AUTH,)) as scene:
        phantom = scene.phantoms()["access_token"]
        with scene.inside(AUTH, scene.auth) as client:
            head = f"GET {path} HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\n{SOCKET}{bearer(phantom)}\r\n"
            client.send(head.encode())
            assert client.response().status == 403
        assert len(scene.auth.requests) == 1


# -- where the token endpoint is reached


def test_an_api_on_the_token_host_is_handled_like_any_other(make: Make) -> None:
    with make(api_hosts=(AUTH,)) as scene:
        phantom = scene.phantoms()["access_token"]
        scene.provider.answer = json_answer({"name": "somebody"})
        assert scene.ask(AUTH, path="/userinfo", fields=bearer(phantom)).status == 200
        assert scene.auth.requests[-1].values(b"authorization") == [f"Bearer {ACCESS}".encode()]
        scene.provider.answer = json_answer({"refresh_token": REFRESH})
        assert scene.ask(AUTH, path="/userinfo", fields=bearer(phantom)).status == 502


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_credential_frozen_while_its_host_is_reached_stays_here(
    make: Make, monkeypatch: pytest.MonkeyPatch, is_frozen: bool
) -> None:
    asked, release, answers = threading.Event(), threading.Event(), list[Response]()

    async def slow(names: Names, host: str, port: int) -> Sequence[str]:
        asked.set()
        await anyio.to_thread.run_sync(release.wait, TIMEOUT_S)
        return ["127.0.0.1"]

    def beta(servers: Mapping[str, HttpUpstream]) -> Sequence[Route]:
        return [a_route(servers[AUTH].port, service="beta", host=AUTH, scheme="https", phantom="sk-beta")]

    monkeypatch.setattr(Names, "__call__", slow)
    with make(more=beta) as scene:
        scene.provider.answer = json_answer({"name": "somebody"})
        asking = threading.Thread(
            target=lambda: answers.append(scene.ask(AUTH, path="/me", fields=bearer("sk-beta")))
        )
        asking.start()
        assert asked.wait(TIMEOUT_S)
        if is_frozen:
            freeze = scene.p.running.serving().context.freeze
            anyio.from_thread.run_sync(freeze, "beta", "the test", token=scene.p._token)
        release.set()
        asking.join(TIMEOUT_S)
        assert [answer.status for answer in answers] == [403 if is_frozen else 200]
        assert len(scene.auth.requests) == (0 if is_frozen else 1)
        denied = [event["rule"] for event in scene.p.recording.network if event["decision"] == "deny"]
        assert denied == (["tripwire"] if is_frozen else [])


def test_a_login_host_says_why_a_request_cannot_carry_its_credential(make: Make) -> None:
    class Unfit(FakeCredential):
        def inject(self, request: Outgoing) -> Injected:
            raise RequestUnfit("it is signed already")

    def more(servers: Mapping[str, HttpUpstream]) -> list[Route]:
        return [a_route(servers[AUTH].port, host=AUTH, scheme="https", credential=Unfit())]

    with make(more=more) as scene:
        answer = scene.ask(AUTH, path="/v1/x", fields=bearer(PHANTOM))
        assert (answer.status, json.loads(answer.body)["error"]) == (400, "it is signed already")
        assert scene.auth.connections == []


def test_the_reverse_path_does_not_lead_to_the_token_endpoint(make: Make) -> None:
    with make(api_hosts=(AUTH,)) as scene:
        phantom = scene.phantoms()["access_token"]
        scene.provider.answer = json_answer(GRANTED)
        with Client(scene.p.port) as client:
            for path, status in (("/acme/oauth/token", 403), ("/acme/oauth/token/", 502)):
                client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n{bearer(phantom)}\r\n".encode())
                answer = client.response()
                assert answer.status == status
                assert ACCESS.encode() not in answer.body
        assert [request.target for request in scene.auth.requests] == [b"/oauth/token", b"/oauth/token/"]


def only(*hosts: str) -> HostFilter:
    return HostFilter(tuple(parse_rule(host, "the test") for host in hosts))


def test_a_login_adds_only_its_token_endpoint_to_an_allow_list(make: Make) -> None:
    with make(hosts=_Local(only("other.test"))) as scene:
        assert scene.log_in().status == 200
        assert scene.log_in(path="/elsewhere").status == 403
        with Client(scene.p.port) as client:
            client.send(connect(f"{ELSEWHERE}:443"))
            assert client.head()[0] == 403
        assert len(scene.auth.requests) == 1


def test_a_login_does_not_turn_allow_all_into_an_allow_list(make: Make) -> None:
    with make(hosts=_Local(HostFilter(None))) as scene:
        assert scene.log_in().status == 200
        assert scene.log_in(path="/elsewhere").status == 502  # reached, and searched
        with Client(scene.p.port) as client:
            client.send(connect(f"{ELSEWHERE}:{scene.elsewhere.port}"))
            assert client.head()[0] == 200


def test_a_denied_host_is_denied_to_logins_too(make: Make) -> None:
    with make(hosts=_Local(HostFilter(None, deny=(parse_rule(AUTH, "the test"),)))) as scene:
        with Client(scene.p.port) as client:
            client.send(connect(f"{AUTH}:{scene.auth.port}"))
            assert client.head()[0] == 403
        assert scene.auth.requests == []


@dataclass(frozen=True)
class _Local:
    """A host filter whose verdict on names counts, and every address passes: all servers are on loopback."""

    names: HostFilter

    def judge_name(self, host: str, port: int) -> Any:
        return self.names.judge_name(host, port)

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Any:
        return self.names.judge_name(host, port)

    def allows_raw(self, host: str, port: int) -> bool:
        return False

    def for_route(self, host: str, port: int, origin: str) -> HostPolicy:
        return _Local(self.names.for_route(host, port, origin))


def test_another_port_of_its_host_is_looked_into_as_well(make: Make) -> None:
    with make() as scene:
        scene.elsewhere.handler = Provider()
        with scene.inside(AUTH, scene.elsewhere) as client:  # the wrong port, the right name
            client.send(f"GET /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.elsewhere.port}\r\n\r\n".encode())
            answer = client.response()
        assert answer.status == 502
        assert ACCESS.encode() not in answer.body
        assert scene.store.read() == {}


def test_plain_http_to_its_host_is_looked_into_as_well(make: Make) -> None:
    with make() as scene, upstream(Provider()) as plain, Client(scene.p.port) as client:
        basic = b64encode(f"nono:{TOKEN}".encode()).decode()
        authority = f"{AUTH}:{plain.port}"
        fields = f"Host: {authority}\r\nProxy-Authorization: Basic {basic}\r\n"
        client.send(f"GET http://{authority}/oauth/token HTTP/1.1\r\n{fields}\r\n".encode())
        answer = client.response()
        assert answer.status == 502
        assert ACCESS.encode() not in answer.body


def test_without_an_authority_its_host_is_not_tunnelled_to(make: Make) -> None:
    with make() as scene:
        table = scene.p.running.serving().context.dispatcher.routes.logins
        with proxy(logins=table) as bare, Client(bare.port) as client:
            client.send(connect(f"{AUTH}:{scene.auth.port}"))
            assert client.head()[0] == 403
        assert scene.auth.connections == []


def test_a_login_that_cannot_be_recorded_is_not_carried_out(scene: Scene) -> None:
    recording = scene.p.recording
    with scene.inside(AUTH, scene.auth) as client:
        recording.failing = True
        fields = f"Host: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(CODE)}\r\n"
        client.send(f"POST /oauth/token HTTP/1.1\r\n{fields}\r\n".encode() + CODE)
        assert client.response().status == 503
        recording.failing = False
    assert scene.auth.requests == []
