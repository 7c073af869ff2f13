"""What a request or a connection needs is freed at its end, and not left to the garbage collector.

Left to it, the objects of each request cost about as much again, and are cold when they are used again.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.schema.route_rules import Inject
from nono.secret import Secret
from support.proxy.thread import REAL_KEY, ProxyUnderTest, wait_until
from support.proxy.transports import KEY, WITH_CREDENTIAL, FiveTransports, Transport, five_transports

TIMES = 5
WATCHED = StaticCredential(injection_of(Inject(), Secret(REAL_KEY)), tripwire_for([Secret(REAL_KEY)]))
OF_A_REQUEST = {
    "Exchange", "Http2Exchange", "Http1Stream", "Relay", "Http2Relay", "Inspection", "BodyFilter", "LeakMask",
}  # fmt: skip
OF_A_CONNECTION = {"ClientConnection", "RequestReader", "Interception", "Deadline", "Incoming"}


@contextmanager
def without_collection() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def left(proxy: ProxyUnderTest, names: set[str]) -> Counter[str]:
    """Count the objects of these classes, between two turns of the proxy's loop."""
    with proxy.standing_still():
        kinds = [type(each) for each in gc.get_objects()]
    return Counter(each.__name__ for each in kinds if each.__name__ in names)


def left_by_requests(five: FiveTransports, transport: Transport) -> Counter[str]:
    """Count what requests have left while their connection is open."""
    if transport is Transport.HTTP2:
        with five.http2() as streams:
            for _ in range(TIMES):
                assert streams.answer(streams.request("/x", fields=[KEY])).status == 200
            return left(five.proxy, OF_A_REQUEST)
    with five.client(transport) as client:
        for _ in range(TIMES):
            client.send(five.head(transport) + b"\r\n")
            assert client.response().status == 200
        return left(five.proxy, OF_A_REQUEST)


@pytest.mark.parametrize("transport", WITH_CREDENTIAL)
def test_a_request_leaves_nothing_to_the_garbage_collector(transport: Transport) -> None:
    with five_transports(credential=WATCHED) as five, without_collection():
        before = left(five.proxy, OF_A_REQUEST)  # by other tests: a failed one keeps its objects
        assert not left_by_requests(five, transport) - before


@pytest.mark.parametrize("transport", [Transport.INSIDE, Transport.REVERSE])
def test_a_connection_leaves_nothing_to_the_garbage_collector(transport: Transport) -> None:
    with five_transports(credential=WATCHED) as five, without_collection():
        before = left(five.proxy, OF_A_CONNECTION)
        for _ in range(TIMES):
            assert five.ask(transport).status == 200
        wait_until(lambda: five.proxy.running.client_connections == 0)
        assert not left(five.proxy, OF_A_CONNECTION) - before
