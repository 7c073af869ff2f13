"""Bodies that a proxy holds have one limit together, and every way out of an exchange frees its share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from nono.credentials.values.credential import Injected, Outgoing
from nono.proxy.exchange import context
from nono.proxy.exchange.held import HeldBytes
from support.proxy.thread import PHANTOM, Client, FakeCredential, ProxyUnderTest, a_route, proxy, wait_until
from support.servers.http1 import HttpUpstream, Received, answer_ok, upstream

MEBIBYTE = 1 << 20
HOLDERS = 3  # of a mebibyte each, which is all there is
HEAD = (
    f"POST /alpha/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {PHANTOM}\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
).encode()
PIECE = b"%x\r\n%b\r\n" % (MEBIBYTE, bytes(MEBIBYTE))
END = b"0\r\n\r\n"


class Unfit(FakeCredential):
    """Cannot be written into any request."""

    def inject(self, request: Outgoing) -> Injected:
        raise OSError("no")


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[HeldBytes]:
    """Return the budget of the proxy that is started next, of which HOLDERS mebibytes are free."""
    budgets: list[HeldBytes] = []

    def made(_: int) -> HeldBytes:
        budgets.append(HeldBytes(HOLDERS * MEBIBYTE))
        return budgets[-1]

    monkeypatch.setattr(context, "HeldBytes", made)
    return budgets


@contextmanager
def holding(port: int, held: list[HeldBytes]) -> Iterator[list[Client]]:
    """Yield clients whose bodies take all there is, and go on."""
    with ExitStack() as stack:
        clients = [stack.enter_context(Client(port)) for _ in range(HOLDERS)]
        for client in clients:
            client.send(HEAD + PIECE)
        wait_until(lambda: bool(held) and held[0].free == 0)
        yield clients


@contextmanager
def started(
    handler: Callable[[Received], None] | None = None, credential: FakeCredential | None = None
) -> Iterator[tuple[HttpUpstream, ProxyUnderTest]]:
    signing = credential or FakeCredential(needs_body=True)
    with (
        upstream(handler or answer_ok) as server,
        proxy(a_route(server.port, credential=signing)) as running,
    ):
        yield server, running


def test_a_body_beyond_what_all_may_hold_is_refused(held: list[HeldBytes]) -> None:
    with started() as (server, running), holding(running.port, held) as clients:
        with Client(running.port) as late:
            late.send(HEAD + PIECE + END)
            refused = late.response()
        assert (refused.status, refused.value("connection")) == (503, "close")
        assert "use all the memory allowed" in json.loads(refused.body)["error"]
        [denied] = [event for event in running.recording.network if event["decision"] == "deny"]
        assert denied["status"] == 503
        clients[0].send(END)  # what was held before is sent as it was
        assert clients[0].response().status == 200
        with Client(running.port) as again:
            again.send(HEAD + PIECE + END)
            assert again.response().status == 200
    assert [len(request.body) for request in server.requests] == [MEBIBYTE, MEBIBYTE]


def finish(client: Client) -> None:
    client.send(END)
    assert client.response().status


def leave(client: Client) -> None:
    client.transport.close()


def garble(client: Client) -> None:
    client.send(b"zz\r\n")
    assert client.response().status == 400


@pytest.mark.parametrize(
    ("way", "handler", "credential"),
    [
        pytest.param(finish, None, None, id="it is answered"),
        pytest.param(leave, None, None, id="the client leaves"),
        pytest.param(garble, None, None, id="the rest is malformed"),
        pytest.param(finish, lambda request: request.connection.reset(), None, id="the upstream fails"),
        pytest.param(finish, None, Unfit(needs_body=True), id="the credential does not fit"),
    ],
)
def test_what_was_held_is_free_again(
    way: Callable[[Client], None],
    handler: Callable[[Received], None] | None,
    credential: FakeCredential | None,
    held: list[HeldBytes],
) -> None:
    with started(handler, credential) as (_, running), holding(running.port, held) as clients:
        for client in clients:
            way(client)
        wait_until(lambda: held[0].free == HOLDERS * MEBIBYTE)
