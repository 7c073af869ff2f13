"""Captured logins are purged by the name of a provider or of an agent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from nono.cli.commands.credential import command
from nono.credentials.logins.token_store import Granted, LoginStore
from nono.secret import Secret


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, str]:
    environ = {"HOME": str(tmp_path)}
    monkeypatch.setattr("os.environ", environ)
    return environ


def store(environ: Mapping[str, str], *consumers: str) -> None:
    for consumer in consumers:
        granted = Granted(consumer, ["refresh_token"], lambda nonces: "{}", None)
        LoginStore(environ).add([Secret(f"of-{consumer}")], [consumer], ["https://a.test"], granted)


def stored(environ: Mapping[str, str]) -> list[str]:
    tokens = LoginStore(environ).read().values()
    return sorted(consumer for token in tokens for consumer in token.consumers)


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("claude", ["oauth.google"]),
        ("claude-code", ["oauth.google"]),
        ("gemini-cli", ["oauth.claude"]),
        ("gemini", ["oauth.claude"]),
        ("", []),
        ("codex", ["oauth.claude", "oauth.google"]),
        ("nobody", ["oauth.claude", "oauth.google"]),
    ],
)
def test_a_purge_takes_a_provider_or_an_agent_and_says_what_else_there_is(
    name: str, left: list[str], home: Mapping[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    store(home, "oauth.claude", "oauth.google")
    assert command.run(["logins", "--purge", name] if name else ["logins", "--purge"]) == 0
    assert stored(home) == left
    said = f"nono: no login of '{name}' is stored, only of: claude, google\n"
    assert capsys.readouterr().err == (said if len(left) == 2 else "")


def test_a_provider_of_that_name_comes_before_an_agent(home: Mapping[str, str]) -> None:
    store(home, "oauth.gemini", "oauth.google")
    assert command.run(["logins", "--purge", "gemini"]) == 0
    assert stored(home) == ["oauth.google"]
