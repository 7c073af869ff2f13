"""A response is over for its client no sooner than for the proxy, however long its body waits for turns."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from typing import cast

import pytest

from nono.credentials.values.credential import Outgoing
from nono.credentials.values.escapes import Span
from nono.credentials.values.tripwire import Tripwire
from nono.proxy.exchange.client_side import ClientSide
from nono.proxy.exchange.held import HeldBytes
from nono.proxy.exchange.inspection import Inspection
from nono.proxy.exchange.relay import Relay
from nono.proxy.http.message import Header, request_head, response_head
from nono.proxy.transport.turns import Turns, Work
from nono.proxy.usage.meter import Usage
from nono.proxy.verdict.verdict import Entry, Forward
from support.proxy.observed import over_http1
from support.proxy.thread import Hosts, a_route

WHOLE = json.dumps({"model": "m", "usage": {"input_tokens": 7, "output_tokens": 10}}).encode()
LENGTH = (b"Content-Length", b"%d" % len(WHOLE))
CHUNKED = (b"Transfer-Encoding", b"chunked")
KEY = "Zk3vQ9xTb7LmW2cRf8NdYs5HjA1"


def unfit(reason: str, failure: str) -> None:
    pytest.fail(f"{failure}: {reason}")


class StepByStep(Turns):
    """Lets a body take one step in each turn."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Work] = []

    def start(self, work: Work) -> bool:
        return work(0)

    def add(self, work: Work) -> None:
        self.kept.append(work)


class Client:
    """A connection that keeps what it is sent."""

    def __init__(self) -> None:
        self.received = b""
        self._queued = b""

    def send(self, piece: bytes) -> None:
        self._queued += piece

    def flush(self) -> None:
        self.received += self._queued
        self._queued = b""


@pytest.mark.parametrize(("framing", "end"), [(LENGTH, WHOLE), (CHUNKED, b"\r\n0\r\n\r\n")])
@pytest.mark.parametrize("size", [len(WHOLE), 10], ids=["at once", "in pieces"])
def test_a_client_has_the_end_of_a_response_only_when_its_usage_is_counted(
    framing: Header, end: bytes, size: int
) -> None:
    """It may leave as soon as it has the end, and a response that was left before counts as one cut off."""
    counted: list[Usage] = []
    outgoing = Outgoing(b"POST", b"/v1/messages", b"api.test", [])
    route = a_route(1)
    entry = Entry("reverse", "alpha", 1, "POST")
    verdict = Forward(entry, route.origin, outgoing, Hosts(), route, provider="anthropic")
    inspection = Inspection(verdict, None, print, counted.append, HeldBytes(1 << 24))
    inspection.arm()
    client, turns = Client(), StepByStep()
    request = request_head(b"POST", b"/", "1.1", [(b"Host", b"api.test")])
    relay = Relay(cast(ClientSide, client), request, inspection, turns, lambda: None, unfit, lambda: None)
    head = response_head(200, b"OK", "1.1", [framing], to_method=b"POST")
    relay.start(head, closes=False, credentialed=True)
    for at in range(0, len(WHOLE), size):
        relay.body(WHOLE[at : at + size])
        relay.flush()
    relay.end(())
    steps = 0
    while turns.kept:
        assert not client.received.endswith(end)
        assert counted == []
        steps += 1
        if not turns.kept[0](0):
            turns.kept.pop(0)
    assert steps > 1
    assert client.received.endswith(end)
    assert counted == [Usage("m", 7, 10)]


@pytest.mark.parametrize("coded", [[(b"Content-Encoding", b"gzip")], []], ids=["gzip", "as it is"])
def test_a_coded_body_is_searched_for_runs_once_it_is_decoded_and_not_before(
    monkeypatch: pytest.MonkeyPatch, coded: list[Header]
) -> None:
    body = random.Random(1).randbytes(20_000)
    sent = gzip.compress(body) if coded else body
    looked_at = list[bytes]()
    long_runs = Tripwire.long_runs

    def noted(tripwire: Tripwire, text: bytes) -> Sequence[Span]:
        looked_at.append(text)
        return long_runs(tripwire, text)

    monkeypatch.setattr(Tripwire, "long_runs", noted)
    over_http1(KEY, [CHUNKED, *coded], [sent])
    long = [each for each in looked_at if len(each) > 4096]
    assert long
    assert all(each in body for each in long)


@pytest.mark.parametrize("at", [100, 60_000, 65_536 - 10, 150_000, 199_000])
@pytest.mark.parametrize("other", [b"", b"%41" * 20_000], ids=["binary", "full of escapes"])
@pytest.mark.parametrize("coded", [[(b"Content-Encoding", b"gzip")], []], ids=["gzip", "as it is"])
def test_a_secret_is_found_at_any_place_of_a_body_that_is_searched_in_steps(
    coded: list[Header], other: bytes, at: int
) -> None:
    body = random.Random(1).randbytes(200_000)[: -len(other) or None] + other
    for secret, is_found in ((KEY, True), (KEY[:-1] + "0", False)):
        held = b"%b %b %b" % (body[:at], KEY.encode(), body[at:])
        sent = gzip.compress(held, 1) if coded else held
        observed = over_http1(secret, [CHUNKED, *coded], [sent])
        assert ("leak" in observed) is is_found


@pytest.mark.parametrize("coded", [[(b"Content-Encoding", b"gzip")], []], ids=["gzip", "as it is"])
@pytest.mark.parametrize(("unit", "is_cut"), [(b"%41", True), (b"%41 ", False)], ids=["in a run", "apart"])
def test_a_body_full_of_escapes_is_passed_on_in_small_steps_where_these_are_searched(
    coded: list[Header], unit: bytes, is_cut: bool
) -> None:
    """To undo the escapes of 64 KiB at once would hold the loop."""
    body = unit * (60_000 // len(unit)) + b" "
    observed = over_http1(KEY, [CHUNKED, *coded], [gzip.compress(body) if coded else body])
    sizes = [len(each) for each in observed if isinstance(each, bytes)]
    assert (max(sizes) < 32 * 1024) is is_cut
