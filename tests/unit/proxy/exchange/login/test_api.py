"""Requests to the API of a login: its phantoms are redeemed in their places, at their hosts."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence

import pytest

from nono.credentials.logins.phantom import jwt_phantom
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.proxy.verdict.routes import Route
from nono.secret import Secret
from support.proxy.login_stage import ACCESS, API, AUTH, ELSEWHERE, UNKNOWN, Make, Scene, bearer
from support.proxy.thread import PHANTOM, Client, a_route
from support.servers.http1 import HttpUpstream, Received

SLOTS = {
    "bearer": ("authorization", "Bearer {}"),
    "token": ("authorization", "token {}"),
    "x-api-key": ("x-api-key", "{}"),
    "a header of its own": ("x-acme-session", "{}"),
    "a cookie": ("cookie", "a=1; session={}; b=2"),
}


@pytest.mark.parametrize(("name", "value"), SLOTS.values(), ids=SLOTS)
@pytest.mark.parametrize("spelled", [str, jwt_phantom], ids=["opaque", "jwt"])
def test_a_phantom_is_redeemed_in_its_place_on_both_ways(
    scene: Scene, name: str, value: str, spelled: Callable[[str], str]
) -> None:
    shown = value.format(spelled(scene.phantoms()["access_token"]))
    assert scene.ask(API, path="/v1/models?x=1", fields=f"{name}: {shown}\r\nX-Other: 1\r\n").status == 200
    with Client(scene.p.port) as client:
        client.send(f"GET /acme/v1/models?x=1 HTTP/1.1\r\nHost: x\r\n{name}: {shown}\r\n\r\n".encode())
        assert client.response().status == 200
    assert len(scene.api.requests) == 2
    for request in scene.api.requests:
        assert request.target == b"/v1/models?x=1"
        assert request.values(name.encode()) == [value.format(ACCESS).encode()]
        assert b"nono_" not in request.head
    modes = [(event["mode"], event.get("route_id")) for event in scene.p.recording.network[-2:]]
    assert modes == [("connect_intercept", "acme"), ("reverse", "acme")]


def test_a_phantom_in_basic_credentials_is_redeemed(scene: Scene) -> None:
    pair = f"x-access-token:{scene.phantoms()['access_token']}"
    assert (
        scene.ask(API, fields=f"Authorization: Basic {b64encode(pair.encode()).decode()}\r\n").status == 200
    )
    real = b64encode(f"x-access-token:{ACCESS}".encode())
    assert scene.api.requests[0].values(b"authorization") == [b"Basic " + real]


def test_the_same_phantom_in_two_headers_is_one_key(scene: Scene) -> None:
    phantom = scene.phantoms()["access_token"]
    assert scene.ask(API, fields=bearer(phantom) + f"X-Api-Key: {phantom}\r\n").status == 200
    [request] = scene.api.requests
    assert (request.value(b"authorization"), request.value(b"x-api-key")) == (
        f"Bearer {ACCESS}".encode(),
        ACCESS.encode(),
    )


def test_a_phantom_is_redeemed_at_every_api_host_of_its_provider(make: Make) -> None:
    with make(api_hosts=(API, ELSEWHERE)) as scene:
        phantom = scene.phantoms()["access_token"]
        for host in (API, ELSEWHERE):
            assert scene.ask(host, fields=bearer(phantom)).status == 200
            assert scene.at(host).requests[0].values(b"authorization") == [f"Bearer {ACCESS}".encode()]


BAD_KEYS: dict[str, tuple[str, int]] = {
    "an unknown phantom": (bearer(UNKNOWN), 401),
    "a phantom cut short": ("Authorization: Bearer {access:.60}\r\n", 401),
    "a phantom with something attached": ("Authorization: Bearer {access}0\r\n", 403),
    "a JWT of somebody else around it": ("Authorization: Bearer e30.e30.{access}\r\n", 403),
    "two phantoms in one header": ("Authorization: Bearer {access} {refresh}\r\n", 403),
    "two phantoms in two headers": ("Authorization: Bearer {access}\r\nX-Api-Key: {refresh}\r\n", 403),
    "two phantoms of which one is in a cookie": (
        "Authorization: Bearer {access}\r\nCookie: s={refresh}\r\n",
        403,
    ),
    "one known and one unknown": (bearer("{access}") + f"X-Other: {UNKNOWN}\r\n", 403),
    "a key of its own": ("Authorization: Bearer sk-own-key-of-the-child\r\n", 401),
    "a key of its own beside it": ("Authorization: Bearer {access}\r\nX-Api-Key: sk-own\r\n", 403),
    "where an upstream shows it to others": ("User-Agent: {access}\r\n", 403),
    "there and in its place": ("Authorization: Bearer {access}\r\nReferer: https://x.test/{access}\r\n", 403),
    "nothing": ("", 200),
}


@pytest.mark.parametrize(("fields", "status"), BAD_KEYS.values(), ids=BAD_KEYS)
def test_whatever_is_not_one_phantom_that_is_redeemed_here_is_refused(
    scene: Scene, fields: str, status: int
) -> None:
    phantoms = scene.phantoms()
    shown = fields.format(access=phantoms["access_token"], refresh=phantoms["refresh_token"])
    with Client(scene.p.port) as client:
        client.send(f"GET /acme/v1 HTTP/1.1\r\nHost: x\r\n{shown}\r\n".encode())
        assert client.response().status == (401 if status == 200 else status)
    assert scene.api.requests == []
    assert scene.ask(API, fields=shown).status == status
    # Without a key it is a request as any other: as far as the host filter allows the host by itself.
    assert len(scene.api.requests) == (status == 200)


@pytest.mark.parametrize("path", ["/x?key={}", "/x/{}", "/x?{}=1", "/x?key=%6eono_{tail}"])
def test_a_phantom_in_the_target_is_refused(scene: Scene, path: str) -> None:
    phantom = scene.phantoms()["access_token"]
    target = path.format(phantom, tail=phantom.removeprefix("nono_"))
    for fields in ("", bearer(phantom)):
        assert scene.ask(API, path=target, fields=fields).status in (400, 403)
    assert scene.api.requests == []


@pytest.mark.parametrize("name", ["Host", "Connection", "Keep-Alive", "TE", "Trailer"])
def test_a_phantom_in_a_field_that_ends_at_the_proxy_opens_nothing(scene: Scene, name: str) -> None:
    phantom = scene.phantoms()["access_token"]
    host = "" if name == "Host" else "Host: x\r\n"
    with Client(scene.p.port) as client:
        client.send(f"GET /acme/v1 HTTP/1.1\r\n{host}{name}: {phantom}\r\n\r\n".encode())
        assert client.response().status == 401
    assert scene.api.requests == []


def test_an_expired_or_purged_phantom_is_refused_from_then_on(scene: Scene) -> None:
    phantom = scene.phantoms()["access_token"]
    assert scene.ask(API, fields=bearer(phantom)).status == 200
    scene.expire()
    assert scene.ask(API, fields=bearer(phantom)).status == 401
    phantom = scene.phantoms()["access_token"]
    assert scene.ask(API, fields=bearer(phantom)).status == 200
    scene.store.purge()
    refused = scene.ask(API, fields=bearer(phantom))
    assert refused.status == 401
    assert json.loads(refused.body)["hint"] == "log in again inside the sandbox"
    assert len(scene.api.requests) == 2


def test_the_phantom_of_another_provider_is_refused(scene: Scene) -> None:
    [foreign], _ = scene.store.add([Secret("real-foreign")], ["oauth.other", "proxy.other"], [])
    assert scene.ask(API, fields=bearer(foreign)).status == 401
    assert scene.api.requests == []


def test_the_same_names_in_another_profile_do_not_open_another_host(scene: Scene) -> None:
    [elsewhere], _ = scene.store.add(
        [Secret("real-elsewhere")], ["oauth.acme", "proxy.acme"], ["https://api.other.test"]
    )
    assert scene.ask(API, fields=bearer(elsewhere)).status == 401
    assert scene.api.requests == []


def test_a_phantom_is_redeemed_by_its_own_route_only(make: Make) -> None:
    def static(servers: Mapping[str, HttpUpstream]) -> Sequence[Route]:
        port = servers[ELSEWHERE].port
        return [a_route(port, host=ELSEWHERE, scheme="https", tls_ca=None)]

    with make(more=static) as scene:
        phantom = scene.phantoms()["access_token"]
        assert scene.ask(ELSEWHERE, fields=bearer(phantom)).status == 403
        assert scene.ask(ELSEWHERE, fields=f"X-Other: {phantom}\r\n").status == 403
        beside = f"Authorization: Bearer {PHANTOM}\r\nX-Other: {phantom}\r\n"
        assert scene.ask(ELSEWHERE, fields=beside).status == 403
        assert scene.ask(API, fields=bearer(PHANTOM)).status == 403
        assert scene.ask(API, fields=bearer(phantom) + f"X-Other: {PHANTOM}\r\n").status == 403
        assert scene.api.requests == scene.elsewhere.requests == []


def test_a_token_that_an_api_shows_freezes_its_login(make: Make) -> None:
    def echo(request: Received) -> None:
        request.read_body()
        request.connection.respond(body=b"you are " + (request.value(b"authorization") or b""))

    with make(api_handler=echo) as scene:
        phantom = scene.phantoms()["access_token"]
        answer = scene.ask(API, fields=bearer(phantom))
        assert answer.body.startswith(b"you are Bearer ")
        assert scene.ask(API, fields=bearer(phantom)).status == 403
        assert len(scene.api.requests) == 1


def test_the_rules_of_the_route_hold(make: Make) -> None:
    rules = EndpointPolicy("deny", allow=(EndpointRule("GET", "/v1/**"),))
    with make(endpoints=rules) as scene:
        phantom = scene.phantoms()["access_token"]
        assert scene.ask(API, path="/v1/models", fields=bearer(phantom)).status == 200
        assert scene.ask(API, path="/v2/models", fields=bearer(phantom)).status == 403
        assert [request.target for request in scene.api.requests] == [b"/v1/models"]


SOCKET = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def switch(request: Received) -> None:
    request.connection.send(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nframe"
    )
    request.connection.wait_gone()


def test_a_phantom_is_redeemed_in_a_websocket_handshake(make: Make) -> None:
    with make(api_handler=switch) as scene:
        phantom = scene.phantoms()["access_token"]
        head = f"GET /socket HTTP/1.1\r\nHost: {API}:{scene.api.port}\r\n{SOCKET}"
        with scene.inside(API, scene.api) as client:
            client.send((head + bearer(phantom) + "\r\n").encode())
            assert client.head()[0] == 101
            assert client.read_exactly(5) == b"frame"
        assert scene.api.requests[0].values(b"authorization") == [f"Bearer {ACCESS}".encode()]
        with scene.inside(API, scene.api) as client:
            client.send((head + bearer(UNKNOWN) + "\r\n").encode())
            assert client.response().status == 401
        assert len(scene.api.requests) == 1


@pytest.mark.parametrize("path", ["/oauth/token", "/socket"])
def test_no_websocket_leads_to_the_host_of_a_token_endpoint(make: Make, path: str) -> None:
    with make(api_hosts=(AUTH,)) as scene:
        phantom = scene.phantoms()["access_token"]
        with scene.inside(AUTH, scene.auth) as client:
            head = f"GET {path} HTTP/1.1\r\nHost: {AUTH}:{scene.auth.port}\r\n{SOCKET}{bearer(phantom)}\r\n"
            client.send(head.encode())
            assert client.response().status == 403
        assert len(scene.auth.requests) == 1
