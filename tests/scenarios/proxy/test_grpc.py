"""gRPC of the real library, through an intercepted CONNECT, with the credential written into every call."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc  # type: ignore[import-untyped]  # it ships none
import pytest

from nono.credentials.static import StaticCredential
from nono.credentials.values.injection import injection_of
from nono.credentials.values.tripwire import tripwire_for
from nono.policy.endpoints.policy import EndpointPolicy, EndpointRule
from nono.policy.schema.route_rules import Inject
from nono.secret import Secret
from support.proxy.grpc_peers import KEY, SERVICE, EchoServer, channel, echo_server
from support.proxy.http2_stage import a_route_to, routes_stage
from support.proxy.thread import PHANTOM, REAL_KEY, TIMEOUT_S


@contextmanager
def calls(
    tmp_path: Path, endpoints: EndpointPolicy | None = None, credential: StaticCredential | None = None
) -> Iterator[tuple[grpc.Channel, EchoServer]]:
    ca_file = str(tmp_path / "grpc-ca.pem")
    rules: dict[str, object] = {} if endpoints is None else {"endpoints": endpoints}
    with echo_server(ca_file) as server:
        route = a_route_to(server.port, ca_file, credential, **rules)
        with routes_stage(server.port, ca_file, [route]) as stage, channel(stage) as opened:
            yield opened, server


def test_every_kind_of_call_passes_with_the_credential(tmp_path: Path) -> None:
    with calls(tmp_path) as (opened, server):
        unary = opened.unary_unary(SERVICE + "Unary")
        answer, call = unary.with_call(b"hello", metadata=KEY, timeout=TIMEOUT_S)
        assert answer == b"hello"
        assert ("x-size", "5") in [(key, value) for key, value in call.trailing_metadata()]
        assert call.code() is grpc.StatusCode.OK
        repeats = opened.unary_stream(SERVICE + "Repeats")(b"5 1000", metadata=KEY, timeout=TIMEOUT_S)
        assert list(repeats) == [bytes(1000)] * 5
        counts = opened.stream_unary(SERVICE + "Counts")
        assert counts(iter([b"12", b"345"]), metadata=KEY, timeout=TIMEOUT_S) == b"5"
    assert len(server.metadata) == 3
    for metadata in server.metadata:
        assert metadata["authorization"] == f"Bearer {REAL_KEY}"
        assert PHANTOM not in repr(metadata)


def test_no_message_brings_the_key_back(tmp_path: Path) -> None:
    """Messages are compressed one by one for a client that takes that, or by a server that does not ask."""
    one = StaticCredential(injection_of(Inject(), Secret(REAL_KEY)), tripwire_for([Secret(REAL_KEY)]))
    with calls(tmp_path, credential=one) as (opened, server):
        with pytest.raises(grpc.RpcError) as raised:
            opened.unary_unary(SERVICE + "Tells")(b"", metadata=KEY, timeout=TIMEOUT_S)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "compressed messages" in raised.value.details()
        assert opened.unary_unary(SERVICE + "Unary")(b"on", metadata=KEY, timeout=TIMEOUT_S) == b"on"
    assert server.metadata[0]["authorization"] == f"Bearer {REAL_KEY}"


def test_both_sides_of_a_call_take_turns(tmp_path: Path) -> None:
    with calls(tmp_path) as (opened, _):
        said: queue.Queue[bytes | None] = queue.Queue()
        answers = opened.stream_stream(SERVICE + "Talks")(
            iter(said.get, None), metadata=KEY, timeout=TIMEOUT_S
        )
        for index in range(10):
            said.put(b"%d" % index)
            assert next(answers) == b"<%d>" % index
        said.put(None)
        assert list(answers) == []
        assert answers.code() is grpc.StatusCode.OK


def test_a_client_still_sending_receives_an_early_status(tmp_path: Path) -> None:
    with calls(tmp_path) as (opened, _):
        said: queue.Queue[bytes | None] = queue.Queue()
        answers = opened.stream_stream(SERVICE + "Talks")(
            iter(said.get, None), metadata=KEY, timeout=TIMEOUT_S
        )
        said.put(b"one")
        assert next(answers) == b"<one>"
        said.put(b"stop")
        with pytest.raises(grpc.RpcError) as raised:
            next(answers)
        said.put(None)
    assert (raised.value.code(), raised.value.details()) == (grpc.StatusCode.OUT_OF_RANGE, "stopped")


def test_an_error_status_keeps_its_code_and_its_words(tmp_path: Path) -> None:
    with calls(tmp_path) as (opened, _):
        fails = opened.unary_unary(SERVICE + "Fails")
        with pytest.raises(grpc.RpcError) as raised:
            fails("nicht möglich: 100 %".encode(), metadata=KEY, timeout=TIMEOUT_S)
        assert raised.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert raised.value.details() == "nicht möglich: 100 %"
        with pytest.raises(grpc.RpcError) as raised:
            opened.unary_unary(SERVICE + "Missing")(b"", metadata=KEY, timeout=TIMEOUT_S)
        assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_deadline_cancels_the_call_on_the_server(tmp_path: Path) -> None:
    with calls(tmp_path) as (opened, server):
        with pytest.raises(grpc.RpcError) as raised:
            opened.unary_unary(SERVICE + "Sleeps")(b"", metadata=KEY, timeout=2)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert server.cancelled.wait(TIMEOUT_S)
        assert opened.unary_unary(SERVICE + "Unary")(b"on", metadata=KEY, timeout=TIMEOUT_S) == b"on"


def test_large_messages_arrive_whole_both_ways(tmp_path: Path) -> None:
    size = 3_000_000
    with calls(tmp_path) as (opened, _):
        answer = opened.unary_unary(SERVICE + "Unary")(bytes(size), metadata=KEY, timeout=TIMEOUT_S)
        assert answer == bytes(size)
        total = 0
        for piece in opened.unary_stream(SERVICE + "Repeats")(b"8 2000000", metadata=KEY, timeout=TIMEOUT_S):
            total += len(piece)
        assert total == 16_000_000
        sent = (bytes(1_000_000) for _ in range(8))
        counts = opened.stream_unary(SERVICE + "Counts")
        assert counts(sent, metadata=KEY, timeout=TIMEOUT_S) == b"8000000"


def test_many_calls_at_once_share_one_connection(tmp_path: Path) -> None:
    with calls(tmp_path) as (opened, server):
        unary = opened.unary_unary(SERVICE + "Unary")
        futures = [unary.future(b"%d" % index, metadata=KEY, timeout=TIMEOUT_S) for index in range(300)]
        assert [future.result() for future in futures] == [b"%d" % index for index in range(300)]
    assert len(server.metadata) == 300


def test_the_rules_of_the_route_hold_for_each_method(tmp_path: Path) -> None:
    rules = EndpointPolicy("deny", allow=(EndpointRule("POST", SERVICE + "Unary"),), origin="the test")
    with calls(tmp_path, rules) as (opened, server):
        assert opened.unary_unary(SERVICE + "Unary")(b"x", metadata=KEY, timeout=TIMEOUT_S) == b"x"
        with pytest.raises(grpc.RpcError) as raised:
            opened.stream_unary(SERVICE + "Counts")(iter([b"x"]), metadata=KEY, timeout=TIMEOUT_S)
        assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
        refused = f"POST {SERVICE}Counts is not allowed on api.test"
        assert raised.value.details() == f"{refused} (--allow-endpoint alpha:POST:{SERVICE}Counts)"
        with pytest.raises(grpc.RpcError) as raised:
            opened.unary_unary(SERVICE + "Unary")(
                b"x", metadata=[("authorization", "Bearer x")], timeout=TIMEOUT_S
            )
        assert raised.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert len(server.metadata) == 1


def test_a_refused_call_learns_why_although_it_is_still_sending(tmp_path: Path) -> None:
    with calls(tmp_path, EndpointPolicy("deny", origin="the test")) as (opened, server):
        for _ in range(20):
            said: queue.Queue[bytes | None] = queue.Queue()
            for _ in range(5):
                said.put(bytes(10_000))
            counts = opened.stream_unary(SERVICE + "Counts")
            call = counts.future(iter(said.get, None), metadata=KEY, timeout=TIMEOUT_S)
            assert call.code() is grpc.StatusCode.PERMISSION_DENIED
            said.put(None)
    assert server.metadata == []
