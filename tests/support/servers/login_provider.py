"""A provider of logins outside the sandbox: code with PKCE, rotating refresh, revocation, and its API."""

from __future__ import annotations

import hashlib
import itertools
import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

from support.servers.http1 import Authority, HttpUpstream, Received, upstream

CANARY = "canary-of-a-real-token"


def _segment(content: dict[str, str]) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


@dataclass
class LoginProvider:
    """What it has issued. Its tokens consist of CANARY and a number; its id token is a JWT of them."""

    challenges: dict[str, str] = field(default_factory=dict)  # by code
    access: set[str] = field(default_factory=set)  # the valid ones
    refresh: set[str] = field(default_factory=set)
    given: list[str] = field(default_factory=list)  # every token ever issued
    seen: list[str] = field(default_factory=list)  # every request, including its body
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def authorize(self, request: Received) -> None:
        """Answer GET /oauth/authorize?code_challenge=..., to which a browser would be sent (RFC 7636)."""
        query = parse_qs(urlsplit(request.target.decode()).query)
        code = f"code-{next(self._numbers)}"
        self.challenges[code] = query["code_challenge"][0]
        location = f"{query['redirect_uri'][0]}?code={code}"
        request.connection.respond(302, b"", [("Location", location)], "Found")

    def token(self, request: Received) -> None:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        match form.get("grant_type"):
            case "authorization_code" if self._is_verified(form):
                self._give(request)
            case "refresh_token" if form.get("refresh_token") in self.refresh:
                self.refresh.remove(form["refresh_token"])  # each is valid once
                self._give(request)
            case "refresh_token" if form.get("refresh_token") in self.given:  # used for the second time
                self.refresh.clear()
                self.access.clear()
                answer(request, {"error": "invalid_grant"}, 400)
            case _:
                answer(request, {"error": "invalid_grant", "error_description": "refresh_token is void"}, 400)

    def revoke(self, request: Received) -> None:
        """Revoke as RFC 7009 says, with an empty 200."""
        token = parse_qs(request.body.decode())["token"][0]
        self.refresh.discard(token)
        self.access.clear()
        request.connection.respond(body=b"")

    def me(self, request: Received) -> None:
        presented = (request.value(b"authorization") or b"").decode().removeprefix("Bearer ")
        if presented in self.access:
            answer(request, {"name": "somebody"})
        else:
            answer(request, {"error": "unauthorized"}, 401)

    def _is_verified(self, form: dict[str, str]) -> bool:
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        return self.challenges.pop(form["code"], None) == challenge

    def _give(self, request: Received) -> None:
        number = next(self._numbers)
        access, refresh = f"{CANARY}-access-{number}", f"{CANARY}-refresh-{number}"
        identity = f"{_segment({'alg': 'none'})}.{_segment({'sub': CANARY})}.{CANARY}-id-{number}"
        self.access.add(access)
        self.refresh.add(refresh)
        self.given += [access, refresh, identity]
        content = {"access_token": access, "refresh_token": refresh, "id_token": identity, "expires_in": 60}
        answer(request, content)

    def __call__(self, request: Received) -> None:
        request.read_body()
        self.seen.append(request.head.decode("latin-1") + request.body.decode("latin-1"))
        path = urlsplit(request.target.decode()).path
        handlers = {
            "/oauth/authorize": self.authorize,
            "/oauth/token": self.token,
            "/oauth/revoke": self.revoke,
            "/v1/me": self.me,
        }
        handlers[path](request)


def answer(request: Received, content: object, status: int = 200) -> None:
    body = json.dumps(content).encode()
    request.connection.respond(status, body, [("Content-Type", "application/json")])


@dataclass(frozen=True)
class Running:
    """The provider on its two hosts, which are two ports of localhost."""

    provider: LoginProvider
    auth: HttpUpstream
    api: HttpUpstream

    @property
    def profile(self) -> dict[str, object]:
        """Return the sections of a profile that captures its logins."""
        tokens = [
            {"path": "access_token"},
            {"path": "refresh_token"},
            {"path": "id_token", "kind": "jwt"},
        ]
        host = f"https://localhost:{self.auth.port}"
        endpoints = [
            {
                "host": host,
                "path": path,
                "response_fields": tokens,
                "request_nonce_fields": [field_name],
            }
            for path, field_name in (("/oauth/token", "refresh_token"), ("/oauth/revoke", "token"))
        ]
        return {
            "credential_providers": {
                "acme": {
                    "type": "oauth_capture",
                    "token_endpoints": endpoints,
                    "api_hosts": [f"https://localhost:{self.api.port}"],
                }
            },
            "credential_routes": [
                {"name": "acme", "provider": "acme", "base_url_env_var": "ACME_API_URL"},
            ],
        }


@contextmanager
def login_provider(authority: Authority) -> Iterator[Running]:
    """Yield the provider, which is closed when the block is left."""
    provider = LoginProvider()
    tls = authority.server_context("localhost")
    with upstream(provider, tls) as auth, upstream(provider, tls) as api:
        yield Running(provider, auth, api)
