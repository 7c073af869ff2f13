"""Rules that change judge each stream of an HTTP/2 client by itself."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pytest
from h2.exceptions import H2Error

from nono.policy.capability import Access
from nono.policy.hosts.host_filter import Allow, Refuse
from nono.policy.live.endpoints import LiveEndpoints
from nono.policy.live.rule import LiveRule
from nono.proxy.verdict.host_policy import HostPolicy
from support.proxy.http2_stage import KEY, h2_stage
from support.proxy.thread import TIMEOUT_S, FakeCredential, wait_until
from support.servers.http1 import Gone
from support.servers.http2 import Stream


@dataclass
class _Hosts:
    """Allow every host, and later only with a key."""

    only_keys: bool = False

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        return Refuse("only with a key", None, "the test", "") if self.only_keys else Allow(None, None)

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        return Allow(None, None)

    def allows_raw(self, host: str, port: int) -> bool:
        return False

    def for_route(self, host: str, port: int, origin: str) -> HostPolicy:
        return _Hosts()


@pytest.mark.parametrize("last", ["with a key", "without"])
def test_only_the_streams_that_are_refused_are_cut(last: str) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def handler(stream: Stream) -> None:
        begun.release()
        assert go_on.wait(TIMEOUT_S)
        with suppress(Gone, H2Error):
            stream.head(200, end=True)

    hosts = _Hosts()
    with (
        h2_stage(handler, credential=FakeCredential(), options={"hosts": hosts}) as (stage, _),
        stage.client() as client,
    ):
        fields = {"with a key": [KEY], "without": []}
        streams = {each: client.request(fields=fields[each]) for each in sorted(fields, key=last.__eq__)}
        for _ in streams:
            assert begun.acquire(timeout=TIMEOUT_S)

        def change() -> int:
            hosts.only_keys = True
            return stage.proxy.running.rules_changed()

        assert stage.proxy.on_loop(change) == 1
        assert client.answer(streams["without"]).reset is not None
        go_on.set()
        assert client.answer(streams["with a key"]).status == 200
        wait_until(lambda: len(stage.proxy.recording.outcomes) == 2)
    assert {each.get("failure") for each in stage.proxy.recording.outcomes} == {"blocked", None}


def test_only_the_stream_of_a_denied_endpoint_is_cut() -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()

    def handler(stream: Stream) -> None:
        begun.release()
        assert go_on.wait(TIMEOUT_S)
        with suppress(Gone, H2Error):
            stream.head(200, end=True)

    live = LiveEndpoints()
    with h2_stage(handler, options={"live_endpoints": live}) as (stage, _), stage.client() as client:
        denied, other = (client.request(path=path, fields=[KEY]) for path in ("/denied", "/other"))
        for _ in range(2):
            assert begun.acquire(timeout=TIMEOUT_S)

        def deny() -> int:
            live.put(
                [LiveRule("0", "deny", "endpoint", "alpha:GET:/denied", Access.READ, "a person", 0, None)]
            )
            return stage.proxy.running.rules_changed()

        assert stage.proxy.on_loop(deny) == 1
        assert client.answer(denied).reset is not None
        go_on.set()
        assert client.answer(other).status == 200
        wait_until(lambda: len(stage.proxy.recording.outcomes) == 2)
    assert {each.get("failure") for each in stage.proxy.recording.outcomes} == {"blocked", None}


def test_a_connection_outlives_its_only_stream_where_an_endpoint_is_denied() -> None:
    """A request that is on its way to the proxy would be lost with it."""
    begun, go_on = threading.Event(), threading.Event()

    def handler(stream: Stream) -> None:
        if stream.path == b"/denied":
            begun.set()
            assert go_on.wait(TIMEOUT_S)
        with suppress(Gone, H2Error):
            stream.head(200, end=True)

    live = LiveEndpoints()
    with h2_stage(handler, options={"live_endpoints": live}) as (stage, _), stage.client() as client:
        denied = client.request(path="/denied", fields=[KEY])
        assert begun.wait(TIMEOUT_S)

        def deny() -> int:
            live.put(
                [LiveRule("0", "deny", "endpoint", "alpha:GET:/denied", Access.READ, "a person", 0, None)]
            )
            return stage.proxy.running.rules_changed()

        assert stage.proxy.on_loop(deny) == 1
        go_on.set()
        assert client.answer(denied).reset is not None
        assert client.get("/other", fields=[KEY]).status == 200
