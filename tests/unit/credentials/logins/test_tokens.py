"""The logins of one run, while other runs and commands change the store they share."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Sequence
from urllib.parse import urlencode

import anyio
import anyio.from_thread
import pytest

from nono.credentials.logins.request import LoginRefusedError, new_grant
from nono.credentials.logins.stored import Stored
from nono.credentials.logins.token_store import Granted, LoginStore
from nono.credentials.logins.tokens import LoginTokens
from nono.policy.hosts.upstream import Upstream
from nono.policy.services.oauth_routes import TokenEndpoint
from nono.secret import Secret

CONSUMER, ORIGIN = "proxy.acme", "https://api.acme.test"


class OvertakenStore(LoginStore):
    """Another process changes the file, and the loop reads it, before the loop hears of a write."""

    change: Callable[[], object]
    look: Callable[[], object]

    def add(
        self,
        real: Sequence[Secret],
        consumers: Collection[str],
        origins: Collection[str],
        granted: Granted | None = None,
        *,
        may_ask: bool = True,
    ) -> tuple[list[str], Stored]:
        added = super().add(real, consumers, origins, granted, may_ask=may_ask)
        self.change()
        anyio.from_thread.run_sync(self.look)
        return added


def overtaken(environ: dict[str, str], change: Callable[[LoginStore], object]) -> tuple[LoginTokens, str]:
    """Return the tokens of a run, and the nonce of one that it stored just before the change."""
    store = OvertakenStore(environ)
    tokens = LoginTokens(store)
    store.change = lambda: change(LoginStore(environ))

    def look() -> None:
        with pytest.raises(LoginRefusedError):
            tokens.find("nono_" + "0" * 64, CONSUMER, ORIGIN)

    store.look = look

    async def main() -> str:
        [nonce] = await tokens.store([Secret("real-one")], [CONSUMER], [ORIGIN])
        return nonce

    return tokens, anyio.run(main)


def test_a_purge_during_a_login_reaches_the_run(environ: dict[str, str]) -> None:
    tokens, nonce = overtaken(environ, lambda other: other.purge())
    with pytest.raises(LoginRefusedError):
        tokens.find(nonce, CONSUMER, ORIGIN)


def test_a_login_of_another_run_during_a_login_is_known(environ: dict[str, str]) -> None:
    theirs = list[str]()
    tokens, own = overtaken(
        environ, lambda other: theirs.extend(other.add([Secret("real-two")], [CONSUMER], [ORIGIN])[0])
    )
    assert tokens.find(theirs[0], CONSUMER, ORIGIN) == Secret("real-two")
    assert tokens.find(own, CONSUMER, ORIGIN) == Secret("real-one")


@pytest.mark.parametrize("body", ["json", "form"])
@pytest.mark.parametrize(
    ("grant", "starts"),
    [("authorization_code", True), ("urn:x:token-exchange", True), ("refresh_token", False), (None, False)],
)
def test_a_request_for_a_first_token_starts_a_login(body: str, grant: str | None, starts: bool) -> None:
    endpoint = TokenEndpoint(Upstream("https", "a.test", 443), "/token", (), "auto", (("refresh_token",),))
    fields = {"token": "x"} if grant is None else {"grant_type": grant, "code": "x"}
    sent = json.dumps(fields) if body == "json" else urlencode(fields)
    assert (new_grant(endpoint, sent.encode()) is not None) is starts


NAMES = ("access_token", "refresh_token")


@pytest.mark.parametrize(
    ("consumer", "origin", "is_same"),
    [(CONSUMER, ORIGIN, True), ("proxy.other", ORIGIN, False), (CONSUMER, "https://other.test", False)],
    ids=["the same", "another consumer", "another origin"],
)
def test_a_login_is_recognised_by_its_tokens_only_where_they_are_admitted(
    environ: dict[str, str], consumer: str, origin: str, is_same: bool
) -> None:
    """Otherwise one renewal, or one logout, would reach the tokens of somebody else's login."""
    store, real = LoginStore(environ), [Secret("access"), Secret("refresh")]
    answer = Granted(None, NAMES, json.dumps, int(time.time()) + 3600)
    first, stored = store.add(real, [CONSUMER], [ORIGIN], answer)
    (login,) = stored.logins
    second, stored = store.add(real, [consumer], [origin], answer)
    assert (first == second) is is_same
    assert len(stored.logins) == (1 if is_same else 2)
    assert store.forget(login) == 2
    assert len(store.read()) == (0 if is_same else 2)


def logged_in(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, at_s: float
) -> tuple[LoginTokens, str]:
    """Store a login whose access token lasts an hour; returns the tokens of a run, and its name."""
    monkeypatch.setattr(time, "time", lambda: at_s)
    store = LoginStore(environ)
    answer = Granted(
        None, NAMES, lambda nonces: json.dumps(dict(zip(NAMES, nonces, strict=True))), int(at_s) + 3600
    )
    _, stored = store.add([Secret("access"), Secret("refresh")], [CONSUMER], [ORIGIN], answer)
    (login,) = stored.logins
    return LoginTokens(store), login


def test_a_clock_that_was_set_back_does_not_make_a_token_last_longer(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hour may have passed: by this clock nobody can tell, so the login is renewed once."""
    at_s = time.time()
    tokens, login = logged_in(environ, monkeypatch, at_s)
    assert tokens.fresh_answer(login) is not None
    monkeypatch.setattr(time, "time", lambda: at_s - 7200)
    assert tokens.fresh_answer(login) is None
    tokens, login = logged_in(environ, monkeypatch, at_s - 7200)
    assert tokens.fresh_answer(login) is not None


def test_a_login_that_was_removed_meanwhile_has_no_fresh_answer(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens, login = logged_in(environ, monkeypatch, time.time())
    assert tokens.fresh_answer(login) is not None
    LoginStore(environ).purge()
    assert tokens.fresh_answer(login) is None


@pytest.mark.parametrize("back_s", [0, 3600, 23 * 3600])
def test_a_clock_that_was_set_back_leaves_a_login_that_can_be_renewed(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch, back_s: int
) -> None:
    at_s = time.time()
    logged_in(environ, monkeypatch, at_s)
    monkeypatch.setattr(time, "time", lambda: at_s - back_s)
    store = LoginStore(environ)
    store.add([Secret("other")], [CONSUMER], [ORIGIN])  # which removes what has expired
    assert sorted(token.real.reveal() for token in store.read().values()) == ["access", "other", "refresh"]


def test_a_laptop_that_slept_past_the_end_of_a_token_renews_the_login_and_keeps_it(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """During sleep CLOCK_MONOTONIC stands still (clock_gettime(2)), and only the wall clock goes on."""
    store = LoginStore(environ)
    awake_s = time.time()
    answer = Granted(
        None,
        ("access_token", "refresh_token"),
        lambda nonces: json.dumps({"access_token": nonces[0], "refresh_token": nonces[1]}),
        int(awake_s) + 3600,
    )
    [_, refresh], stored = store.add([Secret("access"), Secret("refresh")], [CONSUMER], [ORIGIN], answer)
    (login,) = stored.logins
    tokens = LoginTokens(store)
    assert tokens.fresh_answer(login) is not None
    monkeypatch.setattr(time, "time", lambda: awake_s + 8 * 3600)
    assert tokens.fresh_answer(login) is None
    assert tokens.find(refresh, CONSUMER, ORIGIN) == Secret("refresh")
