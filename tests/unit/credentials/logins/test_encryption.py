"""The store of captured logins at rest: what holds its key, and when a person is asked for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from nono.credentials.logins.token_store import LoginStore
from nono.credentials.logins.tokens import LoginTokens
from nono.credentials.store import kernel_keyring, locks
from nono.credentials.store.vault import Vault
from nono.credentials.values.errors import CredentialUnavailable
from nono.secret import Secret
from nono.typed import hidden

PASSPHRASE = "open sesame"
CANARY = "canary-of-a-token"
CONSUMERS, ORIGINS = ["proxy.acme"], ["https://api.acme.test"]
HERE = ("proxy.acme", "https://api.acme.test")


class Person:
    """Who is at the terminal, and a kernel that keeps a key until it is cleared."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer = PASSPHRASE
        self.kept: dict[str, bytes] = {}

    def type(self, question: str) -> str:
        self.asked += 1
        return self.answer


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    person = Person()
    monkeypatch.setattr(kernel_keyring, "kept", person.kept.get)
    monkeypatch.setattr(
        kernel_keyring, "keep", lambda name, value, seconds: person.kept.update({name: value})
    )
    monkeypatch.setattr(hidden, "read_hidden", person.type)
    monkeypatch.setattr(locks, "_can_ask", lambda: True)
    return person


def choose_passphrase(environ: dict[str, str]) -> None:
    Vault(environ).set("openai", Secret("key"), lambda: Secret(PASSPHRASE))


def add(store: LoginStore, text: str = CANARY) -> str:
    return store.add([Secret(text)], CONSUMERS, ORIGINS)[0][0]


def document(path: str) -> dict[str, Any]:
    content = json.loads(Path(path).read_text())
    assert isinstance(content, dict)
    return content


def test_a_login_is_encrypted_under_the_lock_of_the_credentials(
    environ: dict[str, str], person: Person
) -> None:
    choose_passphrase(environ)
    store = LoginStore(environ)
    nonce = add(store)
    assert CANARY not in Path(store.path).read_text()
    assert document(store.path)["lock"] == document(Vault(environ).path)["lock"]
    assert LoginTokens(LoginStore(environ)).find(nonce, *HERE) == Secret(CANARY)
    assert person.asked == 0


def test_credentials_in_plain_text_give_no_lock(environ: dict[str, str], person: Person) -> None:
    Vault(environ).set("openai", Secret("key"), lambda: None)
    store = LoginStore(environ)
    add(store)
    assert store.lock is None
    assert CANARY in Path(store.path).read_text()
    assert person.asked == 0


def test_an_older_store_is_encrypted_with_the_next_token(environ: dict[str, str], person: Person) -> None:
    old = add(LoginStore(environ))
    choose_passphrase(environ)
    store = LoginStore(environ)
    assert store.read()[old].real == Secret(CANARY)
    add(store, f"{CANARY}-2")
    assert CANARY not in Path(store.path).read_text()
    assert LoginStore(environ).read()[old].real == Secret(CANARY)


def test_a_run_asks_for_the_passphrase_before_it_starts(environ: dict[str, str], person: Person) -> None:
    choose_passphrase(environ)
    nonce = add(LoginStore(environ))
    person.kept.clear()
    assert LoginTokens(LoginStore(environ)).find(nonce, *HERE) == Secret(CANARY)
    assert person.asked == 1


def test_another_passphrase_starts_no_run(environ: dict[str, str], person: Person) -> None:
    choose_passphrase(environ)
    store = LoginStore(environ)
    add(store)
    person.kept.clear()
    person.answer = "open sesam"
    before = Path(store.path).read_bytes()
    with pytest.raises(CredentialUnavailable, match="that is not its passphrase"):
        LoginTokens(LoginStore(environ))
    with pytest.raises(CredentialUnavailable, match="that is not its passphrase"):
        add(LoginStore(environ), "other")
    assert Path(store.path).read_bytes() == before


def test_a_run_that_has_started_never_asks(environ: dict[str, str], person: Person) -> None:
    tokens = LoginTokens(LoginStore(environ))
    choose_passphrase(environ)
    person.kept.clear()

    async def log_in() -> list[str]:
        return await tokens.store([Secret(CANARY)], CONSUMERS, ORIGINS)

    [nonce] = anyio.run(log_in)
    assert tokens.find(nonce, *HERE) == Secret(CANARY)
    assert person.asked == 0
    store = LoginStore(environ)
    add(store, "of an import")
    assert person.asked == 1
    assert CANARY not in Path(store.path).read_text()
    assert tokens.find(nonce, *HERE) == Secret(CANARY)  # the key is kept by now
    assert person.asked == 1


def test_a_run_goes_on_without_asking_when_its_passphrase_is_forgotten(
    environ: dict[str, str], person: Person
) -> None:
    choose_passphrase(environ)
    nonce = add(LoginStore(environ))
    tokens = LoginTokens(LoginStore(environ))
    other = LoginStore(environ)
    other.read()
    person.kept.clear()
    add(other, f"{CANARY}-2")

    async def inside() -> Secret:
        return tokens.find(nonce, *HERE)

    assert anyio.run(inside) == Secret(CANARY)
    assert person.asked == 0


def test_a_run_finds_what_was_encrypted_after_it_began(environ: dict[str, str], person: Person) -> None:
    nonce = add(LoginStore(environ))
    tokens = LoginTokens(LoginStore(environ))
    choose_passphrase(environ)
    add(LoginStore(environ), f"{CANARY}-2")

    async def inside() -> Secret:
        return tokens.find(nonce, *HERE)

    assert anyio.run(inside) == Secret(CANARY)


def test_the_file_of_one_store_does_not_pass_for_the_other(environ: dict[str, str], person: Person) -> None:
    choose_passphrase(environ)
    store = LoginStore(environ)
    add(store)
    Path(store.path).write_bytes(Path(Vault(environ).path).read_bytes())
    with pytest.raises(CredentialUnavailable):
        LoginStore(environ).read()


def test_a_purge_leaves_an_encrypted_store_encrypted(environ: dict[str, str], person: Person) -> None:
    choose_passphrase(environ)
    store = LoginStore(environ)
    add(store)
    store.add([Secret(f"{CANARY}-2")], ["oauth.other"], ORIGINS)
    assert store.purge("oauth.other") == 1
    assert CANARY not in Path(store.path).read_text()
    assert len(LoginStore(environ).read()) == 1
