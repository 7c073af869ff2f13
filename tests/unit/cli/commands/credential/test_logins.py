"""Captured logins are purged by the name of a provider or of an agent."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.cli.commands.credential.logins import list_or_purge
from nono.credentials.logins.token_store import Granted, LoginStore
from nono.secret import Secret


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("claude", ["oauth.google"]),
        ("claude-code", ["oauth.google"]),
        ("gemini-cli", ["oauth.claude"]),
        ("", []),
        ("codex", ["oauth.claude", "oauth.google"]),
        ("nobody", ["oauth.claude", "oauth.google"]),
    ],
)
def test_a_purge_takes_a_provider_or_an_agent_and_says_what_else_there_is(
    name: str, left: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = {"HOME": str(tmp_path)}
    for consumer in ("oauth.claude", "oauth.google"):
        granted = Granted(consumer, ["refresh_token"], lambda nonces: "{}", None)
        LoginStore(environ).add([Secret(f"of-{consumer}")], [consumer], ["https://a.test"], granted)
    assert list_or_purge(name, environ, as_json=False) == 0
    stored = LoginStore(environ).read().values()
    assert sorted(consumer for token in stored for consumer in token.consumers) == left
    said = f"nono: no login of '{name}' is stored, only of: claude, google\n"
    assert capsys.readouterr().err == (said if len(left) == 2 else "")
