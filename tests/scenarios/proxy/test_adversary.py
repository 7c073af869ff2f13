"""What one part of the proxy promises, held against what an attacker does to another part meanwhile."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from urllib.parse import unquote

import anyio
import pytest

from nono.credentials.static import StaticCredential
from nono.credentials.values.credential import LeakDetector
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule, EndpointVerdict
from nono.policy.schema.route_rules import Inject
from nono.proxy.http.message import request_head
from nono.proxy.verdict.dispatch import Dispatcher
from nono.proxy.verdict.logins.table import NO_LOGINS
from nono.proxy.verdict.phantoms import without_phantoms
from nono.proxy.verdict.routes import RouteTable
from nono.proxy.verdict.verdict import ConnectTarget, Forward
from nono.secret import Secret
from support.proxy.http2_stage import HOST, KEY, a_route_to, authority, h2_stage, routes_stage
from support.proxy.thread import PHANTOM, REAL_KEY, TIMEOUT_S, Client, FakeCredential, Hosts, a_route, proxy
from support.servers.http1 import Received, upstream
from support.servers.http2 import Stream, h2_upstream

BEARER = b"Authorization: Bearer " + PHANTOM.encode() + b"\r\n"
BETA = "sk-phantom-of-beta"


def get(path: bytes, fields: bytes = BEARER) -> bytes:
    return b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n" + fields + b"\r\n"


class HeldUp:
    """A resolver that answers for one host only after release."""

    def __init__(self, host: str) -> None:
        self._host = host
        self.asked = threading.Event()
        self.release = threading.Event()

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        if host == self._host and not self.release.is_set():
            self.asked.set()
            await anyio.to_thread.run_sync(self.release.wait, TIMEOUT_S)
        return ["127.0.0.1"]


# -- a credential that is frozen while a request with it is on its way


def test_a_credential_frozen_during_the_dial_is_not_sent() -> None:
    slow = HeldUp("localhost")
    with upstream() as server:
        routes = (
            a_route(server.port, host="localhost"),
            a_route(server.port, service="beta", phantom=BETA),
        )
        with proxy(*routes, resolver=slow) as p, Client(p.port) as client, Client(p.port) as traitor:
            client.send(get(b"/alpha/v1"))
            assert slow.asked.wait(TIMEOUT_S)
            traitor.send(get(b"/beta/v1"))
            assert traitor.response().status == 403
            slow.release.set()
            answer = client.response()
            assert (answer.status, json.loads(answer.body)["rule"]) == (403, "tripwire")
            traitor.send(get(b"/beta/v1", b"Authorization: Bearer " + BETA.encode() + b"\r\n"))
            assert traitor.response().status == 200
    assert [request.target for request in server.requests] == [b"/v1"]


def test_no_frozen_credential_goes_with_a_request_whose_body_was_awaited() -> None:
    with upstream() as server:
        routes = (
            a_route(server.port, credential=FakeCredential(needs_body=True)),
            a_route(server.port, service="beta", phantom=BETA),
        )
        with proxy(*routes) as p, Client(p.port) as client, Client(p.port) as traitor:
            post = get(b"/alpha/v1", BEARER + b"Content-Length: 5\r\nExpect: 100-continue\r\n")
            client.send(post.replace(b"GET", b"POST"))
            assert client.head()[0] == 100
            traitor.send(get(b"/beta/v1"))
            assert traitor.response().status == 403
            client.send(b"hello")
            assert client.response().status == 403
    assert server.requests == []


def test_a_credential_frozen_during_the_dial_goes_on_no_stream() -> None:
    slow = HeldUp(HOST)
    with authority() as ca, h2_upstream(ca.server_context(HOST)) as server:
        routes = [
            a_route_to(server.port, ca.ca_file),
            a_route_to(server.port + 1, None, FakeCredential("X-Beta"), service="beta", phantom=BETA),
        ]
        with (
            routes_stage(server.port, ca.ca_file, routes, resolver=slow) as stage,
            stage.client() as client,
            Client(stage.proxy.port) as traitor,
        ):
            number = client.request(fields=[KEY])
            assert slow.asked.wait(TIMEOUT_S)
            traitor.send(get(b"/beta/v1"))
            assert traitor.response().status == 403
            slow.release.set()
            assert client.answer(number).status == 403
            assert client.get(fields=[("x-other", "1")]).status == 200  # without any key
    assert [stream.values(b"authorization") for stream in server.streams] == [[]]


# -- a secret that is replaced by others while a request with it is on its way


@dataclass
class Rotating(FakeCredential):
    """Watches for its value until told that others are used."""

    is_used: bool = True

    def tripwire(self) -> LeakDetector | None:
        return tripwire_for([Secret(REAL_KEY if self.is_used else "sk-another-key")])


def test_a_stream_is_searched_for_what_it_was_sent_with() -> None:
    slow, credential = HeldUp(HOST), Rotating()

    def echo(stream: Stream) -> None:
        stream.head(200, [])
        stream.send(stream.values(b"authorization")[0])
        stream.end([])

    options: dict[str, object] = {"resolver": slow, "alarm": lambda sentence: None}
    with h2_stage(echo, credential=credential, options=options) as (stage, _), stage.client() as client:
        number = client.request(fields=[KEY])
        assert slow.asked.wait(TIMEOUT_S)
        credential.is_used = False
        slow.release.set()
        answer = client.answer(number)
        assert answer.status == 200
        assert answer.body == b"Bearer " + b"*" * len(REAL_KEY)


# -- what reaches the terminal and the log


def test_varied_header_names_with_a_secret_do_not_flood_the_terminal() -> None:
    secret = "sk-canary-8Zq2LmT5vWx7Yb1Nc4Kd"
    credential = StaticCredential(injection_of(Inject(), Secret(secret)), tripwire_for([Secret(secret)]))
    alarms: list[str] = []

    def handler(request: Received) -> None:
        request.connection.respond(fields=[("x" * 5000, secret)])

    with (
        upstream(handler) as server,
        proxy(a_route(server.port, credential=credential), alarm=alarms.append) as p,
        Client(p.port) as client,
    ):
        client.send(get(b"/alpha/v1"))
        client.response()
    assert "response header xxx" in alarms[0]
    assert len(alarms[0]) < 300


def test_the_phantom_of_a_login_is_not_in_the_record() -> None:
    phantom = "nono_" + "0a" * 32
    routes = RouteTable((), (), NO_LOGINS)
    shown = [
        without_phantoms(f"{path}?{phantom}", routes, Secret("session"))
        for path in (
            f"/x/{phantom}/y",
            f"/x/a.b.{phantom}",
            "/x/" + "".join(f"%{ord(c):02x}" for c in phantom),
        )
    ]
    assert not [text for text in shown if phantom in unquote(text)]
    assert without_phantoms("/x/nono_0a/y", routes, Secret("session")) == "/x/nono_0a/y"


# -- connections of somebody else


def test_strangers_take_no_place_that_the_child_needs() -> None:
    is_child = threading.Event()
    with (
        upstream() as server,
        proxy(a_route(server.port), admits=lambda peer: is_child.is_set(), max_connections=8) as p,
        ExitStack() as stack,
    ):
        for _ in range(100):
            stranger = stack.enter_context(Client(p.port))
            with suppress(ConnectionResetError):
                assert stranger.receive() == b"" or stranger.head()[0] in (403, 503)
        is_child.set()
        with Client(p.port) as client:
            client.send(get(b"/alpha/v1"))
            assert client.response().status == 200


def test_a_burst_of_strangers_takes_no_place_that_the_child_needs() -> None:
    admitted: set[tuple[str, int]] = set()
    with (
        upstream() as server,
        proxy(a_route(server.port), admits=lambda peer: peer in admitted, max_connections=8) as p,
        ExitStack() as stack,
    ):
        with p.standing_still():
            for _ in range(100):
                stack.enter_context(Client(p.port))
            client = stack.enter_context(Client(p.port))
            admitted.add(client.transport.getsockname())
        client.send(get(b"/alpha/v1"))
        assert client.response().status == 200


# -- rules of several routes at one host


def judged(alpha: EndpointPolicy, beta: EndpointPolicy, path: str) -> tuple[str, EndpointVerdict | None]:
    """Return the verdict on a request with alpha's phantom, and what a person is asked."""
    routes = (
        a_route(443, host="api.test", scheme="https", endpoints=alpha),
        a_route(443, service="beta", host="api.test", scheme="https", phantom=BETA, endpoints=beta),
    )
    dispatcher = Dispatcher(RouteTable(routes), Hosts(), Secret("session"), 1, intercepts=True)
    fields = [(b"Host", b"api.test"), (b"Authorization", b"Bearer " + PHANTOM.encode())]
    head = request_head(b"GET", path.encode(), "1.1", fields)
    verdict = dispatcher.judge(head, ConnectTarget("api.test", 443))
    return type(verdict).__name__, verdict.approval if isinstance(verdict, Forward) else None


OPEN_BUT_FOR_ADMIN = EndpointPolicy("allow", deny=(EndpointRule("*", "/admin"),), is_explicit=True)


def test_a_key_is_not_used_where_only_the_policy_of_its_sibling_allows_it() -> None:
    narrow = EndpointPolicy("deny", allow=(EndpointRule("GET", "/a"),))
    assert judged(narrow, OPEN_BUT_FOR_ADMIN, "/a")[0] == "Forward"
    assert judged(narrow, OPEN_BUT_FOR_ADMIN, "/b")[0] == "Refused"


@pytest.mark.parametrize("is_held", [False, True], ids=["free", "denied"])
@pytest.mark.parametrize("spelled", [b"/v1//admin", b"/v1%2Fadmin", b"/v1/admin%2Fx"])
def test_no_spelling_of_a_path_gets_around_the_policy_of_a_sibling(spelled: bytes, is_held: bool) -> None:
    rules = (EndpointRule("*", "/v1/admin"), EndpointRule("*", "/v1/admin/**"))
    denies = EndpointPolicy("allow", deny=rules if is_held else (), is_explicit=True)
    with upstream() as server:
        beta = a_route(server.port, service="beta", phantom=BETA, endpoints=denies)
        with proxy(a_route(server.port), beta) as p, Client(p.port) as client:
            client.send(get(b"/alpha/v1/other"))
            assert client.response().status == 200
            client.send(get(b"/alpha" + spelled))
            assert client.response().status == (400 if is_held else 200)
            assert [event["status"] for event in p.recording.network if event["decision"] == "deny"] == (
                [400] if is_held else []
            )
    arrived = [request.target for request in server.requests]
    assert arrived == ([b"/v1/other"] if is_held else [b"/v1/other", spelled])


@pytest.mark.parametrize(
    ("spelled", "status"), [(b"/V1/Admin", 403), (b"/v1;x/admin.", 403), (b"/V2/Admin", 200)]
)
def test_the_policy_of_a_sibling_holds_below_its_base_path_in_any_case(spelled: bytes, status: int) -> None:
    denies = EndpointPolicy("allow", deny=(EndpointRule("*", "/v1/admin"),), is_explicit=True)
    with upstream() as server:
        beta = a_route(server.port, service="beta", phantom=BETA, base_path="/v1", endpoints=denies)
        with proxy(a_route(server.port), beta) as p, Client(p.port) as client:
            client.send(get(b"/alpha" + spelled))
            assert client.response().status == status
            denials = [
                event["denial_category"] for event in p.recording.network if event["decision"] == "deny"
            ]
            assert denials == (["endpoint_policy"] if status == 403 else [])
    assert len(server.requests) == (status == 200)


@pytest.mark.parametrize("is_explicit", [True, False])
def test_a_person_is_asked_although_the_policy_of_a_sibling_allows_it(is_explicit: bool) -> None:
    asks = EndpointPolicy("allow", approve=(EndpointRule("GET", "/pay"),), is_explicit=is_explicit)
    name, approval = judged(asks, OPEN_BUT_FOR_ADMIN, "/pay")
    assert name == "Forward"
    assert approval is not None
    assert judged(asks, OPEN_BUT_FOR_ADMIN, "/x") == ("Forward", None)
