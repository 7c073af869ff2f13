"""Record what a client observes of an answer: every write, in order and as cut, over HTTP/1.1 and HTTP/2.

Both paths to an upstream, the reverse and the intercepted one, pass their answers to these two relays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from math import inf
from typing import cast

from nono.audit.event import Failure
from nono.credentials.static import StaticCredential
from nono.credentials.values.credential import Outgoing
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.schema.route_rules import Inject
from nono.proxy.exchange.client_side import ClientSide
from nono.proxy.exchange.held import HeldBytes
from nono.proxy.exchange.inspection import Inspection
from nono.proxy.exchange.relay import Relay
from nono.proxy.http.message import Header, request_head, response_head
from nono.proxy.http2.relay import Http2Relay
from nono.proxy.http2.session import Session
from nono.proxy.transport.turns import Turns, Work
from nono.proxy.verdict.verdict import Entry, Forward
from nono.secret import Secret
from support.proxy.thread import Hosts, a_route

Observed = list[object]
Observe = Callable[[str, Sequence[Header], Sequence[bytes]], Observed]


@lru_cache(4)
def _credential(secret: str) -> StaticCredential:
    return StaticCredential(injection_of(Inject(), Secret(secret)), tripwire_for([Secret(secret)]))


def _inspection(secret: str, writes: Observed) -> Inspection:
    route = a_route(1, credential=_credential(secret))
    outgoing = Outgoing(b"GET", b"/", b"api.test", [])
    verdict = Forward(Entry("reverse", "alpha", 1, "GET"), route.origin, outgoing, Hosts(), route)
    inspection = Inspection(
        verdict, None, lambda where: writes.append("leak"), lambda usage: None, HeldBytes(1 << 24)
    )
    inspection.arm()
    return inspection


class _Client:
    def __init__(self, writes: Observed) -> None:
        self._writes = writes

    def send(self, piece: bytes) -> None:
        self._writes.append(piece)

    def flush(self) -> None:
        self._writes.append("flush")


class _Session:
    def __init__(self, writes: Observed) -> None:
        self._writes = writes

    def head(self, stream_id: int, fields: Iterable[Header], *, end: bool = False) -> None:
        self._writes.append((*fields, end))

    def body(self, stream_id: int, piece: bytes, credit: int) -> None:
        self._writes.append((piece, credit))

    def end(self, stream_id: int, trailers: Sequence[Header] = ()) -> None:
        self._writes.append(("end", *trailers))

    def pending(self, stream_id: int) -> int:
        return 0


class _AtOnce:
    """Take turns without a loop: everything is done at once."""

    def start(self, work: Work) -> bool:
        return work(inf)

    def is_spent(self) -> bool:
        return False


def _turns() -> Turns:
    return cast(Turns, _AtOnce())


def _unfit(writes: Observed) -> Callable[[str, Failure], None]:
    return lambda reason, failure: writes.append(reason)


def over_http1(secret: str, fields: Sequence[Header], pieces: Sequence[bytes]) -> Observed:
    """Return what the client receives of a body that arrives in these pieces, and after which of them."""
    writes = Observed()
    inspection = _inspection(secret, writes)
    request = request_head(b"GET", b"/", "1.1", [(b"Host", b"api.test")])
    client = cast(ClientSide, _Client(writes))
    relay = Relay(
        client, request, inspection, _turns(), lambda: writes.append("over"), _unfit(writes), lambda: None
    )
    relay.start(response_head(200, b"OK", "1.1", fields, to_method=b"GET"), closes=False, credentialed=True)
    for piece in pieces:
        relay.body(piece)
        relay.flush()
        writes.append("piece")
    relay.end(())
    return writes


def over_http2(secret: str, fields: Sequence[Header], pieces: Sequence[bytes]) -> Observed:
    """Return the frames of an answer, as over_http1 does, and what is credited to the upstream."""
    writes = Observed()
    session = cast(Session, _Session(writes))
    relay = Http2Relay(session, 1, _inspection(secret, writes), _turns(), _unfit(writes))
    head = response_head(200, b"", "1.1", fields, to_method=b"GET")
    relay.start(head, ended=False, credentialed=True)
    for piece in pieces:
        relay.body(piece)
        writes.append("piece")
    relay.finish(())
    return writes


BOTH: dict[str, Observe] = {"HTTP/1.1": over_http1, "HTTP/2": over_http2}
