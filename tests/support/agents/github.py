"""Fake GitHub: a login by device code (RFC 8628), the account and models of Copilot, and repositories."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import urlencode

from support.agents.subscriptions import CANARY, USER_CODE, answer, bearer, form
from support.servers.http1 import Handler, Received

BIG = 2**21 * b"x"  # of a repository
API = "api.individual.githubcopilot.com"  # where the account's plan leads
MODEL = {
    "id": "gpt-4o",
    "name": "GPT-4o",
    "object": "model",
    "vendor": "Azure OpenAI",
    "version": "gpt-4o",
    "model_picker_enabled": True,
    "policy": {"state": "enabled"},
    "supported_endpoints": ["/chat/completions"],
    "capabilities": {
        "type": "chat",
        "family": "gpt-4o",
        "object": "model_capabilities",
        "tokenizer": "o200k_base",
        "limits": {
            "max_context_window_tokens": 128000,
            "max_output_tokens": 4096,
            "max_prompt_tokens": 64000,
        },
        "supports": {"tool_calls": True, "streaming": True, "parallel_tool_calls": True},
    },
}


def _spelled(path: str) -> str:
    """Return the path as the most lenient of servers might read it."""
    return path.lower().rstrip("/").removesuffix(".json")


def in_form_asked_for(request: Received, content: dict[str, object]) -> None:
    """Answer in JSON or XML if that was asked for, and else in a form, as GitHub does."""
    accepted = (request.value(b"accept") or b"").decode()
    if "json" in accepted:
        answer(request, content)
        return
    kind, body = "application/x-www-form-urlencoded; charset=utf-8", urlencode(content)
    if "xml" in accepted:
        members = "".join(f"<{name}>{value}</{name}>" for name, value in content.items())
        kind, body = "application/xml; charset=utf-8", f"<OAuth>{members}</OAuth>"
    request.connection.respond(200, body.encode(), [("Content-Type", kind)])


@dataclass
class GitHub:
    """github.com, api.github.com and Copilot's hosts. `api`: answers calls of a model with a valid token.

    expires_in_s: Lifetime of tokens that come with one to renew them, as of a GitHub App; None: they last.
    """

    api: Handler
    valid: set[str] = field(default_factory=set)  # tokens
    expires_in_s: int | None = None
    refresh: set[str] = field(default_factory=set)  # tokens that renew, each once
    renewals: int = 0
    entered: bool = False  # whether the person has entered the code in a browser
    seen: list[str] = field(default_factory=list)  # host and path of each request with a valid token
    given: int = 0  # how many logins and renewals it has answered with tokens
    hosts = ("github.com", "api.github.com", "api.githubcopilot.com", API)

    def revoke(self) -> None:
        """End the login, as the person can in the settings of GitHub."""
        self.valid.clear()
        self.refresh.clear()

    def expire(self) -> None:
        self.valid.clear()

    def __call__(self, request: Received) -> None:
        host = (request.value(b"host") or b"").decode()
        path = request.target.partition(b"?")[0].decode()
        if host == "github.com":
            request.read_body()
            self._log_in(request, path)
        elif bearer(request).removeprefix("token ") not in self.valid:
            request.read_body()
            answer(request, {"message": "Bad credentials"}, 401)
        else:
            self.seen.append(host + path)
            self._serve(request, host, path)

    def _log_in(self, request: Received, path: str) -> None:
        asked = form(request)
        if path == "/login/device/code":
            page = "https://github.com/login/device"
            content = {"device_code": "device", "user_code": USER_CODE, "verification_uri": page}
            in_form_asked_for(request, {**content, "expires_in": 900, "interval": 1})
        elif path == "/somebody/big":
            request.connection.respond(200, BIG, [("Content-Type", "application/octet-stream")])
        elif _spelled(path) != "/login/oauth/access_token":
            answer(request, {"message": "Not Found"}, 404)
        elif asked.get("device_code") == "device":
            pending: dict[str, object] = {"error": "authorization_pending"}
            in_form_asked_for(request, self._give() if self.entered else pending)
        elif asked.get("grant_type") == "refresh_token":
            if asked.get("refresh_token") not in self.refresh:
                in_form_asked_for(request, {"error": "bad_refresh_token"})  # with 200, as GitHub answers
                return
            self.refresh.remove(asked["refresh_token"])
            self.renewals += 1
            in_form_asked_for(request, self._give())
        else:
            answer(request, {"message": "Not Found"}, 404)

    def _give(self) -> dict[str, object]:
        self.given += 1
        token = f"gho_{CANARY}-{self.given}"
        self.valid.add(token)
        content: dict[str, object] = {
            "access_token": token,
            "token_type": "bearer",
            "scope": "read:user,repo",
        }
        if self.expires_in_s is None:
            return content
        refresh = f"ghr_{CANARY}-{self.given}"
        self.refresh.add(refresh)
        renewal = {"refresh_token": refresh, "refresh_token_expires_in": 15_897_600}
        return content | {"expires_in": self.expires_in_s, **renewal}

    def _serve(self, request: Received, host: str, path: str) -> None:
        if host == API and path in ("/chat/completions", "/responses"):
            request.head = request.head.replace(path.encode(), b"/v1" + path.encode(), 1)
            self.api(request)
            return
        request.read_body()
        match path:
            case "/copilot_internal/user":
                plan = {"login": "somebody", "copilot_plan": "individual", "chat_enabled": True}
                answer(request, {**plan, "endpoints": {"api": f"https://{API}"}})
            case "/models":
                answer(request, {"data": [MODEL], "object": "list"})
            case "/user":
                answer(request, {"login": "somebody", "id": 1})
            case "/graphql":
                answer(request, {"data": {"viewer": {"login": "somebody"}}})
            case "/user/repos":
                answer(request, [{"full_name": "somebody/secret", "private": True}])
            case _:
                answer(request, {"message": "Not Found"}, 404)
