"""Hosts that somebody is asked about, and rules for hosts that change while the proxy runs."""

from __future__ import annotations

import queue
import socket
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import NamedTuple

import anyio
import pytest

from nono.approval.request import Answer, HostRequest, Request
from nono.policy.endpoints.policy import EndpointPolicy
from nono.policy.hosts.host_filter import HostFilter, HostRule, Refuse
from nono.policy.hosts.hostname import IpAddress
from nono.policy.hosts.live_hosts import LiveHosts
from nono.proxy.client.http1 import ClientConnection
from nono.proxy.transport.splice import TimedEnd
from support.ports import unanswered
from support.proxy.http2_stage import HOST, KEY, h2_stage
from support.proxy.interception import intercepting
from support.proxy.thread import PHANTOM, TIMEOUT_S, TOKEN, Client, ProxyUnderTest, a_route, proxy, wait_until
from support.servers.http1 import upstream
from support.servers.http2 import Stream

TOKEN_FIELD = b"Proxy-Authorization: Basic " + b64encode(f"nono:{TOKEN}".encode()) + b"\r\n"
YES = Answer("granted", backend="a person")
NO = Answer("denied", "a person said no", "a person")


class OnLoopback(HostFilter):
    """A filter in whose world every host is on this machine."""

    def _judge_class(self, name: str, port: int, address: IpAddress) -> Refuse | None:
        return None


class Person:
    """Answers when the test says so, and keeps what it is asked."""

    def __init__(self) -> None:
        self.asked: queue.Queue[Request] = queue.Queue()
        self.withdrawn: queue.Queue[Request] = queue.Queue()
        self._answers: queue.Queue[Answer] = queue.Queue()

    def says(self, answer: Answer) -> None:
        self._answers.put(answer)

    async def __call__(self, request: Request, /) -> Answer:
        self.asked.put(request)
        try:
            while self._answers.empty():  # noqa: ASYNC110 - the answer comes from another thread
                await anyio.sleep(0.005)
        except anyio.get_cancelled_exc_class():
            self.withdrawn.put(request)
            raise
        return self._answers.get_nowait()


@contextmanager
def echoing() -> Iterator[int]:
    """Yield the port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=echo, args=(connection,), daemon=True).start()

        def echo(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                while piece := connection.recv(4096):
                    connection.sendall(piece)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def hosts(*allowed: str, denied: tuple[str, ...] = ()) -> LiveHosts:
    return LiveHosts(
        OnLoopback(
            allow=tuple(HostRule(name, None, "the test") for name in allowed),
            deny=tuple(HostRule(name, None, "the test") for name in denied),
            raw_tunnels=(HostRule("*", None, "the test"),),
        )
    )


@contextmanager
def connecting(p: ProxyUnderTest, host: str, port: int) -> Iterator[Client]:
    with Client(p.port) as client:
        client.send(
            f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n".encode() + TOKEN_FIELD + b"\r\n"
        )
        yield client


def changed(
    p: ProxyUnderTest, live: LiveHosts, allow: tuple[str, ...] = (), deny: tuple[str, ...] = ()
) -> int:
    """Lay rules over those of the start, on the proxy's loop. Returns how many connections were cut."""

    def change() -> int:
        live.put(*([HostRule(name, None, "now") for name in names] for names in (allow, deny)))
        return p.running.rules_changed()

    return p.on_loop(change)


class Standing(NamedTuple):
    """One connection through the proxy, to a host that can be denied."""

    proxy: ProxyUnderTest
    live: LiveHosts
    host: str
    is_cut: Callable[[], bool]  # waits for the end of both sides


def works(client: Client) -> bool:
    client.send(b"ping")
    return client.read_exactly(4) == b"ping"


def test_a_host_that_nothing_allows_is_reached_after_a_yes() -> None:
    person, live = Person(), hosts()
    with (
        echoing() as port,
        proxy(hosts=live, live_hosts=live, asks_hosts=True, approver=person) as p,
        connecting(p, "new.test", port) as client,
    ):
        assert person.asked.get(timeout=TIMEOUT_S) == HostRequest("new.test", port)
        assert p.names.asked == []
        person.says(YES)
        assert client.head()[0] == 200
        assert works(client)
    assert [(each["decision"], each["target"]) for each in p.recording.network] == [("allow", "new.test")]


@pytest.mark.parametrize(
    "answer", [NO, Answer("timeout", "nobody has answered"), Answer("error", "asking failed")], ids=str
)
def test_everything_but_a_yes_refuses_the_host(answer: Answer) -> None:
    person, live = Person(), hosts()
    with proxy(hosts=live, live_hosts=live, asks_hosts=True, approver=person) as p:
        person.says(answer)
        with connecting(p, "new.test", 443) as client:
            status, reason, _ = client.head()
    assert status == 403
    assert answer.reason in reason
    assert p.recording.decisions() == [("deny", "host_denied")]
    assert p.names.asked == []


def test_a_yes_is_for_one_connection() -> None:
    person, live = Person(), hosts()
    with echoing() as port, proxy(hosts=live, live_hosts=live, asks_hosts=True, approver=person) as p:
        for answer, status in ((YES, 200), (NO, 403)):
            person.says(answer)
            with connecting(p, "new.test", port) as client:
                assert client.head()[0] == status
    assert person.asked.qsize() == 2


@pytest.mark.parametrize("host", ["bad.test", "localhost", "127.0.0.1", "[::1]", "169.254.169.254"])
def test_nobody_is_asked_about_what_a_rule_refuses(host: str) -> None:
    person, live = Person(), hosts(denied=("bad.test",))
    with (
        proxy(hosts=live, live_hosts=live, asks_hosts=True, approver=person) as p,
        connecting(p, host, 443) as client,
    ):
        assert client.head()[0] == 403
    assert person.asked.empty()
    assert p.recording.decisions() == [("deny", "host_denied")]


def test_nobody_is_asked_without_the_token() -> None:
    person, live = Person(), hosts()
    with proxy(hosts=live, live_hosts=live, asks_hosts=True, approver=person) as p, Client(p.port) as client:
        client.send(b"CONNECT new.test:443 HTTP/1.1\r\nHost: new.test:443\r\n\r\n")
        assert client.head()[0] == 407
    assert person.asked.empty()


def test_a_denial_made_meanwhile_beats_a_yes() -> None:
    person, live = Person(), hosts()
    with (
        proxy(hosts=live, live_hosts=live, asks_hosts=True, approver=person) as p,
        connecting(p, "new.test", 443) as client,
    ):
        person.asked.get(timeout=TIMEOUT_S)
        changed(p, live, deny=("new.test",))
        person.says(YES)
        assert client.head()[0] == 403
    assert p.recording.decisions() == [("deny", "host_denied")]


def test_a_client_that_leaves_withdraws_its_question() -> None:
    person, live = Person(), hosts()
    with proxy(hosts=live, live_hosts=live, asks_hosts=True, approver=person) as p:
        with connecting(p, "new.test", 443):
            person.asked.get(timeout=TIMEOUT_S)
        assert person.withdrawn.get(timeout=TIMEOUT_S) == HostRequest("new.test", 443)
        wait_until(lambda: p.running.client_connections == 0)


def test_plain_http_waits_for_the_answer_as_well() -> None:
    person, live = Person(), hosts()
    with proxy(hosts=live, live_hosts=live, asks_hosts=True, approver=person) as p, Client(p.port) as client:
        client.send(
            b"POST http://new.test/x HTTP/1.1\r\nHost: new.test\r\nContent-Length: 2\r\n" + TOKEN_FIELD
        )
        client.send(b"\r\nhi")
        assert person.asked.get(timeout=TIMEOUT_S) == HostRequest("new.test", 80)
        person.says(NO)
        assert client.response().status == 403


def test_a_denial_cuts_the_tunnels_to_its_host_alone() -> None:
    live = hosts("one.test", "two.test")
    with (
        echoing() as port,
        proxy(hosts=live, live_hosts=live) as p,
        connecting(p, "one.test", port) as one,
        connecting(p, "two.test", port) as two,
    ):
        assert (one.head()[0], two.head()[0]) == (200, 200)
        assert works(one)
        assert works(two)
        assert changed(p, live, deny=("one.test",)) == 1
        with suppress(ConnectionError):
            assert one.receive() == b""
        assert works(two)
        with connecting(p, "one.test", port) as again:
            assert again.head()[0] == 403


def test_an_allowed_host_is_reached_until_that_is_taken_back() -> None:
    live = hosts()
    with echoing() as port, proxy(hosts=live, live_hosts=live) as p:
        changed(p, live, allow=("new.test",))
        with connecting(p, "new.test", port) as client, connecting(p, "other.test", port) as other:
            assert (client.head()[0], other.head()[0]) == (200, 403)
            assert works(client)
            assert changed(p, live) == 1
            with suppress(ConnectionError):
                assert client.receive() == b""
        with connecting(p, "new.test", port) as client:
            assert client.head()[0] == 403


@contextmanager
def tunnelling() -> Iterator[Standing]:
    live = hosts("one.test")
    with (
        echoing() as port,
        proxy(hosts=live, live_hosts=live) as p,
        connecting(p, "one.test", port) as client,
    ):
        assert client.head()[0] == 200
        assert works(client)
        yield Standing(p, live, "one.test", lambda: _is_cut(client))


@contextmanager
def dialling() -> Iterator[Standing]:
    """Yield a tunnel whose CONNECT is not answered yet."""
    live = hosts("one.test")
    with (
        unanswered() as port,
        proxy(hosts=live, live_hosts=live, connect_timeout_s=10 * TIMEOUT_S) as p,
        connecting(p, "one.test", port) as client,
    ):
        wait_until(lambda: bool(p.recording.events))  # recorded before it is dialled
        yield Standing(p, live, "one.test", lambda: _is_cut(client))


@contextmanager
def answering() -> Iterator[Standing]:
    """Yield a response whose end is still to come."""
    live = hosts("slow.test")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with proxy(hosts=live, live_hosts=live) as p, Client(p.port) as client:
            client.send(
                f"GET http://slow.test:{port}/ HTTP/1.1\r\nHost: slow.test:{port}\r\n".encode() + TOKEN_FIELD
            )
            client.send(b"\r\n")
            upstream, _ = listener.accept()
            with upstream:
                upstream.recv(4096)
                upstream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
                client.read_until(b"x")
                yield Standing(p, live, "slow.test", lambda: _is_cut(client) and upstream.recv(10) == b"")


@contextmanager
def websocket() -> Iterator[Standing]:
    live = hosts()
    handshake = (
        b"GET /alpha/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + PHANTOM.encode() + b"\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        route = a_route(listener.getsockname()[1])
        with proxy(route, hosts=live, live_hosts=live) as p, Client(p.port) as client:
            client.send(handshake)
            upstream, _ = listener.accept()
            with upstream:
                upstream.recv(4096)
                upstream.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello"
                )
                client.read_until(b"hello")
                yield Standing(p, live, "127.0.0.1", lambda: _is_cut(client) and _is_cut(upstream))


@contextmanager
def streaming() -> Iterator[Standing]:
    """Yield a stream of an HTTP/2 client."""
    live, goes_on = hosts(), threading.Event()

    def handler(stream: Stream) -> None:
        stream.head()
        stream.send(b"x")
        goes_on.wait(TIMEOUT_S)

    with (
        h2_stage(handler, options={"hosts": live, "live_hosts": live}) as (stage, _),
        stage.client() as client,
    ):
        number = client.request(fields=[KEY])
        client.wait_until(lambda: client.answers[number].body == b"x")

        def is_cut() -> bool:
            wait_until(lambda: stage.proxy.running.client_connections == 0)
            return True

        yield Standing(stage.proxy, live, HOST, is_cut)
        goes_on.set()


@contextmanager
def resting() -> Iterator[Standing]:
    """Yield a connection through an intercepted CONNECT, between two requests."""
    live = hosts()
    with h2_stage(options={"hosts": live, "live_hosts": live}) as (stage, _), stage.client() as client:
        number = client.request(fields=[KEY])
        client.wait_until(lambda: client.answers[number].ended)

        def is_cut() -> bool:
            wait_until(lambda: stage.proxy.running.client_connections == 0)
            return True

        yield Standing(stage.proxy, live, HOST, is_cut)


@contextmanager
def resting_http1() -> Iterator[Standing]:
    live = hosts()
    with (
        upstream() as server,
        intercepting(a_route(server.port, host="localhost"), hosts=live, live_hosts=live) as p,
        p.inside("localhost", server.port) as client,
    ):
        client.send(
            f"GET / HTTP/1.1\r\nHost: localhost:{server.port}\r\nX-Api-Key: {PHANTOM}\r\n\r\n".encode()
        )
        assert client.response().status == 200
        yield Standing(p, live, "localhost", lambda: _is_cut(client))


def _is_cut(client: Client | socket.socket) -> bool:
    with suppress(ConnectionError):
        return (client.receive() if isinstance(client, Client) else client.recv(10)) == b""
    return True


UNDER_WAY = [tunnelling, dialling, answering, websocket, streaming]
AT_REST = [resting, resting_http1]


@pytest.mark.parametrize("standing", [*UNDER_WAY, *AT_REST])
def test_a_denial_cuts_what_stands_to_its_host(
    standing: Callable[[], AbstractContextManager[Standing]],
) -> None:
    with standing() as (p, live, host, is_cut):
        assert changed(p, live, allow=(host,), deny=("other.test",)) == 0
        assert changed(p, live, allow=(host,), deny=(host,)) == 1
        assert is_cut()


def test_a_request_that_a_person_is_asked_about_is_refused_in_the_log_once_its_host_is_denied() -> None:
    live, person = hosts(), Person()
    asking = EndpointPolicy("approve", origin="the test")
    with (
        upstream() as server,
        proxy(
            a_route(server.port, host="localhost", endpoints=asking),
            hosts=live,
            live_hosts=live,
            approver=person,
        ) as p,
        Client(p.port) as client,
    ):
        client.send(
            f"GET /alpha/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {PHANTOM}\r\n\r\n".encode()
        )
        person.asked.get(timeout=TIMEOUT_S)
        assert changed(p, live, deny=("localhost",)) == 1
        assert _is_cut(client)
        (event,) = p.recording.network
    assert (event["decision"], event["denial_category"]) == ("deny", "host_denied")
    assert server.requests == []


@pytest.mark.parametrize("standing", UNDER_WAY)
def test_the_outcome_of_a_cut_connection_names_the_denial(
    standing: Callable[[], AbstractContextManager[Standing]],
) -> None:
    with standing() as (p, live, host, _):
        changed(p, live, deny=(host,))
        wait_until(lambda: bool(p.recording.outcomes))
        (outcome,) = p.recording.outcomes
    assert (outcome["failure"], outcome["reason"]) == (
        "blocked",
        f"the rules changed: host {host} is in the deny list",
    )


def test_the_outcome_of_a_cut_connection_names_the_end_of_its_rule() -> None:
    live = hosts()
    with echoing() as port, proxy(hosts=live, live_hosts=live) as p:
        changed(p, live, allow=("new.test",))
        with connecting(p, "new.test", port) as client:
            assert client.head()[0] == 200
            changed(p, live)
            wait_until(lambda: bool(p.recording.outcomes))
    (outcome,) = p.recording.outcomes
    assert outcome["failure"] == "blocked"
    assert str(outcome["reason"]).startswith("the rules changed: ")


@pytest.mark.parametrize("standing", UNDER_WAY)
def test_a_denied_address_cuts_what_stands_to_it_by_a_name(
    standing: Callable[[], AbstractContextManager[Standing]],
) -> None:
    with standing() as (p, live, host, is_cut):
        assert changed(p, live, allow=(host,), deny=("127.0.0.2",)) == 0
        assert changed(p, live, allow=(host,), deny=("127.0.0.1",)) == 1
        assert standing in (streaming, dialling) or is_cut()  # what has no answer yet is refused
        wait_until(lambda: bool(p.recording.outcomes))
        (outcome,) = p.recording.outcomes
    # The host of one is that address itself.
    reasons = ("host 127.0.0.1 is in the deny list", "resolved IP 127.0.0.1 is in the deny list")
    assert outcome["failure"] == "blocked"
    assert outcome["reason"] in [f"the rules changed: {reason}" for reason in reasons]


def test_no_stream_begins_over_a_connection_to_an_address_that_was_denied() -> None:
    live = hosts()
    with h2_stage(options={"hosts": live, "live_hosts": live}) as (stage, server), stage.client() as client:
        assert client.get("/before", fields=[KEY]).status == 200
        assert changed(stage.proxy, live, deny=("127.0.0.2",)) == 0
        assert client.get("/before", fields=[KEY]).status == 200
        assert changed(stage.proxy, live, deny=("127.0.0.1",)) == 1
        assert client.get("/after", fields=[KEY]).status == 403
    assert len(server.connections) == 1
    assert [stream.path for stream in server.streams] == [b"/before"] * 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_kept_connection_to_an_upstream_ends_when_rules_change(host: str) -> None:
    live = hosts()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        route = a_route(listener.getsockname()[1], host=host)
        with proxy(route, hosts=live, live_hosts=live) as p, Client(p.port) as client:
            head = b"GET /alpha/ HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + PHANTOM.encode()
            client.send(head + b"\r\n\r\n")
            upstream, _ = listener.accept()
            with upstream:
                upstream.settimeout(TIMEOUT_S)
                for _ in range(2):  # over one connection, which is kept
                    upstream.recv(4096)
                    upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                    assert client.response().status == 200
                    client.send(head + b"\r\n\r\n")
                upstream.recv(4096)
                upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                assert client.response().status == 200
                changed(p, live, deny=(host,))
                assert _is_cut(upstream)
            client.send(head + b"\r\n\r\n")
            assert client.response().status == 403


class _Other:
    """The first to write in a turn, so that what others write waits for its end."""

    def send_held(self) -> None: ...


def _next_request_of_a_turn(p: ProxyUnderTest, head: bytes, then: Callable[[], object]) -> None:
    """Let the only client ask once more, and something else happen in the same turn of the loop."""
    context = p.running.serving().context
    (client,) = context.connections.members
    assert isinstance(client, ClientConnection)
    for _ in range(2):
        context.outbox.holds(_Other())
    client.data_received(head)
    then()


def test_a_request_that_waits_for_the_end_of_a_turn_is_not_sent_to_a_host_denied_in_it() -> None:
    live = hosts()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        route = a_route(listener.getsockname()[1])
        with proxy(route, hosts=live, live_hosts=live) as p, Client(p.port) as client:
            head = f"GET /alpha/ HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {PHANTOM}\r\n\r\n".encode()
            client.send(head)
            upstream, _ = listener.accept()
            with upstream:
                upstream.settimeout(TIMEOUT_S)
                upstream.recv(4096)
                upstream.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                assert client.response().status == 200

                def deny() -> None:
                    live.put([], [HostRule("127.0.0.1", None, "now")])
                    assert p.running.rules_changed() == 1

                p.on_loop(lambda: _next_request_of_a_turn(p, head, deny))
                assert _is_cut(upstream)
                wait_until(lambda: len(p.recording.outcomes) == 2)
    assert p.recording.outcomes[1]["failure"] == "blocked"


def test_a_stream_that_waits_for_the_end_of_a_turn_is_not_opened_to_a_host_denied_in_it() -> None:
    live = hosts()
    with h2_stage(options={"hosts": live, "live_hosts": live}) as (stage, server), stage.client() as client:
        assert client.get("/first", fields=[KEY]).status == 200
        client.request(path="/second", fields=[KEY], flush=False)
        asked = client.h2.data_to_send()

        def ask_and_deny() -> None:
            (connection,) = stage.connections()
            connection.data_received(asked)
            live.put([], [HostRule(HOST, None, "now")])
            assert stage.proxy.running.rules_changed() == 1

        stage.proxy.on_loop(ask_and_deny)
        wait_until(lambda: len(stage.proxy.recording.outcomes) == 2)
    assert stage.proxy.recording.outcomes[1]["failure"] == "blocked"
    assert [stream.path for stream in server.streams] == [b"/first"]


def _fails(reason: str) -> None:
    raise RuntimeError(reason)


def test_a_connection_that_cannot_be_judged_keeps_no_other_standing() -> None:
    live = hosts("one.test")
    with (
        echoing() as port,
        proxy(hosts=live, live_hosts=live) as p,
        connecting(p, "one.test", port) as one,
        connecting(p, "one.test", port) as two,
    ):
        assert (one.head()[0], two.head()[0]) == (200, 200)
        for end in p.running.serving().context.connections.members:
            assert isinstance(end, TimedEnd)
            end.on_cut = _fails
        assert changed(p, live, deny=("one.test",)) == 2
        assert _is_cut(one)
        assert _is_cut(two)
