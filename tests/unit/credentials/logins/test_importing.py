"""Importing the login of an agent: what is stored, what a run sees, and what a command put in the way."""

from __future__ import annotations

import json
import os
import stat
from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest

from nono.cli.commands.credential.logins import routes_of
from nono.credentials.logins.agent_files import AGENT_FILES
from nono.credentials.logins.importing import forget_login, import_login
from nono.credentials.logins.phantom import MARK, nonce_of
from nono.credentials.logins.token_store import LoginStore
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable

CANARY = "canary-of-a-login"
CLAUDE = AGENT_FILES["claude-code"]


def claude(number: int = 1, **others: object) -> dict[str, Any]:
    login = {"accessToken": f"{CANARY}-a{number}", "refreshToken": f"{CANARY}-r{number}", "scopes": ["x"]}
    return {"claudeAiOauth": {**login, "expiresAt": 2_000_000_000_000, **others}}


@pytest.fixture
def home(environ: dict[str, str]) -> Path:
    return Path(environ["HOME"])


@pytest.fixture
def outside(home: Path) -> Path:
    path = home / ".claude/.credentials.json"
    path.parent.mkdir(mode=0o700, exist_ok=True, parents=True)
    path.write_text(json.dumps(claude()))
    return path


@pytest.fixture
def inside(home: Path) -> Path:
    return home / ".claude/nono/.credentials.json"


def imported(environ: dict[str, str]) -> None:
    import_login("claude-code", CLAUDE, routes_of("claude-code", "claude", environ), environ)


@pytest.mark.usefixtures("outside")
def test_the_file_for_the_runs_holds_phantoms_alone(environ: dict[str, str], inside: Path) -> None:
    imported(environ)
    login = json.loads(inside.read_text())["claudeAiOauth"]
    assert MARK.fullmatch(login["accessToken"])
    assert MARK.fullmatch(login["refreshToken"])
    assert login["expiresAt"] == 2_000_000_000_000
    assert CANARY not in inside.read_text()
    assert stat.S_IMODE(inside.stat().st_mode) == 0o600
    real = {token.real.matches(f"{CANARY}-a1") for token in LoginStore(environ).read().values()}
    assert real == {True, False}


def test_a_field_that_nobody_knows_is_not_taken_along(
    environ: dict[str, str], outside: Path, inside: Path
) -> None:
    outside.write_text(json.dumps({**claude(other=f"{CANARY}-x"), "mcpOAuth": {"y": f"{CANARY}-z"}}))
    imported(environ)
    assert CANARY not in inside.read_text()


def test_importing_again_keeps_the_phantoms(environ: dict[str, str], outside: Path, inside: Path) -> None:
    imported(environ)
    first = json.loads(inside.read_text())
    inside.write_text(json.dumps({**first, "mcpOAuth": {"made": "inside"}}))
    outside.write_text(json.dumps(claude(2)))
    imported(environ)
    assert json.loads(inside.read_text()) == {**first, "mcpOAuth": {"made": "inside"}}
    tokens = LoginStore(environ).read()
    assert tokens[first["claudeAiOauth"]["accessToken"]].real.matches(f"{CANARY}-a2")
    assert len(tokens) == 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"claudeAiOauth": {"accessToken": "x"}}',
        *(json.dumps(claude(accessToken=token)) for token in ("a\r\nb: c", "", "a b", "a\x7f", "a\xe9")),
    ],
    ids=[
        *("empty", "no object", "no login", "no refresh token", "a line break", "an empty token", "a blank"),
        *("a control character", "a letter beyond ASCII"),
    ],
)
def test_a_file_without_a_login_is_not_imported(
    content: str, environ: dict[str, str], outside: Path, inside: Path
) -> None:
    outside.write_text(content)
    with pytest.raises(CredentialUnavailable, match="holds no login of Claude Code") as raised:
        imported(environ)
    assert CANARY not in str(raised.value)
    assert not inside.exists()
    assert LoginStore(environ).read() == {}


def test_who_never_logged_in_is_told_where_to(environ: dict[str, str]) -> None:
    with pytest.raises(CredentialNotFound, match=r"Claude Code has no login in .*\.credentials\.json"):
        imported(environ)


@pytest.mark.parametrize("what", ["directory", "file"])
@pytest.mark.usefixtures("outside")
def test_a_link_that_a_command_put_in_the_way_is_not_followed(
    what: str, environ: dict[str, str], inside: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / ".credentials.json").write_text("somebody's")
    if what == "directory":
        inside.parent.symlink_to(elsewhere)
    else:
        inside.parent.mkdir(mode=0o700)
        inside.symlink_to(elsewhere / ".credentials.json")
    with pytest.raises(CredentialUnavailable):
        imported(environ)
    if what == "directory":
        with pytest.raises(CredentialUnavailable):
            forget_login(CLAUDE, environ)
    assert LoginStore(environ).read() == {}
    assert os.listdir(elsewhere) == [".credentials.json"]
    assert (elsewhere / ".credentials.json").read_text() == "somebody's"


def test_the_id_token_of_codex_keeps_what_the_agent_reads(environ: dict[str, str], home: Path) -> None:
    auth = {"chatgpt_plan_type": "pro", "chatgpt_account_id": "account-1"}
    claims = {"email": "a@b.test", "https://api.openai.com/auth": auth, "sub": CANARY, "other": CANARY}
    identity = f"e30.{urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b'=').decode()}.{CANARY}"
    tokens = {"id_token": identity, "access_token": f"{CANARY}-a", "refresh_token": f"{CANARY}-r"}
    outside = home / ".codex/auth.json"
    outside.parent.mkdir(mode=0o700)
    document = {"tokens": {**tokens, "account_id": "account-1", "new": CANARY}, "OPENAI_API_KEY": CANARY}
    outside.write_text(json.dumps(document))
    codex = AGENT_FILES["codex"]
    import_login("codex", codex, routes_of("codex", "chatgpt", environ), environ)
    text = Path(codex.inside(environ)).read_text()
    assert CANARY not in text
    held = json.loads(text)["tokens"]
    kept = json.loads(urlsafe_b64decode(held["id_token"].split(".")[1] + "=="))
    assert (kept["email"], kept["https://api.openai.com/auth"]) == ("a@b.test", auth)
    assert nonce_of(held["id_token"]) == held["id_token"].rpartition(".")[2]
    assert held["account_id"] == "account-1"


def test_of_a_login_of_gemini_nothing_is_taken_along_that_might_be_a_token(
    environ: dict[str, str], home: Path
) -> None:
    tokens = {name: f"{CANARY}-{name}" for name in ("access_token", "refresh_token", "id_token")}
    document = {**tokens, "scope": "a b", "token_type": "Bearer", "expiry_date": 2_000_000_000_123}
    outside = home / ".gemini/oauth_creds.json"
    outside.parent.mkdir(mode=0o700)
    outside.write_text(json.dumps({**document, "new": CANARY}))
    gemini = AGENT_FILES["gemini-cli"]
    found = import_login("gemini-cli", gemini, routes_of("gemini-cli", "google", environ), environ)
    assert (found.tokens, found.expires_s) == (3, 2_000_000_000)
    text = Path(gemini.inside(environ)).read_text()
    assert CANARY not in text
    assert {name: held for name, held in json.loads(text).items() if name not in tokens} == {
        name: document[name] for name in ("scope", "token_type", "expiry_date")
    }


@pytest.mark.usefixtures("outside")
def test_a_logout_leaves_nothing_that_a_run_could_use(environ: dict[str, str], inside: Path) -> None:
    imported(environ)
    assert forget_login(CLAUDE, environ) == 2
    assert not inside.exists()
    assert LoginStore(environ).read() == {}
    assert forget_login(CLAUDE, environ) == 0
