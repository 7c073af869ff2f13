"""The ways to the host of a token endpoint: none leads past the capture of its answers."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import anyio
import pytest

from nono.credentials.values.credential import Injected, Outgoing
from nono.credentials.values.errors import RequestUnfit
from nono.policy.hosts.host_filter import HostFilter, parse_rule
from nono.proxy.verdict.host_policy import HostPolicy
from nono.proxy.verdict.routes import Route
from support.proxy.interception import connect
from support.proxy.login_stage import (
    ACCESS,
    AUTH,
    ELSEWHERE,
    GRANTED,
    REFRESH,
    Make,
    Provider,
    bearer,
    json_answer,
)
from support.proxy.thread import (
    PHANTOM,
    TIMEOUT_S,
    TOKEN,
    Client,
    FakeCredential,
    Names,
    Response,
    a_route,
    proxy,
)
from support.servers.http1 import HttpUpstream, upstream


def test_an_api_on_the_token_host_is_handled_like_any_other(make: Make) -> None:
    with make(api_hosts=(AUTH,)) as scene:
        phantom = scene.phantoms()["access_token"]
        scene.provider.answer = json_answer({"name": "somebody"})
        assert scene.ask(AUTH, path="/userinfo", fields=bearer(phantom)).status == 200
        assert scene.auth.requests[-1].values(b"authorization") == [f"Bearer {ACCESS}".encode()]
        scene.provider.answer = json_answer({"refresh_token": REFRESH})
        assert scene.ask(AUTH, path="/userinfo", fields=bearer(phantom)).status == 502


@pytest.mark.parametrize("is_frozen", [False, True])
def test_a_credential_frozen_while_its_host_is_reached_stays_here(
    make: Make, monkeypatch: pytest.MonkeyPatch, is_frozen: bool
) -> None:
    asked, release, answers = threading.Event(), threading.Event(), list[Response]()

    async def slow(names: Names, host: str, port: int) -> Sequence[str]:
        asked.set()
        await anyio.to_thread.run_sync(release.wait, TIMEOUT_S)
        return ["127.0.0.1"]

    def beta(servers: Mapping[str, HttpUpstream]) -> Sequence[Route]:
        return [a_route(servers[AUTH].port, service="beta", host=AUTH, scheme="https", phantom="sk-beta")]

    monkeypatch.setattr(Names, "__call__", slow)
    with make(more=beta) as scene:
        scene.provider.answer = json_answer({"name": "somebody"})
        asking = threading.Thread(
            target=lambda: answers.append(scene.ask(AUTH, path="/me", fields=bearer("sk-beta")))
        )
        asking.start()
        assert asked.wait(TIMEOUT_S)
        if is_frozen:
            freeze = scene.p.running.serving().context.freeze
            anyio.from_thread.run_sync(freeze, "beta", "the test", token=scene.p._token)
        release.set()
        asking.join(TIMEOUT_S)
        assert [answer.status for answer in answers] == [403 if is_frozen else 200]
        assert len(scene.auth.requests) == (0 if is_frozen else 1)
        denied = [event["rule"] for event in scene.p.recording.network if event["decision"] == "deny"]
        assert denied == (["tripwire"] if is_frozen else [])


def test_a_login_host_says_why_a_request_cannot_carry_its_credential(make: Make) -> None:
    class Unfit(FakeCredential):
        def inject(self, request: Outgoing) -> Injected:
            raise RequestUnfit("it is signed already")

    def more(servers: Mapping[str, HttpUpstream]) -> list[Route]:
        return [a_route(servers[AUTH].port, host=AUTH, scheme="https", credential=Unfit())]

    with make(more=more) as scene:
        answer = scene.ask(AUTH, path="/v1/x", fields=bearer(PHANTOM))
        assert (answer.status, json.loads(answer.body)["error"]) == (400, "it is signed already")
        assert scene.auth.connections == []


def test_the_reverse_path_does_not_lead_to_the_token_endpoint(make: Make) -> None:
    with make(api_hosts=(AUTH,)) as scene:
        phantom = scene.phantoms()["access_token"]
        scene.provider.answer = json_answer(GRANTED)
        with Client(scene.p.port) as client:
            for path, status in (("/acme/oauth/token", 403), ("/acme/oauth/token/", 502)):
                client.send(f"POST {path} HTTP/1.1\r\nHost: x\r\n{bearer(phantom)}\r\n".encode())
                answer = client.response()
                assert answer.status == status
                assert ACCESS.encode() not in answer.body
        assert [request.target for request in scene.auth.requests] == [b"/oauth/token", b"/oauth/token/"]


def only(*hosts: str) -> HostFilter:
    return HostFilter(tuple(parse_rule(host, "the test") for host in hosts))


def test_a_login_adds_only_its_token_endpoint_to_an_allow_list(make: Make) -> None:
    with make(hosts=_Local(only("other.test"))) as scene:
        assert scene.log_in().status == 200
        assert scene.log_in(path="/elsewhere").status == 403
        with Client(scene.p.port) as client:
            client.send(connect(f"{ELSEWHERE}:443"))
            assert client.head()[0] == 403
        assert len(scene.auth.requests) == 1


def test_a_request_for_the_tokens_of_a_login_names_its_provider_as_the_rule(make: Make) -> None:
    with make(hosts=_Local(only("other.test"))) as scene:
        scene.log_in()
        asked = scene.p.recording.network[1]  # after the tunnel
        where = f"{AUTH}:{scene.auth.port}"
        assert (asked["route_id"], asked["upstream"]) == ("oauth.acme", where)
        assert (asked["rule"], asked["origin"]) == (where, "login provider 'acme'")


def test_a_login_does_not_turn_allow_all_into_an_allow_list(make: Make) -> None:
    with make(hosts=_Local(HostFilter(None))) as scene:
        assert scene.log_in().status == 200
        assert scene.log_in(path="/elsewhere").status == 502  # reached, and searched
        with Client(scene.p.port) as client:
            client.send(connect(f"{ELSEWHERE}:{scene.elsewhere.port}"))
            assert client.head()[0] == 200


def test_a_denied_host_is_denied_to_logins_too(make: Make) -> None:
    with make(hosts=_Local(HostFilter(None, deny=(parse_rule(AUTH, "the test"),)))) as scene:
        with Client(scene.p.port) as client:
            client.send(connect(f"{AUTH}:{scene.auth.port}"))
            assert client.head()[0] == 403
        assert scene.auth.requests == []


@dataclass(frozen=True)
class _Local:
    """A host filter whose verdict on names counts, and every address passes: all servers are on loopback."""

    names: HostFilter

    def judge_name(self, host: str, port: int) -> Any:
        return self.names.judge_name(host, port)

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Any:
        return self.names.judge_name(host, port)

    def allows_raw(self, host: str, port: int) -> bool:
        return False

    def for_route(self, host: str, port: int, origin: str) -> HostPolicy:
        return _Local(self.names.for_route(host, port, origin))


def test_another_port_of_its_host_is_looked_into_as_well(make: Make) -> None:
    with make() as scene:
        scene.elsewhere.handler = Provider()
        with scene.inside(AUTH, scene.elsewhere) as client:  # the wrong port, the right name
            client.send(f"GET /oauth/token HTTP/1.1\r\nHost: {AUTH}:{scene.elsewhere.port}\r\n\r\n".encode())
            answer = client.response()
        assert answer.status == 502
        assert ACCESS.encode() not in answer.body
        assert scene.store.read() == {}


def test_plain_http_to_its_host_is_looked_into_as_well(make: Make) -> None:
    with make() as scene, upstream(Provider()) as plain, Client(scene.p.port) as client:
        basic = b64encode(f"nono:{TOKEN}".encode()).decode()
        authority = f"{AUTH}:{plain.port}"
        fields = f"Host: {authority}\r\nProxy-Authorization: Basic {basic}\r\n"
        client.send(f"GET http://{authority}/oauth/token HTTP/1.1\r\n{fields}\r\n".encode())
        answer = client.response()
        assert answer.status == 502
        assert ACCESS.encode() not in answer.body


def test_without_an_authority_its_host_is_not_tunnelled_to(make: Make) -> None:
    with make() as scene:
        table = scene.p.running.serving().context.dispatcher.routes.logins
        with proxy(logins=table) as bare, Client(bare.port) as client:
            client.send(connect(f"{AUTH}:{scene.auth.port}"))
            assert client.head()[0] == 403
        assert scene.auth.connections == []
