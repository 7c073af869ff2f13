"""A key that is read from standard input is stored, or refused in words."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nono.cli.commands.credential.keys import list_keys, remove_key, set_key
from nono.cli.commands.credential.keys import test_key as try_key
from nono.credentials import resolver
from nono.credentials.resolver import SYSTEM_KEYRING, StoredName
from nono.credentials.store.vault import Vault
from nono.errors import CredentialError
from nono.secret import Secret

KEY = "sk-canary"


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Return an environment without a keyring, and with nothing that encrypts the store."""
    nobody = {"PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring", "PATH": "/nonexistent"}
    for name, value in nobody.items():
        monkeypatch.setenv(name, value)
    return {"HOME": str(tmp_path), **nobody}


def piped(content: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let standard input be a pipe in a locale such as en_US.UTF-8."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), "utf-8"))


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["none", "line feed", "of Windows"])
def test_a_key_is_stored_without_its_line_end(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    piped(f"{KEY}{end}".encode(), monkeypatch)
    assert set_key("openai", environ) == 0
    assert Vault(environ).get("openai") == Secret(KEY)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(KEY.encode("utf-16"), "the value is not UTF-8 text", id="another encoding"),
        pytest.param(b"x" * 70_000, "is longer than 65536 bytes", id="too long"),
        pytest.param(b"\n", "is empty; nothing was stored", id="empty"),
    ],
)
def test_a_key_that_cannot_be_one_is_refused_in_words(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, content: bytes, words: str
) -> None:
    piped(content, monkeypatch)
    with pytest.raises(CredentialError, match=words):
        set_key("openai", environ)


def test_a_key_that_is_typed_in_place_of_its_name_is_neither_stored_nor_repeated(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    piped(b"x", monkeypatch)
    typed = "sk-ant-api03-" + "a1B2c3D4" * 8
    with pytest.raises(CredentialError, match="looks like a key itself") as refused:
        set_key(typed, environ)
    assert typed not in str(refused.value)
    assert Vault(environ).names() == ()


def test_the_name_of_a_stored_key_changes_no_terminal(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any program of the person may have stored it."""
    found = (StoredName("a\x1b[2J", SYSTEM_KEYRING),)
    monkeypatch.setattr(resolver, "names", lambda environ: found)
    assert list_keys(environ, as_json=False) == 0
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize("act", [remove_key, try_key])
def test_a_stored_name_is_offered_for_one_that_is_like_it(
    environ: dict[str, str], act: Callable[[str, dict[str, str]], int]
) -> None:
    Vault(environ).set("openai", Secret(KEY), None)
    with pytest.raises(CredentialError) as near:
        act("opneai", environ)
    assert near.value.hint == "did you mean 'openai'?"
    with pytest.raises(CredentialError) as far:
        act("github", environ)
    assert "openai" not in (far.value.hint or "")


def test_a_listed_key_is_named_with_its_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored = (StoredName("openai", SYSTEM_KEYRING), StoredName("b", "/s/keys.json"))
    monkeypatch.setattr(resolver, "names", lambda environ: stored)
    assert list_keys({}, as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == [{"format": 1, **each._asdict()} for each in stored]
    assert list_keys({}, as_json=False) == 0
    told = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert told == [["openai", f"the {SYSTEM_KEYRING}"], ["b", "/s/keys.json (mode 0600)"]]
