"""Which of the two stores answers to a name, and where a value goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nono.credentials import resolver
from nono.credentials.store.vault import Vault
from nono.credentials.values.errors import CredentialNotFound, CredentialUnavailable
from nono.errors import CredentialError
from nono.secret import Secret
from support.fake_keyring import Memory


def test_a_keyring_that_answers_gets_the_value(with_keyring: dict[str, str], tmp_path: Path) -> None:
    assert resolver.save("openai", Secret("one"), with_keyring).where == "system keyring"
    assert Memory.entries == {("nono", "openai"): "one"}
    assert resolver.resolve_credential("openai", with_keyring) == Secret("one")
    assert list(tmp_path.iterdir()) == []


def test_without_a_keyring_the_embedded_store_gets_it(environ: dict[str, str]) -> None:
    assert resolver.save("openai", Secret("one"), environ).where == Vault(environ).path
    assert resolver.resolve_credential("openai", environ) == Secret("one")
    assert resolver.names(environ) == (resolver.StoredName("openai", Vault(environ).path),)


def test_a_keyring_that_hangs_is_passed_over(with_stuck_keyring: dict[str, str]) -> None:
    assert resolver.save("openai", Secret("one"), with_stuck_keyring).where == Vault(with_stuck_keyring).path
    assert resolver.resolve_credential("openai", with_stuck_keyring) == Secret("one")


def test_storing_in_the_keyring_removes_an_older_value_in_front(
    environ: dict[str, str], with_keyring: dict[str, str]
) -> None:
    resolver.save("openai", Secret("old"), environ)
    resolver.save("openai", Secret("new"), with_keyring)
    assert resolver.resolve_credential("openai", with_keyring) == Secret("new")
    assert Vault(environ).get("openai") is None


def test_the_embedded_store_answers_before_the_keyring(
    environ: dict[str, str], with_keyring: dict[str, str]
) -> None:
    resolver.save("openai", Secret("in the keyring"), with_keyring)
    resolver.save("openai", Secret("embedded"), environ)
    assert resolver.resolve_credential("openai", with_keyring) == Secret("embedded")


def test_a_missing_credential_is_reported_with_how_to_store_it(
    with_keyring: dict[str, str],
) -> None:
    with pytest.raises(CredentialNotFound, match="neither") as caught:
        resolver.resolve_credential("openai", with_keyring)
    assert caught.value.hint == "nono credential set openai"


def test_without_a_keyring_a_name_that_is_not_embedded_is_unavailable(environ: dict[str, str]) -> None:
    with pytest.raises(CredentialUnavailable, match="no system keyring"):
        resolver.resolve_credential("openai", environ)


def test_removing_takes_it_out_of_both_places(environ: dict[str, str], with_keyring: dict[str, str]) -> None:
    resolver.save("openai", Secret("in the keyring"), with_keyring)
    resolver.save("openai", Secret("embedded"), environ)
    assert resolver.remove("openai", with_keyring) == (Vault(environ).path, "system keyring")
    assert Memory.entries == {}
    with pytest.raises(CredentialNotFound, match="not stored"):
        resolver.remove("openai", with_keyring)


def test_removing_what_is_not_embedded_says_that_the_keyring_is_mute(environ: dict[str, str]) -> None:
    with pytest.raises(CredentialUnavailable, match="no system keyring"):
        resolver.remove("openai", environ)


def test_the_names_are_listed_with_their_places(environ: dict[str, str]) -> None:
    for name in ("b", "a"):
        resolver.save(name, Secret("one"), environ)
    path = Vault(environ).path
    assert resolver.names(environ) == (resolver.StoredName("a", path), resolver.StoredName("b", path))


def test_the_other_schemes_reach_their_sources(with_keyring: dict[str, str], tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.touch(0o600)
    key.write_text("from a file\n")
    key.chmod(0o644)
    Memory.entries["svc", "acct"] = "from the keyring"
    environ = with_keyring | {"A": "from a variable"}
    warnings: list[str] = []
    assert resolver.resolve_credential("env://A", environ) == Secret("from a variable")
    assert resolver.resolve_credential(f"file://{key}", environ, warnings.append) == Secret("from a file")
    assert resolver.resolve_credential("keyring://svc/acct", environ) == Secret("from the keyring")
    assert len(warnings) == 1


def test_a_capture_is_no_credential_before_a_request_comes(environ: dict[str, str]) -> None:
    with pytest.raises(CredentialError, match=r"cmd://gh: .* for routes only"):
        resolver.resolve_credential("cmd://gh", environ)
