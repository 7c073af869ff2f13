"""Fake providers of subscriptions, which rotate, expire and revoke tokens, and APIs that check them."""

from __future__ import annotations

import hashlib
import itertools
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urlsplit

from support.servers.http1 import Handler, Received

CANARY = "canary-of-a-subscription"
USER_CODE = "ABCD-1234"  # of a login by device code
SCOPE = "https://www.googleapis.com/auth/cloud-platform"  # the scope that Gemini CLI requests from Google


@dataclass
class Tokens:
    """The tokens that a provider has issued. A refresh token that is used twice ends the whole login."""

    access: set[str] = field(default_factory=set)  # the valid ones
    refresh: set[str] = field(default_factory=set)
    spent: set[str] = field(default_factory=set)
    renewals: int = 0
    expires_in_s: int = 3600
    form: str = "{}"  # the form of access tokens
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def give(self) -> tuple[str, str]:
        number = next(self._numbers)
        access, refresh = self.form.format(f"{CANARY}-access-{number}"), f"{CANARY}-refresh-{number}"
        self.access.add(access)
        self.refresh.add(refresh)
        return access, refresh

    def expire(self) -> None:
        self.access.clear()

    def renew(self, refresh: str) -> tuple[str, str] | None:
        if refresh in self.spent:
            self.access.clear()
            self.refresh.clear()
        if refresh not in self.refresh:
            return None
        self.renewals += 1
        self.refresh.remove(refresh)
        self.spent.add(refresh)
        self.access.clear()
        return self.give()

    def accepts(self, request: Received) -> bool:
        return bearer(request) in self.access


@dataclass
class Claude:
    """platform.claude.com and api.anthropic.com. `api`: answers calls that present a valid token."""

    api: Handler
    tokens: Tokens = field(default_factory=Tokens)
    challenges: dict[str, str] = field(default_factory=dict)  # by code: logins made with a browser
    hosts = ("api.anthropic.com", "platform.claude.com")

    def sign_in(self, url: str) -> str:
        """Do what the provider's page does. Returns where it sends the browser of the person who signs in."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{len(self.challenges)}"
        self.challenges[code] = query["code_challenge"]
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def __call__(self, request: Received) -> None:
        path = request.target.partition(b"?")[0]
        if request.value(b"host") == b"platform.claude.com":
            request.read_body()
            self._token(request, path)
        elif path == b"/v1/messages" and not self.tokens.accepts(request):
            request.read_body()
            fault = {"type": "authentication_error", "message": "OAuth token has expired."}
            answer(request, {"type": "error", "error": fault}, 401)
        elif path.startswith(b"/api/oauth/") and self.tokens.accepts(request):
            request.read_body()
            answer(request, self._account(path.decode().rpartition("/")[2]))
        else:
            self.api(request)

    def _account(self, asked_for: str) -> object:
        if asked_for == "profile":
            account = {"uuid": "account-1", "email": "a@b.test", "display_name": "A", "has_claude_max": True}
            plan = {"organization_type": "claude_max", "rate_limit_tier": "default_claude_max_20x"}
            return {"account": account, "organization": {"uuid": "org-1", "name": "B", **plan}}
        if asked_for == "create_api_key":
            return {"raw_key": f"{CANARY}-key"}
        return {}

    def _token(self, request: Received, path: bytes) -> None:
        asked = json.loads(request.body) if path == b"/v1/oauth/token" else {}
        given = None
        if asked.get("grant_type") == "refresh_token":
            given = self.tokens.renew(asked["refresh_token"])
        elif asked.get("grant_type") == "authorization_code" and self._is_verified(asked):
            given = self.tokens.give()
        if given is None:
            answer(request, {"error": "invalid_grant"}, 400)
            return
        content = {"token_type": "Bearer", "access_token": given[0], "refresh_token": given[1]}
        scope = "user:inference user:profile"
        answer(request, {**content, "expires_in": self.tokens.expires_in_s, "scope": scope})

    def _is_verified(self, asked: dict[str, str]) -> bool:
        digest = hashlib.sha256(asked["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        return self.challenges.pop(asked["code"], None) == challenge


def claude_file(tokens: Tokens, expires_at_s: float) -> str:
    """Return ~/.claude/.credentials.json as Claude Code writes it."""
    access, refresh = tokens.give()
    login = {
        "accessToken": access,
        "refreshToken": refresh,
        "expiresAt": int(expires_at_s * 1000),
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
        "rateLimitTier": "default_claude_max_20x",
    }
    return json.dumps({"claudeAiOauth": login, "mcpOAuth": {"x": {"accessToken": f"{CANARY}-other"}}})


def bearer(request: Received) -> str:
    return (request.value(b"authorization") or b"").decode().removeprefix("Bearer ")


def form(request: Received) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


def answer(request: Received, content: object, status: int = 200) -> None:
    request.connection.respond(status, json.dumps(content).encode(), [("Content-Type", "application/json")])


@dataclass
class ChatGpt:
    """auth.openai.com and chatgpt.com. `api`: answers calls that present a valid token."""

    api: Handler
    tokens: Tokens = field(default_factory=Tokens)
    hosts = ("chatgpt.com", "auth.openai.com", "api.openai.com")
    keys: set[str] = field(default_factory=set)  # presented to api.openai.com
    seen: list[str] = field(default_factory=list)  # method and path of each request
    ended: list[dict[str, str]] = field(default_factory=list)  # what was sent to end a login
    is_broken: bool = False  # it ends none
    entered: bool = False  # whether the person has entered the code of a device in a browser

    def __call__(self, request: Received) -> None:
        path = request.target.partition(b"?")[0]
        self.seen.append(f"{request.method.decode()} {path.decode()}")
        if path == b"/oauth/revoke":
            request.read_body()
            self._revoke(request, json.loads(request.body))
        elif path.startswith(b"/api/accounts/deviceauth/"):
            request.read_body()
            self._device(request, path)
        elif request.value(b"host") == b"auth.openai.com":
            request.read_body()
            self._token(request, path)
        elif request.value(b"host") == b"api.openai.com":
            self.keys.add(bearer(request))
            self.api(request)
        elif request.method == b"POST" and not self.tokens.accepts(request):
            request.read_body()
            answer(request, {"error": {"message": "token expired", "code": "token_expired"}}, 401)
        elif path == b"/backend-api/wham/accounts/check":
            account: dict[str, object] = {
                "id": "account-1",
                "name": None,
                "structure": "personal",
                "plan_type": "pro",
            }
            account |= {
                "is_deactivated": False,
                "workspace_backend_origin": "https://chatgpt.com",
                "account_routing_override": "NO_CONSTRAINT",
            }
            found = {"accounts": [account], "account_ordering": ["account-1"]}
            answer(request, {**found, "default_account_id": "account-1"})
        elif path == b"/backend-api/codex/responses":
            request.head = request.head.replace(b"/backend-api/codex/responses", b"/v1/responses", 1)
            self.api(request)
        else:
            self.api(request)

    def _token(self, request: Received, path: bytes) -> None:
        asked: dict[str, str] = {}
        if path == b"/oauth/token":
            asked = json.loads(request.body) if request.body.startswith(b"{") else form(request)
        given = None
        if asked.get("grant_type") == "refresh_token":
            given = self.tokens.renew(asked["refresh_token"])
        elif asked.get("grant_type") == "authorization_code":
            given = self.tokens.give()
        if given is None:
            answer(request, {"error": {"code": "refresh_token_reused", "message": "log in again"}}, 401)
            return
        answer(request, {"access_token": given[0], "refresh_token": given[1], "id_token": id_token()})

    def _device(self, request: Received, path: bytes) -> None:
        """Give a code to a device, and then what it exchanges for tokens."""
        if path.endswith(b"/usercode"):
            answer(request, {"device_auth_id": "device", "user_code": USER_CODE, "interval": "1"})
        elif self.entered:
            pair = {"code_challenge": "challenge", "code_verifier": "verifier"}
            answer(request, {"authorization_code": "one", **pair})
        else:
            answer(request, {"error": "authorization_pending"}, 403)

    def _revoke(self, request: Received, asked: dict[str, str]) -> None:
        """End a login as `codex logout` asks for it."""
        self.ended.append(asked)
        if self.is_broken:
            answer(request, {"error": "server_error"}, 503)
            return
        if asked["token"] in self.tokens.refresh:
            self.tokens.refresh.clear()
            self.tokens.access.clear()
        answer(request, {})


@dataclass
class Google:
    """oauth2, www and cloudcode-pa.googleapis.com. `api`: answers calls that present a valid token.

    A refresh token that is used twice ends the login, as with the others, because Google may rotate them too.
    """

    api: Handler
    tokens: Tokens = field(default_factory=Tokens)
    codes: set[str] = field(default_factory=set)  # of logins made with a browser
    seen: list[str] = field(default_factory=list)  # host and path of each request
    hosts = (
        "cloudcode-pa.googleapis.com",
        "oauth2.googleapis.com",
        "www.googleapis.com",
        "play.googleapis.com",
        "generativelanguage.googleapis.com",
    )

    def sign_in(self, url: str) -> str:
        """Do what the provider's page does. Returns where it sends the browser of the person who signs in."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        code = f"code-{len(self.codes)}"
        self.codes.add(code)
        return f"{query['redirect_uri']}?{urlencode({'code': code, 'state': query['state']})}"

    def __call__(self, request: Received) -> None:
        host = (request.value(b"host") or b"").decode()
        path = request.target.partition(b"?")[0].decode()
        self.seen.append(host + path)
        is_asked = host == "cloudcode-pa.googleapis.com" and path.endswith("enerateContent")
        if is_asked and self.tokens.accepts(request):
            self.api(request)
            return
        request.read_body()
        if path == "/token":
            self._token(request)
        elif not self.tokens.accepts(request):
            answer(request, {"error": "invalid_token"}, 400 if path == "/tokeninfo" else 401)
        elif path == "/tokeninfo":
            answer(request, {"scope": SCOPE, "expires_in": 3000, "email": "a@b.test", "sub": "1"})
        elif path == "/oauth2/v2/userinfo":
            answer(request, {"email": "a@b.test", "id": "1"})
        elif path.endswith(":loadCodeAssist"):
            tier = {"id": "standard-tier", "name": "Gemini Code Assist"}
            answer(request, {"currentTier": tier, "cloudaicompanionProject": "project-1"})
        else:
            answer(request, {})

    def _token(self, request: Received) -> None:
        asked, given = form(request), None
        if asked.get("grant_type") == "refresh_token":
            given = self.tokens.renew(asked["refresh_token"])
        elif asked.get("grant_type") == "authorization_code" and asked.get("code") in self.codes:
            self.codes.remove(asked["code"])
            given = self.tokens.give()
        if given is None:
            answer(request, {"error": "invalid_grant", "error_description": "Token has been revoked."}, 400)
            return
        content = {"token_type": "Bearer", "access_token": given[0], "refresh_token": given[1]}
        content |= {"scope": SCOPE, "id_token": id_token()}
        answer(request, {**content, "expires_in": self.tokens.expires_in_s})


def google_file(tokens: Tokens, expires_at_s: float) -> str:
    """Return ~/.gemini/oauth_creds.json as Gemini CLI writes it."""
    access, refresh = tokens.give()
    held = {"access_token": access, "refresh_token": refresh, "id_token": id_token()}
    held |= {"scope": SCOPE, "token_type": "Bearer"}
    return json.dumps({**held, "expiry_date": int(expires_at_s * 1000)})


def id_token() -> str:
    """Return what Codex reads about the person and the plan, with a signature that must not get inside."""
    auth = {"chatgpt_plan_type": "pro", "chatgpt_account_id": "account-1", "chatgpt_user_id": "user-1"}
    claims = {"email": "a@b.test", "exp": 4_000_000_000, "https://api.openai.com/auth": auth}
    return f"{_segment({'alg': 'RS256'})}.{_segment({**claims, 'secret': CANARY})}.{_segment(CANARY)}"


def codex_file(tokens: Tokens) -> str:
    """Return ~/.codex/auth.json as Codex writes it. `tokens` issues access tokens that are JWTs."""
    access, refresh = tokens.give()
    held = {"id_token": id_token(), "access_token": access, "refresh_token": refresh}
    document = {"auth_mode": "chatgpt", "OPENAI_API_KEY": None, "tokens": {**held, "account_id": "account-1"}}
    return json.dumps({**document, "last_refresh": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})


def _segment(content: object) -> str:
    return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()
