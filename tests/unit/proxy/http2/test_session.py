"""A session takes in frames as they are, and does nothing else with them."""

from __future__ import annotations

import asyncio

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from hyperframe import frame

from nono.proxy.exchange.held import HeldBytes
from nono.proxy.http2.protocol.events import DataReceived, HeadReceived
from nono.proxy.http2.session import Session


class _Transport(asyncio.Transport):
    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: object) -> None: ...


class _Resetting:
    """A sender that gives its stream up when its last piece is sent."""

    def __init__(self, session: Session, stream_id: int) -> None:
        self._session = session
        self._stream_id = stream_id

    def body_sent(self, credit: int) -> None:
        self._session.reset(self._stream_id, 8)  # CANCEL

    def end_sent(self) -> None:
        pytest.fail("a stream that was reset has an end")


def _after_streams(count: int, ends: list[bytes]) -> Session:
    """Return a session that has served so many streams; `ends` are the pieces of each body."""
    client = H2Connection(H2Configuration())
    client.initiate_connection()
    fields = [(":method", "POST"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")]

    async def run() -> Session:
        session = Session(client_side=False, stream_window=1 << 16, held=HeldBytes(0), max_streams=8)
        session.start(_Transport())
        for stream_id in range(1, 2 * count, 2):
            client.send_headers(stream_id, fields)
            for at, piece in enumerate(ends, 1):
                client.send_data(stream_id, piece, end_stream=at == len(ends))
            for event in session.receive(client.data_to_send()):
                if isinstance(event, HeadReceived):
                    session.accept(stream_id, None, heard_all=event.ended)
                elif isinstance(event, DataReceived):
                    session.acknowledge(stream_id, len(event.piece))
            session.head(stream_id, [(b":status", b"200")], end=True)
        return session

    return asyncio.run(run())


@pytest.mark.parametrize("ends", [[b"abc"], [b"abc", b""], [b""]], ids=["data", "data and an end", "an end"])
def test_nothing_is_remembered_of_a_stream_that_is_over(ends: list[bytes]) -> None:
    session = _after_streams(10, ends)
    assert (len(session), len(session._owed), session._waiting) == (0, 0, {})


@pytest.mark.parametrize("trailers", [(), [(b"a", b"b")]], ids=["without trailers", "with trailers"])
def test_a_stream_that_its_sender_resets_with_the_last_piece_has_no_end(
    trailers: list[tuple[bytes, bytes]],
) -> None:
    client = H2Connection(H2Configuration())
    client.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")]
    client.send_headers(1, fields, end_stream=True)

    async def run() -> Session:
        session = Session(client_side=False, stream_window=1 << 16, held=HeldBytes(0), max_streams=8)
        session.start(_Transport())
        assert [*session.receive(client.data_to_send())]
        session.accept(1, _Resetting(session, 1), heard_all=True)
        session.head(1, [(b":status", b"200")])
        session.body(1, b"", 1)
        session.end(1, trailers)
        session.flush()
        return session

    assert len(asyncio.run(run())) == 0


def test_no_frame_that_arrives_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    described = list[bytes]()
    monkeypatch.setattr(frame, "_raw_data_repr", described.append)
    client = H2Connection(H2Configuration())
    client.initiate_connection()
    fields = [(":method", "POST"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")]
    client.send_headers(1, fields)
    client.send_data(1, bytes(16 * 1024), end_stream=True)

    async def run() -> list[int]:
        session = Session(client_side=False, stream_window=1 << 20, held=HeldBytes(0), max_streams=8)
        session.start(_Transport())
        events = [*session.receive(client.data_to_send())]
        return [len(event.piece) for event in events if isinstance(event, DataReceived)]

    assert asyncio.run(run()) == [16 * 1024]
    assert described == []


def test_few_of_the_requests_in_one_read_are_in_a_piece() -> None:
    """Each takes a tenth of a millisecond to begin, and others wait until the piece is taken."""
    client = H2Connection(H2Configuration())
    client.initiate_connection()
    fields = [(":method", "GET"), (":scheme", "https"), (":authority", "a.test"), (":path", "/")]

    async def run() -> list[int]:
        session = Session(client_side=False, stream_window=1 << 16, held=HeldBytes(0), max_streams=100)
        session.start(_Transport())
        assert [*session.receive(client.data_to_send())]
        for stream_id in range(1, 200, 2):
            client.send_headers(stream_id, fields, end_stream=True)
        rest, heads = client.data_to_send(), list[int]()
        while rest:
            piece, rest = rest[: session.next_size()], rest[session.next_size() :]
            heads.append(sum(isinstance(event, HeadReceived) for event in session.receive(piece)))
        return heads

    heads = asyncio.run(run())
    assert sum(heads) == 100
    assert max(heads) <= 40
