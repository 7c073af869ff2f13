"""A login's request to its provider has one outcome, whoever waits for it."""

from __future__ import annotations

from support.proxy.login_stage import AUTH, CODE, Scene, json_answer
from support.proxy.thread import wait_until
from support.servers.http1 import Received
from unit.proxy.exchange.login.test_renewal import SECOND, ask_for_new_tokens, slow_provider


def outcomes(scene: Scene) -> list[tuple[object, object]]:
    """Return the status and failure of each outcome, once every request that was carried out has one."""
    recording = scene.p.recording
    begun = [
        each for each in recording.network if each["decision"] == "allow" and each["method"] != "CONNECT"
    ]
    wait_until(lambda: len(recording.outcomes) >= len(begun))
    return [(outcome["status"], outcome.get("failure")) for outcome in recording.outcomes]


def test_a_login_ends_with_the_status_of_its_provider(scene: Scene) -> None:
    scene.log_in()
    scene.provider.answer = json_answer({"error": "invalid_grant"}, 400)
    scene.log_in()
    assert outcomes(scene) == [(200, None), (400, None)]


def test_a_login_that_its_client_leaves_is_the_failure_of_the_client(scene: Scene) -> None:
    def never(request: Received) -> None:
        request.connection.wait_gone()

    scene.auth.handler = never
    with scene.inside(AUTH, scene.auth) as client:
        fields = f"Host: {AUTH}:{scene.auth.port}\r\nContent-Length: {len(CODE)}\r\n"
        client.send(f"POST /oauth/token HTTP/1.1\r\n{fields}\r\n".encode() + CODE)
        scene.auth.received(1)
    assert outcomes(scene) == [(None, "client")]


def test_a_renewal_whose_client_has_left_ends_with_the_answer(scene: Scene) -> None:
    phantoms = scene.phantoms()
    scene.age()
    with slow_provider(scene) as (is_asked, may_answer):
        scene.provider.answer = json_answer(SECOND)
        with scene.inside(AUTH, scene.auth) as client:
            ask_for_new_tokens(scene, client, phantoms["refresh_token"])
            assert is_asked.wait(30)
        may_answer.set()
        assert outcomes(scene) == [(200, None), (200, "client")]
