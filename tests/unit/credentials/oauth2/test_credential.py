"""Access tokens: one exchange for all who wait, none used past its end, none taken from a bad reply."""

from __future__ import annotations

import json
import logging
import traceback
from base64 import b64decode, b64encode
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote_plus

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.credentials.oauth2.credential import OAuth2Credential, TokenExchangeFailed
from nono.credentials.oauth2.token_endpoint import (
    DEFAULT_LIFETIME_S,
    MAX_LIFETIME_S,
    SHORT_LIFETIME_S,
    Granted,
    NotGranted,
    TokenRequest,
    read_reply,
)
from nono.credentials.renewal import FORGET_INTERVAL_S, MAX_DELAY_S
from nono.credentials.values.credential import Header, Injection, Outgoing, RequestFacts, detectors
from nono.credentials.values.errors import CredentialUnavailable
from nono.errors import CredentialError
from nono.policy.schema.constraints import AuthMethod
from nono.policy.schema.route_rules import Inject
from nono.secret import Secret
from support.fake_keyring import CANARY

FACTS = RequestFacts("api.test", 443, "GET", "/v1/x?y=z", "alpha")
URL = "https://login.test/oauth/token"


class Reply(NamedTuple):
    status: int
    body: bytes


def granting(token: str, **members: object) -> Reply:
    fields = {"access_token": token, "token_type": "Bearer", "expires_in": 600, **members}
    return Reply(
        200, json.dumps({name: value for name, value in fields.items() if value is not ...}).encode()
    )


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Endpoint:
    """A token endpoint that answers from a list (the last for ever), once its gate is open."""

    replies: list[Reply | OSError]
    gate: anyio.Event | None = None
    posts: list[tuple[str, bytes, Sequence[Header]]] = field(default_factory=list)
    running: int = 0
    most_running: int = 0

    async def __call__(self, url: str, form: bytes, headers: Sequence[Header]) -> Reply:
        self.posts.append((url, form, headers))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        try:
            if self.gate is not None:
                await self.gate.wait()
            await anyio.lowlevel.checkpoint()
        finally:
            self.running -= 1
        if isinstance(reply, OSError):
            raise reply
        return reply


def a_credential(
    endpoint: Endpoint,
    clock: Clock | None = None,
    *,
    auth_method: AuthMethod = "client_secret_post",
    inject: Inject | None = None,
) -> OAuth2Credential:
    return OAuth2Credential(
        URL,
        Secret("the-client"),
        Secret(CANARY),
        post=endpoint,
        scope="a b",
        auth_method=auth_method,
        inject=inject or Inject(),
        clock=clock or Clock(),
    )


def run(work: Callable[[], Coroutine[object, object, None]]) -> None:
    anyio.run(work, backend_options={"use_uvloop": True})


def sent(injection: Injection | None) -> bytes | None:
    """Return the field that would go upstream."""
    if injection is None:
        return None
    ((_, value),) = injection.inject(Outgoing(b"GET", b"/", b"api.test", [])).headers
    return value


# -- the request


@pytest.mark.parametrize(
    ("client_id", "client_secret", "scope"),
    [
        pytest.param("id", "s3cret", "", id="plain"),
        pytest.param("i d&x=y", "s+3/c%r=e&t: é", "a b c", id="everything that a form must escape"),
    ],
)
def test_the_form_says_who_asks_and_for_what(client_id: str, client_secret: str, scope: str) -> None:
    request = TokenRequest(Secret(client_id), Secret(client_secret), scope)
    expected = [
        ("grant_type", "client_credentials"),
        ("client_id", client_id),
        ("client_secret", client_secret),
        *([("scope", scope)] if scope else []),
    ]
    assert parse_qsl(request.form().decode("ascii"), strict_parsing=True) == expected
    assert dict(request.headers())[b"Content-Type"] == b"application/x-www-form-urlencoded"
    assert b"Authorization" not in dict(request.headers())


def test_with_basic_authentication_the_form_holds_no_secret() -> None:
    request = TokenRequest(Secret("i:d"), Secret("s 3:é"), auth_method="client_secret_basic")
    assert request.form() == b"grant_type=client_credentials"
    scheme, _, pair = dict(request.headers())[b"Authorization"].partition(b" ")
    assert scheme == b"Basic"
    client_id, client_secret = b64decode(pair).decode("ascii").split(":")
    assert (unquote_plus(client_id), unquote_plus(client_secret)) == ("i:d", "s 3:é")


# -- the reply


@pytest.mark.parametrize(
    ("reply", "lifetime_s"),
    [
        pytest.param(granting("t", expires_in=600), 600, id="seconds"),
        pytest.param(granting("t", expires_in=1.5), 1.5, id="not whole"),
        pytest.param(granting("t", expires_in="600"), 600, id="digits in a string"),
        pytest.param(granting("t", expires_in=...), DEFAULT_LIFETIME_S, id="absent"),
        pytest.param(granting("t", expires_in=0), SHORT_LIFETIME_S, id="zero"),
        pytest.param(granting("t", expires_in=-5), SHORT_LIFETIME_S, id="negative"),
        pytest.param(granting("t", expires_in="soon"), SHORT_LIFETIME_S, id="word"),
        pytest.param(granting("t", expires_in="1e9"), SHORT_LIFETIME_S, id="number in words"),
        pytest.param(granting("t", expires_in=True), SHORT_LIFETIME_S, id="boolean"),
        pytest.param(granting("t", expires_in=None), SHORT_LIFETIME_S, id="null"),
        pytest.param(granting("t", expires_in=[600]), SHORT_LIFETIME_S, id="list"),
        pytest.param(granting("t", expires_in=float("nan")), SHORT_LIFETIME_S, id="NaN"),
        pytest.param(granting("t", expires_in=float("inf")), MAX_LIFETIME_S, id="infinite"),
        pytest.param(granting("t", expires_in=10**400), MAX_LIFETIME_S, id="larger than a float"),
        pytest.param(granting("t", token_type="bearer"), 600, id="lower-case type"),
        pytest.param(granting("t", token_type=...), 600, id="no type"),
    ],
)
def test_a_token_is_granted_for_a_time_that_is_bounded(reply: Reply, lifetime_s: float) -> None:
    assert read_reply(reply) == Granted(Secret("t"), lifetime_s)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        pytest.param(Reply(302, b""), "it answered 302", id="redirect"),
        pytest.param(Reply(302, granting("t").body), "it answered 302", id="redirect with a token"),
        pytest.param(
            Reply(401, b'{"error": "invalid_client"}'), "it answered 401 (invalid_client)", id="error"
        ),
        pytest.param(Reply(400, b'{"error": "sk-1"}'), "it answered 400", id="an error of its own"),
        pytest.param(Reply(400, b'{"error": ["invalid_client"]}'), "it answered 400", id="error is no text"),
        pytest.param(Reply(200, b"<html>sk-1</html>"), "its answer is not a JSON object", id="HTML"),
        pytest.param(Reply(200, b""), "its answer is not a JSON object", id="nothing"),
        pytest.param(Reply(200, b'["sk-1"]'), "its answer is not a JSON object", id="list"),
        pytest.param(Reply(200, b'{"a": "\xff"}'), "its answer is not a JSON object", id="not UTF-8"),
        pytest.param(Reply(200, b"[" * 60_000), "its answer is not a JSON object", id="deeply nested"),
        pytest.param(
            Reply(200, b'{"a": ' + b"1" * 9000 + b"}"), "its answer is not a JSON object", id="digits"
        ),
        pytest.param(granting("t", access_token=...), "its answer holds no access_token", id="no token"),
        pytest.param(granting("t", access_token=5), "its answer holds no access_token", id="number"),
        *[
            pytest.param(
                granting(token), "its access_token has characters that a token may not have", id=repr(token)
            )
            for token in [
                "",
                "t\r\nX: y",
                "t\n",
                "t\0",
                "t\x7f",
                "té",
                "t€",
                " t",
                "t ",
                "t\ud800",
                "t\u2028",
            ]
        ],
        pytest.param(granting("t", token_type="mac"), "its token is not of the type Bearer", id="other type"),
        pytest.param(granting("t", token_type=None), "its token is not of the type Bearer", id="null type"),
        pytest.param(granting("t", token_type="DPoP"), "its token is not of the type Bearer", id="DPoP"),
    ],
)
def test_what_is_no_grant_is_refused_in_words_of_nono(reply: Reply, reason: str) -> None:
    assert read_reply(reply) == NotGranted(reason)


@given(st.integers(0, 599), st.binary(max_size=200) | st.from_regex(rb'\{"access_token": ".{0,20}"\}'))
def test_no_reply_grants_what_a_header_cannot_carry(status: int, body: bytes) -> None:
    outcome = read_reply(Reply(status, body))
    if isinstance(outcome, Granted):
        assert 200 <= status <= 299
        text = outcome.token.reveal()
        assert text.isascii()
        assert text.isprintable()
        assert text == text.strip()


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
def test_every_lifetime_is_positive_and_finite(expires_in: object) -> None:
    outcome = read_reply(granting("t", expires_in=expires_in))
    assert isinstance(outcome, Granted)
    assert 0 < outcome.lifetime_s <= MAX_LIFETIME_S


# -- one exchange for all


def test_a_hundred_requests_at_once_make_one_exchange() -> None:
    async def main() -> None:
        endpoint = Endpoint([granting("t1"), granting("t2")], anyio.Event())
        credential = a_credential(endpoint)
        values: list[bytes | None] = []

        async def ask() -> None:
            assert credential.at_hand(FACTS) is None
            values.append(sent(await credential.acquire(FACTS)))

        async with anyio.create_task_group() as group:
            for _ in range(100):
                group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert endpoint.gate is not None
            endpoint.gate.set()
        assert values == [b"Bearer t1"] * 100
        assert [url for url, _, _ in endpoint.posts] == [URL]

    run(main)


def test_a_token_that_ends_at_once_still_serves_all_who_waited_for_it() -> None:
    async def main() -> None:
        clock = Clock()
        endpoint = Endpoint([granting("t1", expires_in=0.001), granting("t2")], anyio.Event())
        credential = a_credential(endpoint, clock)
        values: list[bytes | None] = []

        async def ask() -> None:
            values.append(sent(await credential.acquire(FACTS)))

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            clock.now += 5
            assert endpoint.gate is not None
            endpoint.gate.set()
        assert values == [b"Bearer t1"] * 10
        assert credential.at_hand(FACTS) is None
        assert sent(await credential.acquire(FACTS)) == b"Bearer t2"

    run(main)


def test_a_failed_exchange_fails_all_who_waited_for_it() -> None:
    async def main() -> None:
        endpoint = Endpoint([Reply(500, b""), granting("t")], anyio.Event())
        credential = a_credential(endpoint)
        failures: list[str] = []

        async def ask() -> None:
            with pytest.raises(TokenExchangeFailed) as caught:
                await credential.acquire(FACTS)
            failures.append(caught.value.message)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert endpoint.gate is not None
            endpoint.gate.set()
        assert failures == ["no token from login.test: it answered 500"] * 10
        assert len(endpoint.posts) == 1

    run(main)


def test_a_cancelled_request_keeps_no_token_from_other_waiters() -> None:
    async def main() -> None:
        endpoint = Endpoint([granting("t1"), granting("t2")], anyio.Event())
        credential = a_credential(endpoint)
        values: list[bytes | None] = []
        first = anyio.CancelScope()

        async def ask(scope: anyio.CancelScope) -> None:
            with scope:
                values.append(sent(await credential.acquire(FACTS)))

        async with anyio.create_task_group() as group:
            group.start_soon(ask, first)
            await anyio.wait_all_tasks_blocked()
            for _ in range(10):
                group.start_soon(ask, anyio.CancelScope())
            await anyio.wait_all_tasks_blocked()
            first.cancel()
            await anyio.wait_all_tasks_blocked()
            assert endpoint.gate is not None
            endpoint.gate.set()
        assert values == [b"Bearer t2"] * 10
        assert (len(endpoint.posts), endpoint.most_running) == (2, 1)

    run(main)


def test_cancelled_requests_do_not_keep_the_endpoint_busy() -> None:
    async def main() -> None:
        clock = Clock()
        endpoint = Endpoint([granting("t")], anyio.Event())
        credential = a_credential(endpoint, clock)

        async def come_and_go(scope: anyio.CancelScope) -> None:
            with scope, pytest.raises(CredentialUnavailable, match="abandoned"):
                await credential.acquire(FACTS)

        for _ in range(8):
            async with anyio.create_task_group() as group:
                scope = anyio.CancelScope()
                group.start_soon(come_and_go, scope)
                await anyio.wait_all_tasks_blocked()
                scope.cancel()
        assert len(endpoint.posts) == 2
        clock.now += MAX_DELAY_S
        assert endpoint.gate is not None
        endpoint.gate.set()
        assert sent(await credential.acquire(FACTS)) == b"Bearer t"

    run(main)


# -- renewal


def test_a_token_is_renewed_shortly_before_its_end() -> None:
    async def main() -> None:
        clock = Clock()
        endpoint = Endpoint([granting("t1"), granting("t2")])
        credential = a_credential(endpoint, clock)
        await credential.acquire(FACTS)
        clock.now += 569
        assert sent(credential.at_hand(FACTS)) == b"Bearer t1"
        clock.now += 1
        assert credential.at_hand(FACTS) is None
        assert sent(await credential.acquire(FACTS)) == b"Bearer t2"
        assert sent(credential.at_hand(FACTS)) == b"Bearer t2"

    run(main)


def test_a_short_lived_token_is_used_for_half_its_life() -> None:
    async def main() -> None:
        clock = Clock()
        credential = a_credential(Endpoint([granting("t", expires_in=10)]), clock)
        await credential.acquire(FACTS)
        clock.now += 4.9
        assert credential.at_hand(FACTS) is not None
        clock.now += 0.1
        assert credential.at_hand(FACTS) is None

    run(main)


def test_the_time_that_the_exchange_takes_counts_as_life_of_the_token() -> None:
    async def main() -> None:
        clock = Clock()
        endpoint = Endpoint([granting("t1", expires_in=60)], anyio.Event())
        credential = a_credential(endpoint, clock)
        async with anyio.create_task_group() as group:
            group.start_soon(credential.acquire, FACTS)
            await anyio.wait_all_tasks_blocked()
            clock.now += 60
            assert endpoint.gate is not None
            endpoint.gate.set()
        assert credential.at_hand(FACTS) is None

    run(main)


def test_requests_use_the_valid_token_while_another_one_renews_it() -> None:
    async def main() -> None:
        clock = Clock()
        endpoint = Endpoint([granting("t1"), granting("t2")])
        credential = a_credential(endpoint, clock)
        await credential.acquire(FACTS)
        clock.now += 580
        endpoint.gate = anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(credential.acquire, FACTS)
            await anyio.wait_all_tasks_blocked()
            assert sent(credential.at_hand(FACTS)) == b"Bearer t1"
            clock.now += 20
            assert credential.at_hand(FACTS) is None, "it has ended"
            endpoint.gate.set()
        assert sent(credential.at_hand(FACTS)) == b"Bearer t2"

    run(main)


def test_a_token_that_cannot_be_renewed_serves_until_it_expires() -> None:
    async def main() -> None:
        clock = Clock()
        endpoint = Endpoint([granting("t1"), Reply(503, b"")])
        credential = a_credential(endpoint, clock)
        await credential.acquire(FACTS)
        clock.now += 570
        assert sent(await credential.acquire(FACTS)) == b"Bearer t1"
        assert sent(credential.at_hand(FACTS)) == b"Bearer t1", "nobody may fetch before the delay is over"
        assert len(endpoint.posts) == 2
        clock.now += 29.9
        assert sent(await credential.acquire(FACTS)) == b"Bearer t1"
        assert len(endpoint.posts) == 3
        clock.now += 0.1
        assert credential.at_hand(FACTS) is None
        with pytest.raises(TokenExchangeFailed):
            await credential.acquire(FACTS)

    run(main)


def test_a_failed_exchange_is_retried_with_bounded_backoff() -> None:
    async def main() -> None:
        clock = Clock()
        endpoint = Endpoint([OSError("connecting failed")])
        credential = a_credential(endpoint, clock)
        tried_at: list[float] = []
        for _ in range(4000):
            before = len(endpoint.posts)
            with pytest.raises(TokenExchangeFailed, match=r"login\.test: connecting failed"):
                await credential.acquire(FACTS)
            if len(endpoint.posts) > before:
                tried_at.append(clock.now)
            clock.now += 0.125
        gaps = [later - earlier for earlier, later in pairwise(tried_at)]
        assert gaps[:7] == [1, 2, 4, 8, 16, 32, MAX_DELAY_S]
        assert max(gaps) == MAX_DELAY_S
        endpoint.replies = [granting("t")]
        clock.now += MAX_DELAY_S
        assert sent(await credential.acquire(FACTS)) == b"Bearer t"
        endpoint.replies = [Reply(500, b"")]
        clock.now += 600
        with pytest.raises(TokenExchangeFailed):
            await credential.acquire(FACTS)
        endpoint.replies = [granting("t2")]
        clock.now += 1
        assert sent(await credential.acquire(FACTS)) == b"Bearer t2", "a success starts the delays anew"

    run(main)


# -- an upstream that refuses the token


def test_a_refused_token_is_exchanged_anew() -> None:
    async def main() -> None:
        endpoint = Endpoint([granting("t1"), granting("t2")])
        credential = a_credential(endpoint)
        await credential.acquire(FACTS)
        credential.rejected(FACTS)
        assert credential.at_hand(FACTS) is None
        assert sent(await credential.acquire(FACTS)) == b"Bearer t2"

    run(main)


def test_an_upstream_refusing_every_token_causes_one_exchange_a_minute() -> None:
    async def main() -> None:
        clock = Clock()
        endpoint = Endpoint([granting("t")])
        credential = a_credential(endpoint, clock)
        for _ in range(100):
            await credential.acquire(FACTS)
            credential.rejected(FACTS)
        assert len(endpoint.posts) == 2
        assert credential.at_hand(FACTS) is not None
        clock.now += FORGET_INTERVAL_S
        credential.rejected(FACTS)
        assert credential.at_hand(FACTS) is None

    run(main)


# -- what is injected, watched and shown


@pytest.mark.parametrize(
    ("inject", "expected"),
    [
        pytest.param(Inject(), (b"Authorization", b"Bearer t"), id="by default"),
        pytest.param(Inject(header="X-Token", format="{}"), (b"X-Token", b"t"), id="as the route says"),
    ],
)
def test_the_token_is_written_where_the_route_says(inject: Inject, expected: Header) -> None:
    async def main() -> None:
        injection = await a_credential(Endpoint([granting("t")]), inject=inject).acquire(FACTS)
        assert injection.inject(Outgoing(b"GET", b"/", b"api.test", [])).headers == [expected]
        assert injection.header_names == {expected[0].lower()}

    run(main)


def test_a_malformed_place_is_an_error_before_the_first_request() -> None:
    with pytest.raises(CredentialError):
        a_credential(Endpoint([granting("t")]), inject=Inject(header="X Y"))


def test_the_client_secret_is_not_watched_for_in_answers() -> None:
    """It goes to the token endpoint only. Recordings are cleared of it all the same."""

    async def main() -> None:
        credential = a_credential(Endpoint([granting("token-number-one")]))
        await credential.acquire(FACTS)
        tripwire = credential.tripwire()
        assert tripwire is not None
        assert tripwire.mask_text(CANARY.encode()) is None
        assert any(each.occurs_in(CANARY.encode()) for each in detectors(credential))

    run(main)


def test_the_watcher_knows_the_last_two_tokens() -> None:
    async def main() -> None:
        clock = Clock()
        tokens = ["token-number-one", "token-number-two", "token-number-three"]
        credential = a_credential(Endpoint([granting(token) for token in tokens]), clock)
        found: list[list[bool]] = []
        for _ in tokens:
            await credential.acquire(FACTS)
            tripwire = credential.tripwire()
            assert tripwire is not None
            found.append([tripwire.mask_text(text.encode()) is not None for text in tokens])
            clock.now += 600
        assert found == [[True, False, False], [True, True, False], [False, True, True]]

    run(main)


@pytest.mark.parametrize("auth_method", ["client_secret_post", "client_secret_basic"])
@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(
            Reply(400, json.dumps({"error": CANARY, "error_description": CANARY}).encode()), id="error"
        ),
        pytest.param(Reply(200, CANARY.encode()), id="not JSON"),
        pytest.param(Reply(200, CANARY.encode() + b"\xff"), id="not UTF-8"),
        pytest.param(granting(CANARY + "\r\n"), id="line end"),
        pytest.param(granting(CANARY, token_type=CANARY), id="type"),
        pytest.param(OSError(111, "Connection refused"), id="no reply"),
    ],
)
def test_no_failure_shows_a_secret(
    reply: Reply | OSError, auth_method: AuthMethod, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        credential = a_credential(Endpoint([reply]), auth_method=auth_method)
        for _ in range(2):  # the failure itself, and its repetition
            with pytest.raises(TokenExchangeFailed) as caught:
                await credential.acquire(FACTS)
            error = caught.value
            shown = "".join(traceback.format_exception(error)) + f"{error!r} {error.message} {error.hint}"
            chained: BaseException | None = error.__context__
            while chained is not None:
                shown += repr(chained) + repr(vars(chained))
                chained = chained.__context__
            assert CANARY not in shown + caplog.text
            assert b64encode(CANARY.encode()).decode() not in shown

    run(main)


def test_a_token_is_not_shown_by_what_holds_it() -> None:
    async def main() -> None:
        credential = a_credential(Endpoint([granting(CANARY)]))
        injection = await credential.acquire(FACTS)
        outcome = read_reply(granting(CANARY))
        assert CANARY not in f"{injection!r} {credential!r} {outcome!r}"

    run(main)
