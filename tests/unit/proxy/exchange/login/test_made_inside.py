"""Logins made inside by an agent whose file is private to the run: kept for later runs, or refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlencode

import pytest

from nono.credentials.logins.phantom import nonce_of
from nono.credentials.logins.provider_login import DEVICE_CODE, MadeInside, audience
from nono.credentials.logins.request import LoginRefusedError
from nono.credentials.logins.token_store import Granted
from nono.secret import Secret
from support.proxy.login_stage import ACCESS, CODE, GRANTED, ID, REFRESH, Make, Scene, json_answer

AGENT = "acme-agent"
OPEN = MadeInside(AGENT, None)
REFUSED = MadeInside(AGENT, LoginRefusedError("no login can be made here", "log in outside"))
TOKENS = {"access_token", "refresh_token", "id_token"}


@pytest.fixture
def scene(make: Make) -> Iterator[Scene]:
    with make(inside=OPEN) as made:
        made.provider.answer = json_answer({**GRANTED, "id_token": ID})
        yield made


def revocation(phantom: str) -> bytes:
    return urlencode({"token": phantom, "token_type_hint": "refresh_token"}).encode()


def imported(scene: Scene) -> str:
    """Store a login as an import does; returns the phantom of its refresh token."""
    provider = scene.login.provider
    granted = Granted(AGENT, ["access_token", "refresh_token"], lambda nonces: "{}", None)
    consumers, origins = audience(provider, ())
    nonces, _ = scene.store.add(
        [Secret("real-imported-a"), Secret("real-imported-r")], consumers, origins, granted
    )
    return nonces[1]


def test_a_login_is_kept_for_later_runs_as_phantoms(scene: Scene) -> None:
    phantoms = scene.phantoms()
    held = scene.login.held()
    assert held is not None
    assert held.phantoms == phantoms
    assert held.tokens == {
        "access_token": Secret(ACCESS),
        "refresh_token": Secret(REFRESH),
        "id_token": Secret(ID),
    }
    assert {token.login.partition("/")[0] for token in scene.store.read().values()} == {AGENT}
    assert scene.login.made == [""]


def test_the_login_made_last_is_the_one_that_is_used(scene: Scene) -> None:
    first = scene.phantoms()
    scene.provider.answer = json_answer({"access_token": "real-b", "refresh_token": "real-c"})
    second = scene.phantoms()
    held = scene.login.held()
    assert held is not None
    assert held.phantoms == second
    assert set(first.values()).isdisjoint(second.values())  # a run with the first login keeps it
    assert {*first.values(), *second.values()} >= {*scene.store.read()} - {nonce_of(first["id_token"])}


def test_a_renewal_of_an_earlier_login_does_not_make_it_the_last(scene: Scene) -> None:
    first = scene.phantoms()
    scene.provider.answer = json_answer({"access_token": "real-b", "refresh_token": "real-c"})
    second = scene.phantoms()
    scene.age()
    scene.provider.answer = json_answer({"access_token": "real-d", "refresh_token": "real-e"})
    renewal = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    assert scene.log_in(urlencode(renewal).encode()).status == 200
    held = scene.login.held()
    assert held is not None
    assert held.phantoms == second


def test_a_renewal_without_a_new_refresh_token_leaves_the_login_whole(scene: Scene) -> None:
    phantoms = scene.phantoms()
    scene.age()
    scene.provider.answer = json_answer({"access_token": "real-b"})
    renewal = {"grant_type": "refresh_token", "refresh_token": phantoms["refresh_token"]}
    assert scene.log_in(urlencode(renewal).encode()).status == 200
    held = scene.login.held()
    assert held is not None
    assert held.tokens["access_token"] == Secret("real-b")
    assert held.phantoms == phantoms


@pytest.mark.parametrize(
    "body",
    [b"grant_type=refresh_token&refresh_token=real-of-somebody", b"code=abc", b"grant_type=refresh_token"],
)
def test_tokens_of_no_login_by_code_are_not_for_later_runs(scene: Scene, body: bytes) -> None:
    """A command that has tokens of somebody else cannot plant them by asking for new ones."""
    assert scene.log_in(body).status == 200
    assert scene.login.held() is None
    assert scene.login.made == []


@pytest.mark.parametrize(("grant", "made"), [(DEVICE_CODE, [""]), ("authorization_code", [])])
def test_a_program_that_logs_in_by_device_code_makes_a_login_by_that_alone(
    make: Make, grant: str, made: list[str]
) -> None:
    with make(inside=MadeInside(AGENT, None, DEVICE_CODE)) as scene:
        body = urlencode({"grant_type": grant, "device_code": "d", "code": "c"}).encode()
        assert scene.log_in(body).status == (200 if made else 400)
        assert scene.login.made == made
        assert (scene.login.held() is not None) == bool(made)


def test_no_key_is_made_of_a_login(scene: Scene) -> None:
    phantoms = scene.phantoms()
    before = len(scene.auth.requests)
    exchange = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "requested_token": "openai-api-key",
        "subject_token": phantoms["id_token"],
    }
    answer = scene.log_in(urlencode(exchange).encode())
    assert (answer.status, json.loads(answer.body)) == (400, {"error": "unsupported_grant_type"})
    assert len(scene.auth.requests) == before
    assert json.dumps(scene.p.recording.events).count('"decision": "allow"') == 4  # and two tunnels


def test_a_login_that_is_ended_inside_is_forgotten(scene: Scene) -> None:
    first, second = scene.phantoms(), scene.phantoms()
    assert first != second
    assert scene.log_in(revocation(second["refresh_token"])).status == 200
    assert {*scene.store.read()} == {nonce_of(first[name]) for name in TOKENS}


def test_a_login_that_the_provider_does_not_end_is_kept(scene: Scene) -> None:
    phantoms = scene.phantoms()
    scene.provider.answer = json_answer({"error": "server_error"}, 503)
    assert scene.log_in(revocation(phantoms["refresh_token"])).status == 503
    assert {*scene.store.read()} == {nonce_of(phantoms[name]) for name in TOKENS}


def test_an_imported_login_is_not_ended_inside(scene: Scene) -> None:
    phantom = imported(scene)
    before = len(scene.auth.requests)
    answer = scene.log_in(revocation(phantom))
    assert answer.status == 403
    assert f"nono credential logout {AGENT}" in answer.body.decode()
    assert len(scene.auth.requests) == before
    assert phantom in scene.store.read()


@pytest.mark.parametrize(
    "body",
    [
        "token={}&token=x",
        "token=x&token={}",
        "%74oken={}&token=x",
        "code=abc&grant_type=refresh_token&grant_type=authorization_code",
        "code=abc&grant_type=authorization_code&grant_type=refresh_token",
    ],
)
def test_what_is_judged_cannot_be_said_twice(scene: Scene, body: str) -> None:
    phantom = imported(scene)
    before = len(scene.auth.requests)
    assert scene.log_in(body.format(phantom).encode()).status == 403
    assert len(scene.auth.requests) == before


def test_an_imported_login_is_not_taken_for_one_made_inside(scene: Scene) -> None:
    imported(scene)
    assert scene.login.held() is None


def test_where_no_login_can_be_made_one_is_refused_with_the_reason(make: Make) -> None:
    with make(inside=REFUSED) as scene:
        answer = scene.log_in(CODE)
        assert answer.status == 403
        assert "no login can be made here" in answer.body.decode()
        assert scene.auth.requests == []
        assert scene.store.read() == {}
        assert scene.login.held() is None


def test_where_no_login_can_be_made_a_renewal_is_made(make: Make) -> None:
    with make(inside=REFUSED) as scene:
        phantom = imported(scene)
        body = urlencode({"grant_type": "refresh_token", "refresh_token": phantom}).encode()
        assert scene.log_in(body).status == 200
        assert len(scene.auth.requests) == 1
