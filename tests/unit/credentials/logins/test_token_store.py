"""The store of captured logins: who may read it, what it survives, and when its phantoms are void."""

from __future__ import annotations

import json
import multiprocessing
import stat
import time
from base64 import b64encode, urlsafe_b64decode
from pathlib import Path
from typing import Any

import anyio
import pytest

from nono.credentials.logins import stored
from nono.credentials.logins.phantom import (
    MARK,
    PhantomError,
    claims_of,
    field_with_tokens,
    jwt_phantom,
    nonce_of,
    nonces_in,
    nonces_in_field,
)
from nono.credentials.logins.request import LoginRefusedError
from nono.credentials.logins.stored import MAX_TOKENS, TTL_S
from nono.credentials.logins.token_store import LoginStore
from nono.credentials.logins.tokens import LoginTokens
from nono.credentials.store import private_file
from nono.credentials.values.errors import CredentialUnavailable
from nono.secret import Secret

CONSUMERS = ["oauth.acme", "proxy.acme"]
ORIGINS = ["https://auth.acme.test", "https://api.acme.test"]
HERE = ("proxy.acme", "https://api.acme.test")


@pytest.fixture
def store(environ: dict[str, str]) -> LoginStore:
    return LoginStore(environ)


def add(store: LoginStore, *texts: str) -> list[str]:
    return store.add([Secret(text) for text in texts], CONSUMERS, ORIGINS)[0]


def rewrite(store: LoginStore, **changes: Any) -> None:
    """Change a field of every entry on disk."""
    document = json.loads(Path(store.path).read_text())
    for entry in document["tokens"].values():
        entry.update(changes)
    Path(store.path).write_text(json.dumps(document))


def test_an_absent_store_reads_as_empty_without_being_created(store: LoginStore, tmp_path: Path) -> None:
    assert store.read() == {}
    assert store.purge() == 0
    assert list(tmp_path.iterdir()) == []


def test_the_token_file_is_as_documented(store: LoginStore) -> None:
    before = int(time.time())
    [nonce] = add(store, "real-one")
    document = json.loads(Path(store.path).read_text())
    entry = document["tokens"].pop(nonce)
    assert document == {"version": 1, "tokens": {}}
    assert MARK.fullmatch(nonce)
    assert entry["real"] == "real-one"
    assert entry["admitted_consumers"] == CONSUMERS
    assert before <= entry["created_at_secs"] <= time.time()
    path = Path(store.path)
    assert path.parts[-2:] == ("oauth-capture", "providers.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_another_store_finds_what_was_added(store: LoginStore, environ: dict[str, str]) -> None:
    [nonce] = add(store, "real-one")
    assert LoginTokens(LoginStore(environ)).find(nonce, *HERE) == Secret("real-one")


def test_each_token_of_a_consumer_has_one_lasting_phantom(store: LoginStore) -> None:
    assert add(store, "real-one") == add(store, "real-one")
    assert add(store, "real-two") != add(store, "real-one")
    other = store.add([Secret("real-one")], ["oauth.other"], ORIGINS)[0]
    assert other != add(store, "real-one")


@pytest.mark.parametrize(
    ("consumer", "origin", "admitted"),
    [
        (*HERE, True),
        ("oauth.acme", "https://auth.acme.test", True),
        ("proxy.other", "https://api.acme.test", False),
        ("proxy.acme", "https://evil.test", False),
    ],
    ids=["the route", "the provider", "another route", "a route of that name elsewhere"],
)
def test_a_phantom_is_redeemed_only_where_it_is_admitted(
    store: LoginStore, consumer: str, origin: str, admitted: bool
) -> None:
    [nonce] = add(store, "real-one")
    tokens = LoginTokens(store)
    if admitted:
        assert tokens.find(nonce, consumer, origin) == Secret("real-one")
    else:
        with pytest.raises(LoginRefusedError, match="is not for"):
            tokens.find(nonce, consumer, origin)


@pytest.mark.parametrize(
    ("age_s", "lives"), [(TTL_S - 60, True), (TTL_S + 1, False), (-60, True), (-3 * 86400, False)]
)
def test_a_phantom_expires_when_it_is_redeemed(store: LoginStore, age_s: int, lives: bool) -> None:
    [nonce] = add(store, "real-one")
    rewrite(store, created_at_secs=int(time.time()) - age_s)
    tokens = LoginTokens(store)
    if lives:
        assert tokens.find(nonce, *HERE) == Secret("real-one")
    else:
        with pytest.raises(LoginRefusedError, match="expired"):
            tokens.find(nonce, *HERE)


def test_a_phantom_that_expires_during_the_run_is_refused(
    store: LoginStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    [nonce] = add(store, "real-one")
    tokens = LoginTokens(store)
    tokens.find(nonce, *HERE)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + TTL_S + 1)
    with pytest.raises(LoginRefusedError, match="expired"):
        tokens.find(nonce, *HERE)


def test_what_expired_is_gone_after_the_next_login(store: LoginStore) -> None:
    add(store, "real-old")
    rewrite(store, created_at_secs=0)
    add(store, "real-new")
    assert "real-old" not in Path(store.path).read_text()


def test_the_oldest_go_when_there_are_too_many(store: LoginStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MAX_TOKENS", 3)
    assert MAX_TOKENS == 4096
    add(store, "real-1", "real-2", "real-3", "real-4")
    add(store, "real-2")  # in use again
    add(store, "real-5")
    assert [token.real for token in store.read().values()] == [Secret(f"real-{n}") for n in (4, 2, 5)]


def test_the_oldest_go_when_they_are_too_long_together(
    store: LoginStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "MAX_TEXT_BYTES", 10)
    add(store, "aaaaaa", "bbbbbb")
    assert [token.real for token in store.read().values()] == [Secret("bbbbbb")]


def test_a_purge_reaches_a_running_session_of_its_provider_only(store: LoginStore) -> None:
    [mine] = add(store, "real-one")
    [other] = store.add([Secret("real-two")], ["oauth.other"], ["https://other.test"])[0]
    tokens = LoginTokens(store)
    tokens.find(mine, *HERE)
    assert store.purge("oauth.acme") == 1
    with pytest.raises(LoginRefusedError, match="unknown"):
        tokens.find(mine, *HERE)
    assert tokens.find(other, "oauth.other", "https://other.test") == Secret("real-two")
    assert store.purge() == 1
    assert "real-" not in Path(store.path).read_text()


def test_a_run_learns_of_the_login_of_another(store: LoginStore, environ: dict[str, str]) -> None:
    tokens = LoginTokens(LoginStore(environ))
    [nonce] = add(store, "real-one")
    assert tokens.find(nonce, *HERE) == Secret("real-one")


def test_a_run_whose_store_breaks_redeems_nothing(store: LoginStore) -> None:
    [nonce] = add(store, "real-one")
    tokens = LoginTokens(store)
    Path(store.path).write_text("{")
    with pytest.raises(LoginRefusedError, match="unknown"):
        tokens.find(nonce, *HERE)


BROKEN = {
    "empty": "",
    "cut": '{"version": 1, "tok',
    "list": "[]",
    "other version": '{"version": 2, "tokens": {}}',
    "no tokens": '{"version": 1}',
    "not a nonce": '{"version": 1, "tokens": {"x": {"real": "c4n4ry", "admitted_consumers": [], '
    '"created_at_secs": 1}}}',
    "no text": '{"version": 1, "tokens": {"nono_%s": {"real": 1, "admitted_consumers": [], '
    '"created_at_secs": 1}}}' % ("a" * 64),
    "origins of a wrong kind": '{"version": 1, "tokens": {"nono_%s": {"real": "c4n4ry", '
    '"admitted_consumers": [], "admitted_origins": "x", "created_at_secs": 1}}}' % ("a" * 64),
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_broken_store_is_an_error_that_leaves_it_as_it_is(
    store: LoginStore, environ: dict[str, str], content: str
) -> None:
    add(store, "real-one")
    Path(store.path).write_text(content)
    for action in (
        lambda: LoginTokens(LoginStore(environ)),
        lambda: add(store, "real-two"),
        store.purge,
    ):
        with pytest.raises(CredentialUnavailable, match="not a store of captured logins") as caught:
            action()
        assert caught.value.hint is not None
        assert "move the file away" in caught.value.hint
        assert "c4n4ry" not in str(caught.value)
        assert caught.value.__context__ is None
    assert Path(store.path).read_text() == content


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o620, 0o602])
def test_a_store_that_others_could_touch_is_not_believed(store: LoginStore, bits: int) -> None:
    add(store, "real-one")
    Path(store.path).chmod(bits)
    with pytest.raises(CredentialUnavailable, match="other users"):
        LoginTokens(store)


def test_an_entry_without_origins_is_redeemed_by_its_consumers(store: LoginStore) -> None:
    [nonce] = add(store, "real-one")
    document = json.loads(Path(store.path).read_text())
    del document["tokens"][nonce]["admitted_origins"]
    Path(store.path).write_text(json.dumps(document))
    tokens = LoginTokens(store)
    assert tokens.find(nonce, *HERE) == Secret("real-one")
    with pytest.raises(LoginRefusedError, match="is not for"):
        tokens.find(nonce, "proxy.other", HERE[1])


def _log_in_ten_times(environ: dict[str, str], writer: int) -> None:
    for number in range(10):
        LoginStore(environ).add([Secret(f"real-{writer}-{number}")], CONSUMERS, ORIGINS)


def test_runs_that_log_in_at_the_same_time_lose_nothing(environ: dict[str, str]) -> None:
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_log_in_ten_times, args=(environ, number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(LoginStore(environ).read()) == 30


def test_a_lock_that_is_never_released_is_an_error(
    store: LoginStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(store, "real-one")
    monkeypatch.setattr(private_file, "LOCK_WAIT_S", 0.05)
    with store._file.locked(), pytest.raises(CredentialUnavailable, match="has held its lock"):
        add(store, "real-two")
    add(store, "real-two")


def test_storing_off_the_loop_gives_phantoms_that_are_redeemed_at_once(store: LoginStore) -> None:
    tokens = LoginTokens(store)

    async def log_in() -> list[str]:
        return await tokens.store([Secret("real-one"), Secret("real-two")], CONSUMERS, ORIGINS)

    first, second = anyio.run(log_in)
    assert (tokens.find(first, *HERE), tokens.find(second, *HERE)) == (Secret("real-one"), Secret("real-two"))


# -- how phantoms are spelled

NONCE = f"nono_{'0123456789abcdef' * 4}"
OTHER = f"nono_{'a' * 64}"


def test_a_jwt_phantom_is_an_unsigned_jwt_whose_subject_is_the_nonce() -> None:
    header, claims, signature = jwt_phantom(NONCE).split(".")

    def decoded(part: str) -> dict[str, object]:
        content = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        assert isinstance(content, dict)
        return content

    assert decoded(header)["alg"] == "none"
    assert decoded(claims) == {"iss": "nono", "aud": "nono", "sub": NONCE, "iat": 0, "exp": 4102444800}
    assert signature == NONCE


def test_a_jwt_phantom_keeps_the_named_claims_alone() -> None:
    real = jwt_phantom(OTHER, {"email": "a@b.test", "plan": {"type": "pro"}, "secret": "canary"})
    kept = claims_of(Secret(real), ["email", "plan", "absent"])
    phantom = jwt_phantom(NONCE, {**kept, "sub": "somebody", "iss": "provider"})
    claims = json.loads(urlsafe_b64decode(phantom.split(".")[1] + "=="))
    assert (claims["email"], claims["plan"]) == ("a@b.test", {"type": "pro"})
    assert (claims["sub"], claims["iss"], "secret" in claims) == (NONCE, "nono", False)
    assert nonce_of(phantom) == NONCE
    assert nonce_of(phantom.replace(NONCE, OTHER)) is None


def test_what_is_no_jwt_has_no_claims() -> None:
    for text in ("opaque", "a.b.c", "e30.W10.x", "..", "e30." + "W" * 4001 + ".x"):
        assert claims_of(Secret(text), ["email"]) == {}


@pytest.mark.parametrize("text", [NONCE, jwt_phantom(NONCE)], ids=["opaque", "jwt"])
def test_only_a_bare_phantom_has_a_nonce(text: str) -> None:
    assert nonce_of(text) == NONCE
    for changed in (f"{text}0", f"x{text}", f"{text} ", f"{text[:-1]}", text.upper(), f"a.b.{text}"):
        assert nonce_of(changed) is None


def test_a_jwt_around_a_nonce_that_was_not_made_here_is_no_phantom() -> None:
    assert nonce_of(f"eyJhbGciOiJub25lIn0.e30.{NONCE}") is None
    assert nonce_of(jwt_phantom(OTHER).rpartition(".")[0] + f".{NONCE}") is None
    for claims in ("W10", "e", ""):  # a list, and nothing at all
        assert nonce_of(f"{jwt_phantom(NONCE).partition('.')[0]}.{claims}.{NONCE}") is None


def test_phantoms_are_found_wherever_a_field_holds_them() -> None:
    assert nonces_in_field(f"Bearer {NONCE}".encode()) == [NONCE]
    assert nonces_in_field(f"a=1; session={jwt_phantom(NONCE)}; b={OTHER}".encode()) == [NONCE, OTHER]
    assert nonces_in_field(b"Basic " + b64encode(f"u:{NONCE}".encode())) == [NONCE]
    assert nonces_in_field(b"Bearer of good news") == []


@pytest.mark.parametrize("text", [f"{NONCE}0", f"x{NONCE}", f"a.b.{NONCE}", f"{NONCE}.x"])
def test_a_phantom_with_something_attached_is_an_error(text: str) -> None:
    with pytest.raises(PhantomError):
        nonces_in(text)


def test_a_token_goes_exactly_where_its_phantom_was() -> None:
    tokens = {NONCE: Secret("real-one"), OTHER: Secret("real-two")}
    assert field_with_tokens(f"Bearer {jwt_phantom(NONCE)}".encode(), tokens) == Secret("Bearer real-one")
    assert field_with_tokens(f"a={NONCE}; b={OTHER}".encode(), tokens) == Secret("a=real-one; b=real-two")
    basic = b64encode(f"u:{NONCE}".encode())
    assert field_with_tokens(b"basic " + basic, tokens) == Secret(
        "Basic " + b64encode(b"u:real-one").decode()
    )
