"""A command asks for new tokens: the provider is asked once for everybody, and nothing it gave is lost."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio.to_thread
import pytest

from nono.credentials.logins import renewal_lock
from nono.disk import durable
from nono.secret import Secret
from support.proxy.login_stage import (
    API,
    AUTH,
    GRANTED,
    REFRESH,
    Make,
    Provider,
    Scene,
    bearer,
    json_answer,
)
from support.proxy.thread import Client, wait_until
from support.servers.http1 import Received

SECOND = {**GRANTED, "access_token": "real-access-second", "refresh_token": "real-refresh-second"}


def refresh_body(phantom: str) -> bytes:
    return f"grant_type=refresh_token&refresh_token={phantom}".encode()


def stored(scene: Scene, nonce: str) -> Secret:
    return scene.store.read()[nonce].real


def asked(scene: Scene) -> int:
    """Count the requests to the provider to renew."""
    return sum(b"grant_type=refresh_token" in request.body for request in scene.auth.requests)


def at_the_endpoint(scene: Scene) -> list[dict[str, object]]:
    return [event for event in scene.p.recording.network if event.get("path") == "/oauth/token"]


def test_a_renewed_login_keeps_its_phantoms(scene: Scene) -> None:
    phantoms = scene.phantoms()
    scene.age()
    scene.provider.answer = json_answer(SECOND)
    renewed = json.loads(scene.log_in(refresh_body(phantoms["refresh_token"])).body)
    assert {name: renewed[name] for name in phantoms} == phantoms
    assert stored(scene, phantoms["access_token"]) == Secret("real-access-second")
    assert stored(scene, phantoms["refresh_token"]) == Secret("real-refresh-second")
    assert scene.ask(API, fields=bearer(phantoms["access_token"])).status == 200
    assert scene.api.requests[-1].values(b"authorization") == [b"Bearer real-access-second"]


def test_a_login_is_renewed_where_no_thread_can_be_started(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command can use up its user's limit of processes, and a provider accepts a refresh token once."""

    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    phantoms = scene.phantoms()
    scene.age()
    scene.provider.answer = json_answer(SECOND)
    monkeypatch.setattr(anyio.to_thread, "run_sync", refuse)
    assert scene.log_in(refresh_body(phantoms["refresh_token"])).status == 200
    assert stored(scene, phantoms["refresh_token"]) == Secret("real-refresh-second")


def test_a_fresh_login_is_not_renewed_again(scene: Scene) -> None:
    phantoms = scene.phantoms()
    answer = scene.log_in(refresh_body(phantoms["refresh_token"]))
    content = json.loads(answer.body)
    assert {name: content[name] for name in phantoms} == phantoms
    assert 0 < content["expires_in"] <= GRANTED["expires_in"]
    assert asked(scene) == 0
    assert [event["decision"] for event in at_the_endpoint(scene)] == ["allow"] * 2  # recorded as any other


def test_a_login_of_which_nobody_knows_the_end_is_renewed(scene: Scene) -> None:
    scene.provider.answer = json_answer({**GRANTED, "expires_in": None})
    phantoms = scene.phantoms()
    assert scene.log_in(refresh_body(phantoms["refresh_token"])).status == 200
    assert asked(scene) == 1


def test_a_token_that_the_api_no_longer_takes_is_renewed_before_its_time(make: Make) -> None:
    def api(request: Received) -> None:
        revoked = request.value(b"authorization") != b"Bearer real-access-second"
        request.connection.respond(401 if revoked else 200)

    with make(api_handler=api) as scene:
        phantoms = scene.phantoms()
        scene.provider.answer = json_answer(SECOND)
        assert scene.ask(API, fields=bearer(phantoms["access_token"])).status == 401
        assert scene.log_in(refresh_body(phantoms["refresh_token"])).status == 200
        assert asked(scene) == 1
        assert scene.ask(API, fields=bearer(phantoms["access_token"])).status == 200
        assert scene.log_in(refresh_body(phantoms["refresh_token"])).status == 200
        assert asked(scene) == 1  # what is there now was not refused


def test_many_refreshes_at_once_ask_the_provider_once(scene: Scene) -> None:
    phantoms = scene.phantoms()
    scene.age()
    scene.provider.answer = json_answer(SECOND)
    body = refresh_body(phantoms["refresh_token"])
    head = (
        f"POST /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with ExitStack() as stack:
        clients = [stack.enter_context(scene.inside(AUTH, scene.auth)) for _ in range(6)]
        for client in clients:
            client.send(head.encode() + body)
        answers = [client.response().status for client in clients]
    assert answers == [200] * 6
    assert asked(scene) == 1


@contextmanager
def slow_provider(scene: Scene) -> Iterator[tuple[threading.Event, threading.Event]]:
    """Make the provider wait. Yields what is set once it was asked, and what lets it answer."""
    is_asked, may_answer = threading.Event(), threading.Event()

    class Slow(Provider):
        def __call__(self, request: Received) -> None:
            is_asked.set()
            assert may_answer.wait(60)
            super().__call__(request)

    scene.provider.__class__ = Slow
    try:
        yield is_asked, may_answer
    finally:
        may_answer.set()


def ask_for_new_tokens(scene: Scene, client: Client, phantom: str) -> None:
    body = refresh_body(phantom)
    client.send(
        f"POST /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


def test_what_the_provider_gave_to_a_client_that_is_gone_is_kept(scene: Scene) -> None:
    phantoms = scene.phantoms()
    scene.age()
    with slow_provider(scene) as (is_asked, may_answer):
        scene.provider.answer = json_answer(SECOND)
        with scene.inside(AUTH, scene.auth) as client:
            ask_for_new_tokens(scene, client, phantoms["refresh_token"])
            assert is_asked.wait(30)
        may_answer.set()
        wait_until(lambda: stored(scene, phantoms["refresh_token"]) != Secret(REFRESH))
    assert stored(scene, phantoms["refresh_token"]) == Secret("real-refresh-second")


def test_a_renewal_that_hangs_elsewhere_is_not_waited_for_without_end(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    phantoms = scene.phantoms()
    scene.age()
    monkeypatch.setattr(renewal_lock, "WAIT_S", 0.1)
    with open(Path(scene.store.directory, "acme.renewal"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = scene.log_in(refresh_body(phantoms["refresh_token"]))
    assert answer.status == 503
    assert b"another run has been renewing the login of acme" in answer.body
    assert asked(scene) == 0
    assert [event["decision"] for event in at_the_endpoint(scene)] == ["allow", "deny"]


def full(*_: object, **__: object) -> object:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_on_a_full_disk_the_provider_is_not_asked(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    phantoms = scene.phantoms()
    scene.age()
    scene.provider.answer = json_answer(SECOND)
    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        refused = scene.log_in(refresh_body(phantoms["refresh_token"]))
    assert (refused.status, asked(scene)) == (503, 0)
    assert b"No space left on device" in refused.body
    assert [event["decision"] for event in at_the_endpoint(scene)] == ["allow", "deny"]
    assert scene.log_in(refresh_body(phantoms["refresh_token"])).status == 200  # once there is room
    assert stored(scene, phantoms["refresh_token"]) == Secret("real-refresh-second")


def test_a_disk_that_fills_up_while_the_provider_answers_loses_no_token(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    phantoms = scene.phantoms()
    scene.age()
    before = set(os.listdir(scene.store.directory))
    with slow_provider(scene) as (is_asked, may_answer), scene.inside(AUTH, scene.auth) as client:
        scene.provider.answer = json_answer(SECOND)
        ask_for_new_tokens(scene, client, phantoms["refresh_token"])
        assert is_asked.wait(30)
        monkeypatch.setattr(durable, "unfinished", full)
        may_answer.set()
        assert client.response().status == 200
    assert stored(scene, phantoms["refresh_token"]) == Secret("real-refresh-second")
    assert set(os.listdir(scene.store.directory)) - before == {"acme.renewal"}  # the room is given back


def test_a_refused_renewal_leaves_the_login_as_it_was(scene: Scene) -> None:
    phantoms = scene.phantoms()
    scene.age()
    scene.provider.answer = json_answer({"error": "invalid_grant"}, 400)
    assert scene.log_in(refresh_body(phantoms["refresh_token"])).status == 400
    assert stored(scene, phantoms["refresh_token"]) == Secret(REFRESH)
