"""The order of every allowed request, which is the same in HTTP/1.1 and in HTTP/2."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

import pytest

from nono.credentials.values.credential import Injected, LeakDetector, Outgoing, RequestFacts
from nono.credentials.values.errors import RequestUnfit
from nono.credentials.values.tripwire import tripwire_for
from nono.proxy.exchange.held import HeldBytes
from nono.proxy.exchange.inspection import Inspection
from nono.proxy.flows.recorder import FlowRecorder
from nono.proxy.http.message import response_head
from nono.proxy.verdict.verdict import Entry, Forward
from nono.secret import Secret
from support.clients.http2 import Http2Client
from support.proxy.thread import TIMEOUT_S, Client, FakeCredential, Hosts, a_route, wait_until
from support.proxy.transports import KEY, WITH_CREDENTIAL, FiveTransports, Transport, five_transports
from support.servers.http1 import Received

SECRET = "sk-canary-8Zq2LmT5vWx7Yb1Nc4Kd"

every_way = pytest.mark.parametrize("transport", WITH_CREDENTIAL)


@dataclass
class Sender:
    """One request on a connection of its own, sent piece by piece."""

    client: Client | Http2Client
    number: int = 0  # of its stream

    def send(self, piece: bytes, *, end: bool = False) -> None:
        """Send a body; in HTTP/1.1 the announced length says where the end is."""
        if isinstance(self.client, Http2Client):
            self.client.send(self.number, piece, end=end)
        else:
            self.client.send(piece)

    def answer(self) -> tuple[int, bytes]:
        if isinstance(self.client, Http2Client):
            answer = self.client.answer(self.number)
            return answer.status, answer.body
        response = self.client.response()
        return response.status, response.body


@contextmanager
def begun(
    stage: FiveTransports, transport: Transport, method: str, *fields: tuple[str, str], warm: bool = False
) -> Iterator[Sender]:
    """Yield a request whose head has been sent and nothing else; on HTTP/2 its stream is open.

    warm: after a GET on the same connection, so that one to the upstream is at hand.
    """
    if transport is Transport.HTTP2:
        with stage.http2() as http2:
            if warm:
                assert http2.get(fields=[KEY]).status == 200
            yield Sender(http2, http2.request("/x", method=method, fields=[KEY, *fields], end=False))
    else:
        with stage.client(transport) as client:
            if warm:
                client.send(stage.head(transport) + b"\r\n")
                assert client.response().status == 200
            client.send(stage.head(transport, method=method, fields=fields) + b"\r\n")
            yield Sender(client)


# -- a credential that does not fit


class Unfit(FakeCredential):
    """Cannot be written into the request."""

    def __init__(self, failure: Exception) -> None:
        super().__init__()
        self.failure = failure

    def inject(self, request: Outgoing) -> Injected:
        raise self.failure


@every_way
@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (RequestUnfit("it is signed already"), 400),
        (ValueError(SECRET), 503),
        (OSError(SECRET), 503),
    ],
    ids=["unfit", "a fault of the credential", "a fault of its source"],
)
def test_a_request_unfit_for_its_credential_is_never_recorded_as_allowed(
    transport: Transport, failure: Exception, status: int
) -> None:
    with five_transports(credential=Unfit(failure)) as stage:
        answer = stage.ask(transport)
        assert answer.status == status
        assert SECRET.encode() not in answer.body
        assert stage.is_untouched
        events = stage.proxy.recording.network
        assert [event["decision"] for event in events if event["method"] == "GET"] == ["deny"]
        assert SECRET not in json.dumps(events)


# -- the tripwire


@dataclass
class Rotating(FakeCredential):
    """Signs with the secret it had when it was asked for; it has many, and watches for the last one."""

    needs_body: bool = True
    secret: str = SECRET
    is_acquired: bool = False
    watched: threading.Event = field(default_factory=threading.Event)  # since it was acquired

    def at_hand(self, request: RequestFacts) -> None:
        return None

    async def acquire(self, request: RequestFacts) -> FakeCredential:
        self.is_acquired = True
        return FakeCredential(content=self.secret.encode(), needs_body=True)

    def tripwire(self) -> LeakDetector | None:
        detector = tripwire_for([Secret(self.secret)])
        if self.is_acquired:
            self.watched.set()
        return detector


def echo(request: Received) -> None:
    request.read_body()
    request.connection.respond(body=request.value(b"authorization") or b"")


@every_way
def test_a_signing_secret_is_watched_through_a_long_body(transport: Transport) -> None:
    credential = Rotating()
    with (
        five_transports(echo, credential=credential) as stage,
        begun(stage, transport, "POST", ("content-length", "3")) as sender,
    ):
        assert credential.watched.wait(TIMEOUT_S)
        sender.send(b"ab")
        credential.secret = "sk-another-one-by-now"
        sender.send(b"c", end=True)
        status, body = sender.answer()
        assert (status, body) == (200, b"*" * len(SECRET))
        assert stage.ask(transport).status == 403  # frozen


@every_way
def test_a_secret_in_use_is_watched_through_a_long_dial(transport: Transport) -> None:
    credential = Rotating(needs_body=False)
    looked_up = threading.Event()

    async def resolver(host: str, port: int) -> list[str]:
        credential.secret = "sk-another-one-by-now"
        looked_up.set()
        return ["127.0.0.1"]

    with five_transports(echo, credential=credential, options={"resolver": resolver}) as stage:
        answer = stage.ask(transport)
        assert looked_up.is_set()
        assert (answer.status, answer.body) == (200, b"*" * len(SECRET))
        assert stage.ask(transport).status == 403


def test_nothing_passes_an_inspection_that_was_not_armed() -> None:
    route = a_route(1)
    verdict = Forward(
        Entry("reverse", "alpha", 1, "GET"), route.origin, Outgoing(b"GET", b"/", b"a", []), Hosts(), route
    )
    inspection = Inspection(verdict, None, on_leak=print, on_usage=print, budget=HeldBytes(1 << 24))
    head = response_head(200, b"OK", "1.1", [], to_method=b"GET")
    uses: list[Callable[[], object]] = [
        lambda: inspection.begin(head),
        lambda: inspection.interim(head),
        lambda: inspection.switched(head),
        lambda: inspection.clean_fields([]),
        lambda: inspection.reads_bodies,
    ]
    for use in uses:
        with pytest.raises(AttributeError):
            use()
    inspection.arm()
    for use in uses:
        use()


@every_way
def test_a_secret_in_an_interim_reason_phrase_freezes_its_credential(
    transport: Transport,
) -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 103 " + SECRET.encode() + b"\r\nLink: </a>\r\n\r\n")
        request.connection.respond()

    with five_transports(handler, credential=Rotating(needs_body=False)) as stage:
        assert stage.ask(transport).status == 200
        assert stage.ask(transport).status == 403


@every_way
@pytest.mark.parametrize("name", ["Set-Cookie", "Set-Cookie2"])
def test_an_interim_response_sets_no_cookie(transport: Transport, name: str) -> None:
    def handler(request: Received) -> None:
        head = f"HTTP/1.1 103 Early Hints\r\n{name}: session=1\r\nLink: </a>\r\n\r\n"
        request.connection.send(head.encode())
        request.connection.respond()

    with five_transports(handler) as stage:
        if transport is Transport.HTTP2:
            with stage.http2() as http2:
                fields = http2.answer(http2.request(fields=[KEY])).interim_fields
        else:
            with stage.client(transport) as client:
                client.send(stage.head(transport) + b"\r\n")
                status, _, fields = client.head()
                assert status == 103
                assert client.response().status == 200
        assert [field_name for field_name, _ in fields] == ["link"]


# -- between the dial and the first byte


@every_way
def test_a_credential_that_is_frozen_during_the_dial_does_not_leave(transport: Transport) -> None:
    async def resolver(host: str, port: int) -> list[str]:
        stage.proxy.running.serving().context.freeze("alpha", "the test says so")
        return ["127.0.0.1"]

    with five_transports(options={"resolver": resolver}) as stage:
        answer = stage.ask(transport)
        assert (answer.status, json.loads(answer.body)["rule"]) == (403, "tripwire")
        assert stage.sent == b""
        events = stage.proxy.recording.network
        assert [event["decision"] for event in events if event["method"] == "GET"] == ["allow", "deny"]


@every_way
def test_nothing_is_dialled_that_cannot_be_recorded_by_then(transport: Transport) -> None:
    async def resolver(host: str, port: int) -> list[str]:
        stage.proxy.recording.failing = True
        return ["127.0.0.1"]

    with five_transports(options={"resolver": resolver}) as stage:
        assert stage.ask(transport).status == 503
        assert stage.is_untouched


# -- sending it once more


@every_way
@pytest.mark.parametrize(
    ("method", "tries"),
    [pytest.param("POST", 1, id="POST"), pytest.param("PUT", 2, id="PUT")],
)
def test_a_request_with_an_empty_body_counts_as_sent_with_its_head(
    transport: Transport, method: str, tries: int
) -> None:
    def handler(request: Received) -> None:
        request.read_body()
        if request.method != b"GET" and request.connection.number == 0:
            request.connection.reset()
        else:
            request.connection.respond()

    with five_transports(handler) as stage:
        with begun(stage, transport, method, ("content-length", "0"), warm=True) as sender:
            # On HTTP/2 the stream stays open, and still there is nothing more to come.
            assert sender.answer()[0] == (200 if tries == 2 else 502)
        assert [request.method for request in stage.requests] == [b"GET", *[method.encode()] * tries]


# -- how it ends


@dataclass
class Kept:
    """A flow of which only its end is kept."""

    end: str | None = None

    def request_piece(self, piece: bytes) -> None: ...
    def response(self, status: int, reason: bytes, headers: object) -> None: ...
    def response_piece(self, piece: bytes) -> None: ...

    def finish(self) -> None:
        self.failed("finished")

    def failed(self, reason: str) -> None:
        self.end = self.end or reason


@dataclass
class Flows:
    begun: list[Kept] = field(default_factory=list)

    def begin(self, **request: object) -> Kept:
        self.begun.append(Kept())
        return self.begun[-1]

    def options(self) -> dict[str, object]:
        return {"flows": cast(FlowRecorder, self)}


@every_way
def test_a_fault_of_the_proxy_is_why_its_flow_ended(transport: Transport) -> None:
    class Broken(FakeCredential):
        def at_hand(self, request: RequestFacts) -> None:
            return None

        async def acquire(self, request: RequestFacts) -> FakeCredential:
            raise KeyError("a bug")

    flows = Flows()
    with five_transports(credential=Broken(), options=flows.options()) as stage:
        assert stage.ask(transport).status == 0
        assert [flow.end for flow in flows.begun] == ["a fault of the proxy"]
        assert stage.is_untouched


@every_way
def test_a_flow_ends_with_the_request_error_behind_its_response(transport: Transport) -> None:
    def handler(request: Received) -> None:
        request.connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbeginning")
        request.connection.wait_gone()

    flows = Flows()
    with five_transports(handler, options=flows.options()) as stage:
        if transport is Transport.HTTP2:
            with begun(stage, transport, "POST") as sender:
                client = sender.client
                assert isinstance(client, Http2Client)
                client.wait_until(lambda: client.answers[sender.number].body != b"")
                client.h2.send_headers(sender.number, [("connection", "close")], end_stream=True)
                client.flush()
                wait_until(lambda: flows.begun[0].end is not None)
        else:
            with begun(stage, transport, "POST", ("transfer-encoding", "chunked")) as sender:
                assert isinstance(sender.client, Client)
                sender.client.read_until(b"beginning")
                sender.send(b"zz\r\n")
                wait_until(lambda: flows.begun[0].end is not None)
        (flow,) = flows.begun
        assert flow.end is not None
        assert flow.end.startswith(
            "the request body: " if transport is not Transport.HTTP2 else "the trailers of the"
        )
