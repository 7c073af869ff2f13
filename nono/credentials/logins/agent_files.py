"""Read the login that an agent keeps in its own file, and write that file with phantoms."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from posixpath import isabs, join

from nono.credentials.logins.phantom import claims_of
from nono.credentials.values.errors import CredentialUnavailable
from nono.named_tuple import NamedTuple
from nono.paths import home, state_root
from nono.secret import Secret

MAX_FILE_BYTES = 1024 * 1024
SHARED = "nono"
Document = dict[str, object]


class FoundLogin(NamedTuple):
    """A login in the form of the token endpoint's response."""

    tokens: Mapping[str, Secret]  # by field of the response
    answer: Mapping[str, object]  # other fields of the response
    expires_s: int | None  # when the access token expires, since the epoch


class Revocation(NamedTuple):
    """How an agent's own logout ends its login at the provider, as its package tells."""

    url: str
    client_id: str  # the agent's, which is public


class AgentFile(NamedTuple):
    """The file of one agent."""

    program: str  # the agent's common name
    provider: str  # in the profile with the agent's name
    outside: Callable[[Mapping[str, str]], str]  # its path, from the caller's environment
    inside: Callable[[Mapping[str, str]], str]  # the file of phantoms for runs
    read: Callable[[Document], FoundLogin | None]
    with_phantoms: Callable[[Document, Mapping[str, str]], Document]  # phantoms by field of the response
    is_mounted: bool = False  # `inside` is mounted over `outside`, because the agent reads no other path
    # Beside `outside`: a directory private to each run, in which the agent writes a login made inside. None:
    # such a login leaves the file outside alone.
    own_directory: str | None = None
    # Takes the tokens of a login made inside, by field of the response, and when they were issued, since the
    # epoch. Returns what `with_phantoms` takes; None: a token is missing.
    made_inside: Callable[[Mapping[str, Secret], int], Document | None] | None = None
    # Beside `outside`: a file in which the agent outside keeps keys, and the agent inside what it is given.
    # Runs share one of that name in the directory SHARED beside it.
    apart: str | None = None
    revocation: Revocation | None = None  # None: the agent's own logout only forgets


class InsideLogin(NamedTuple):
    """The login of a program that is made inside, in a file that nono does not read."""

    program: str
    provider: str
    revocation: None = None  # no package tells how to end it
    service: str | None = None  # whose key the access token is, in runs that ask for that service


def parse(agent: AgentFile, content: bytes, path: str) -> tuple[FoundLogin, Document]:
    """Return the login in a file, and the document. Raises CredentialUnavailable if there is no login.

    The parser's exception would carry the text, so it must not propagate.
    """
    document = _object(content)
    found = agent.read(document) if document is not None else None
    if document is None or found is None or not all(_is_token(each) for each in found.tokens.values()):
        raise CredentialUnavailable(
            f"{path} holds no login of {agent.program}",
            hint=f"log in with {agent.program} outside, or inside a run, where the login is captured",
        )
    return found, document


def merged(agent: AgentFile, before: bytes | None, document: Document, phantoms: Mapping[str, str]) -> bytes:
    """Return the file for runs. `before`: The current content, which a command may have written."""
    # Imported here, as below: each command waits for this module, and few have a login.
    import json

    others = _object(before) if before is not None else None
    return json.dumps({**(others or {}), **agent.with_phantoms(document, phantoms)}, indent=2).encode()


def _object(content: bytes) -> Document | None:
    import json

    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _is_token(token: Secret) -> bool:
    text = token.reveal()
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def _below(variable: str, default: str, *names: str) -> Callable[[Mapping[str, str]], str]:
    """Return a function to a path below the directory in `variable`, or else below HOME."""

    def path(environ: Mapping[str, str]) -> str:
        value = environ.get(variable, "")
        return join(value if isabs(value) else join(home(environ), default), *names)

    return path


# Claude Code: claudeAiOauth of .credentials.json. Nothing else in it is copied, because it might be a token.
_CLAUDE = "claudeAiOauth"
_CLAUDE_KEPT = ("expiresAt", "refreshTokenExpiresAt", "scopes", "subscriptionType", "rateLimitTier")


def _read_claude(document: Document) -> FoundLogin | None:
    match document.get(_CLAUDE):
        case {"accessToken": str(access), "refreshToken": str(refresh), **others}:
            scopes, expires_ms = others.get("scopes"), others.get("expiresAt")
            scope = " ".join(map(str, scopes)) if isinstance(scopes, list) else ""
            return FoundLogin(
                {"access_token": Secret(access), "refresh_token": Secret(refresh)},
                {"token_type": "Bearer", "scope": scope},
                expires_ms // 1000 if isinstance(expires_ms, int) else None,
            )
    return None


def _claude_with(document: Document, phantoms: Mapping[str, str]) -> Document:
    login = document[_CLAUDE]
    assert isinstance(login, dict)
    kept = {name: login[name] for name in _CLAUDE_KEPT if name in login}
    tokens = {"accessToken": phantoms["access_token"], "refreshToken": phantoms["refresh_token"]}
    return {_CLAUDE: {**tokens, **kept}}


# Codex: tokens of auth.json. Codex itself reads the id token and the access token.
_CODEX_KEPT = ("auth_mode", "last_refresh")
_CODEX_CLAIM = "https://api.openai.com/auth"


def _read_codex(document: Document) -> FoundLogin | None:
    match document.get("tokens"):
        case {"id_token": str(identity), "access_token": str(access), "refresh_token": str(refresh)}:
            tokens = {"id_token": identity, "access_token": access, "refresh_token": refresh}
            expires = claims_of(Secret(access), ["exp"]).get("exp")
            return FoundLogin(
                {name: Secret(text) for name, text in tokens.items()},
                {"token_type": "Bearer"},
                expires if isinstance(expires, int) else None,
            )
    return None


def _codex_with(document: Document, phantoms: Mapping[str, str]) -> Document:
    tokens = document["tokens"]
    assert isinstance(tokens, dict)
    account = {"account_id": tokens["account_id"]} if "account_id" in tokens else {}
    kept = {name: document[name] for name in _CODEX_KEPT if name in document}
    return {**kept, "OPENAI_API_KEY": None, "tokens": {**phantoms, **account}}


def _codex_made_inside(tokens: Mapping[str, Secret], issued_s: int) -> Document | None:
    if not tokens.keys() >= {"id_token", "access_token", "refresh_token"}:
        return None
    auth = claims_of(tokens["id_token"], [_CODEX_CLAIM]).get(_CODEX_CLAIM)
    account = auth.get("chatgpt_account_id") if isinstance(auth, dict) else None
    issued = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(issued_s))
    return {"auth_mode": "chatgpt", "last_refresh": issued, "tokens": {"account_id": account}}


# Gemini CLI: the response of Google's token endpoint, with the time in milliseconds. It writes renewed tokens
# to another file, because the profile sets GEMINI_FORCE_ENCRYPTED_FILE_STORAGE.
_GEMINI_TOKENS = ("access_token", "refresh_token", "id_token")
_GEMINI_KEPT: Sequence[str] = ("scope", "token_type", "expiry_date")


def _read_gemini(document: Document) -> FoundLogin | None:
    match document:
        case {"access_token": str(), "refresh_token": str()}:
            texts = {name: document.get(name) for name in _GEMINI_TOKENS}
            tokens = {name: Secret(text) for name, text in texts.items() if isinstance(text, str)}
            expires_ms = document.get("expiry_date")
            return FoundLogin(
                tokens,
                {"token_type": "Bearer", "scope": str(document.get("scope", ""))},
                expires_ms // 1000 if isinstance(expires_ms, int) else None,
            )
    return None


def _gemini_with(document: Document, phantoms: Mapping[str, str]) -> Document:
    kept = {name: document[name] for name in _GEMINI_KEPT if name in document}
    return {**phantoms, **kept}


def _state(name: str) -> Callable[[Mapping[str, str]], str]:
    return lambda environ: join(state_root(environ), "oauth-capture", "inside", name)


AGENT_FILES: Mapping[str, AgentFile] = {
    "claude-code": AgentFile(
        "Claude Code",
        "claude",
        _below("CLAUDE_CONFIG_DIR", ".claude", ".credentials.json"),
        # CLAUDE_SECURESTORAGE_CONFIG_DIR in the profile.
        lambda environ: join(home(environ), ".claude/nono/.credentials.json"),
        _read_claude,
        _claude_with,
    ),
    "codex": AgentFile(
        "Codex",
        "chatgpt",
        _below("CODEX_HOME", ".codex", "auth.json"),
        _state("codex.json"),
        _read_codex,
        _codex_with,
        is_mounted=True,
        own_directory="nono",
        made_inside=_codex_made_inside,
        revocation=Revocation("https://auth.openai.com/oauth/revoke", "app_EMoamEEZ73f0CkXaXp7hrann"),
    ),
    "gemini-cli": AgentFile(
        "Gemini CLI",
        "google",
        _below("GEMINI_CLI_HOME", "", ".gemini", "oauth_creds.json"),
        _state("gemini-cli.json"),
        _read_gemini,
        _gemini_with,
        is_mounted=True,
        apart="gemini-credentials.json",
    ),
}
# The agent outside has a login of its own, elsewhere (`~/.copilot`).
INSIDE_LOGINS: Mapping[str, InsideLogin] = {
    "copilot-github": InsideLogin("Copilot CLI", "github"),
    "gh": InsideLogin("gh", "gh", service="github"),
}
