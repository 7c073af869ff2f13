"""Run a provider of logins, its API, and a proxy that captures the logins."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nono.credentials.logins.provider_login import MadeInside, ProviderLogin
from nono.credentials.logins.token_store import LoginStore
from nono.credentials.logins.tokens import Consumer, LoginCredential, LoginTokens
from nono.policy.endpoints.policy import ALLOW_ALL, EndpointPolicy
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import UpgradeRule
from nono.policy.services.oauth_routes import OAuthProvider, OAuthRoute, ResponseField, TokenEndpoint
from nono.proxy.verdict.host_policy import HostPolicy
from nono.proxy.verdict.logins.table import LoginTable
from nono.proxy.verdict.routes import Route
from support.proxy.interception import Inside, Intercepting, intercepting
from support.proxy.thread import Hosts, Response
from support.servers.http1 import Authority, Handler, HttpUpstream, Received, answer_ok, upstream

AUTH, API, ELSEWHERE = "auth.acme.test", "api.acme.test", "elsewhere.test"
ACCESS, REFRESH, ID = "real-access-token-001", "real-refresh-token-1", "aGVhZA.cmVhbC1pZC10b2tlbg.c2ln"
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
    """A provider with one token endpoint and one API host, and a proxy that captures its logins.

    elsewhere: A host that does not belong to the provider.
    p: The proxy.
    inside: Returns a client of a host through a CONNECT.
    """

    provider: Provider
    auth: HttpUpstream
    api: HttpUpstream
    elsewhere: HttpUpstream
    store: LoginStore
    login: ProviderLogin
    p: Intercepting
    inside: Callable[[str, HttpUpstream], Inside]

    def at(self, host: str) -> HttpUpstream:
        return {AUTH: self.auth, API: self.api, ELSEWHERE: self.elsewhere}[host]

    def ask(
        self, host: str, method: str = "GET", path: str = "/", fields: str = "", body: bytes = b""
    ) -> Response:
        """Send one request through a CONNECT of its own. AssertionError if a real token came back."""
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
        """Return the token fields of a login."""
        answer = self.log_in()
        assert answer.status == 200, answer.body
        content = json.loads(answer.body)
        return {name: value for name, value in content.items() if name.endswith("_token")}

    def age(self) -> None:
        """Let the access tokens of all logins expire at once, by the clock of the run."""
        path = Path(self.store.path)
        document = json.loads(path.read_text())
        for entry in document["logins"].values():
            entry["renewed_at_secs"], entry["expires_at_secs"] = 0, 3600
        path.write_text(json.dumps(document))

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
    origin = Upstream("https", route.upstream.host, route.upstream.port)
    return Route(
        route.name, origin, login, login, login=login, endpoints=route.endpoints, upgrades=route.upgrades
    )


Make = Callable[..., AbstractContextManager[Scene]]  # login_scene with its first two arguments given


@contextmanager
def login_scene(
    authority: Authority,
    environ: dict[str, str],
    *,
    hosts: HostPolicy | None = None,
    api_handler: Handler = answer_ok,
    api_hosts: Sequence[str] = (API,),
    endpoints: EndpointPolicy = ALLOW_ALL,
    upgrades: tuple[UpgradeRule, ...] = (UpgradeRule("/socket"),),
    more: Callable[[Mapping[str, HttpUpstream]], Sequence[Route]] = lambda servers: (),
    inside: MadeInside | None = None,
    **changes: Any,
) -> Iterator[Scene]:
    """Yield a scene whose logins are stored below HOME of environ; it is removed when the block is left.

    authority: An authority that the process trusts.
    more: Returns routes besides those of the provider.
    inside: How logins made inside are treated.
    changes: Fields of the token endpoint.
    """
    provider = Provider()
    with ExitStack() as stack:
        tls = authority.server_context(AUTH, API, ELSEWHERE)
        handlers: dict[str, Handler] = {AUTH: provider, API: api_handler, ELSEWHERE: answer_ok}
        servers = {host: stack.enter_context(upstream(handler, tls)) for host, handler in handlers.items()}
        store = LoginStore({**environ, "PATH": "/nonexistent"})  # without systemd-creds; tests change that
        tokens = LoginTokens(store)
        endpoint = an_endpoint(Upstream("https", AUTH, servers[AUTH].port), **changes)
        apis = tuple(Upstream("https", host, servers[host].port) for host in api_hosts)
        acme = OAuthProvider("acme", (endpoint,), apis)
        routes = [
            OAuthRoute(f"acme{n or ''}", acme, api, None, (), endpoints, upgrades, "the test")
            for n, api in enumerate(apis)
        ]
        login = ProviderLogin(tokens, acme, routes, inside=inside)
        table = LoginTable((login,))
        p = stack.enter_context(
            intercepting(
                *(login_route(tokens, route) for route in routes),
                *more(servers),
                hosts=hosts or Hosts(),
                logins=table,
            )
        )
        yield Scene(
            provider, servers[AUTH], servers[API], servers[ELSEWHERE], store, login, p,
            lambda host, server: p.inside(host, server.port),
        )  # fmt: skip
