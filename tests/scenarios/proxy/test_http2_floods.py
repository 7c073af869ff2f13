"""An HTTP/2 peer that sends more than it means anything by is cut off, and nobody else notices."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Sequence
from contextlib import suppress

import h2.errors
import h2.settings
import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nono.proxy.http2.protocol.frames import MAX_FRAME_BYTES, Allowance, Frame, FrameError, FrameReader
from support.clients.http2 import Http2Client, frame
from support.proxy.http2_stage import KEY, Stage, h2_stage
from support.proxy.thread import TIMEOUT_S, wait_until
from support.servers.http1 import Gone
from support.servers.http2 import Stream

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
CALM, PROTOCOL, REFUSED, CANCEL = 11, 1, 7, 8
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    0,
    1,
    2,
    3,
    4,
    6,
    7,
    8,
    9,
)
END_STREAM, END_HEADERS, PADDED, ACK = 1, 4, 8, 1
WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


def request_block(stage: Stage) -> bytes:
    fields = [
        (":method", "GET"), (":scheme", "https"), (":authority", stage.authority), (":path", "/x"), KEY
    ]  # fmt: skip
    return bytes(hpack.Encoder().encode(fields))


def feed_until_closed(client: Http2Client, piece: bytes, most: int) -> None:
    """Send piece again and again; AssertionError when the other end still listens after most times."""
    for _ in range(most):
        try:
            client.send_raw(piece)
        except OSError:
            return
    client.wait_closed()


@pytest.mark.parametrize(
    "flood",
    [
        frame(PING, b"12345678"),
        frame(PING, b"12345678", flags=ACK),
        frame(SETTINGS),
        frame(SETTINGS, struct.pack(">HI", 4, 65535)),
        frame(PRIORITY, struct.pack(">IB", 0, 1), stream=3),
        frame(WINDOW_UPDATE, struct.pack(">I", 1)),
        frame(0x77, b"unknown"),
    ],
    ids=["ping", "ping ack", "settings", "settings with a value", "priority", "window update", "unknown"],
)
def test_a_flood_of_frames_that_carry_nothing_ends_the_connection(flood: bytes) -> None:
    with h2_stage() as (stage, _), stage.client() as client, stage.client() as other:
        assert client.get(fields=[KEY]).status == 200
        client.send_raw(flood * 1000)
        client.ping()  # as many as that are fine
        feed_until_closed(client, flood * 1000, 50)
        assert other.get(fields=[KEY]).status == 200
    assert client.goaway in (CALM, None)  # None: a reset overtook it
    assert stage.proxy.recording.network[-2]["status"] == 400


def test_settings_count_by_their_number() -> None:
    """A frame of 2,700 takes 2 ms."""
    settings = struct.pack(">HI", 4, 65535)
    with h2_stage() as (stage, _), stage.client() as client, stage.client() as other:
        client.send_raw(frame(SETTINGS, settings * 2700) * 10)
        client.ping()  # as many as that are fine
        client.send_raw(frame(SETTINGS, settings * 20) * 100)
        client.ping()  # and ten times as many frames of what servers send
        feed_until_closed(client, frame(SETTINGS, settings * 2700), 100)
        assert other.get(fields=[KEY]).status == 200
    assert client.goaway in (CALM, None)  # None: a reset overtook it


@pytest.mark.parametrize(
    ("payload", "flags"),
    [(b"", 0), (b"\0", PADDED), (b"\x07" + bytes(7), PADDED)],
    ids=["", "padded", "padding"],
)
def test_a_flood_of_empty_data_ends_the_connection(payload: bytes, flags: int) -> None:
    def handler(stream: Stream) -> None:
        with pytest.raises(Gone):
            stream.read_body()

    with h2_stage(handler) as (stage, _), stage.client() as client:
        number = client.request(method="POST", fields=[KEY], end=False)
        feed_until_closed(client, frame(DATA, payload, flags=flags, stream=number) * 1000, 50)


def test_a_flood_of_heads_on_a_stream_that_was_reset_ends_the_connection() -> None:
    with h2_stage() as (stage, _), stage.client() as client, stage.client() as other:
        number = client.request(method="POST", fields=[KEY], end=False)
        client.send_raw(frame(RST_STREAM, struct.pack(">I", CANCEL), stream=number))
        late = frame(HEADERS, b"\x00\x03x-a\x01b", flags=END_HEADERS | END_STREAM, stream=number)
        client.send_raw(late * 100)
        client.ping()  # as many as that may have crossed a reset
        feed_until_closed(client, late * 1000, 50)
        assert other.get(fields=[KEY]).status == 200


def test_rapid_resets_end_the_connection() -> None:
    with h2_stage() as (stage, server), stage.client() as client, stage.client() as other:
        block = request_block(stage)
        count = 0
        for batch in range(100):
            pieces = []
            for _ in range(50):
                number = 2 * count + 1
                count += 1
                pieces.append(frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=number))
                pieces.append(frame(RST_STREAM, struct.pack(">I", CANCEL), stream=number))
            try:
                client.send_raw(b"".join(pieces))
            except OSError:
                break
            del batch
        client.wait_closed()
        assert other.get(fields=[KEY]).status == 200
    assert client.goaway in (CALM, None)
    assert len(server.streams) < 600


@pytest.mark.parametrize("name", ["x-end", "X-End"], ids=["well-formed", "malformed"])
def test_streams_the_proxy_must_break_off_count_as_resets(name: str) -> None:
    """CVE-2025-8671: the same, by way of what the other end cannot but end a stream for.

    The client reads each answer, so that neither the open streams nor what is unread ends the connection.
    """
    answered = 0
    with h2_stage() as (stage, _), stage.client() as client, stage.client() as other:
        with suppress(AssertionError, OSError):  # the end of the connection
            for _ in range(1500):
                number = client.request(method="POST", fields=[KEY], end=False, flush=False)
                client.h2.send_headers(number, [(name, "1")], end_stream=True)
                client.flush()
                client.answer(number)
                answered += 1
        assert other.get(fields=[KEY]).status == 200
    assert (answered < 1500) is (name == "X-End")


def test_only_streams_beyond_the_limit_are_refused() -> None:
    held: list[Stream] = []

    def handler(stream: Stream) -> None:
        if len(held) < 128:
            held.append(stream)
        else:
            stream.respond()

    with h2_stage(handler) as (stage, server), stage.client() as client:
        # The library has not read the proxy's settings yet, so it does not hold back.
        numbers = [client.request(fields=[KEY]) for _ in range(140)]
        refused = numbers[128:]
        client.wait_until(lambda: all(client.answers[number].reset == REFUSED for number in refused))
        assert client.h2.remote_settings.max_concurrent_streams == 128
        server.received(128)
        wait_until(lambda: len(held) == 128)
        for stream in held:
            stream.respond()
        assert {client.answer(number).status for number in numbers[:128]} == {200}
    assert len(server.streams) == 128


@pytest.mark.parametrize(("count", "ends"), [(128 + 100, False), (128 + 1500, True)])
def test_streams_beyond_the_limit_count_as_resets(count: int, ends: bool) -> None:
    """Five hundred are allowed, and 50 more each second, of which a slow machine takes several."""
    held: list[Stream] = []  # which are never answered
    with h2_stage(held.append) as (stage, server), stage.client() as client:
        # The library has not read the proxy's settings yet, so it does not hold back.
        numbers = [client.request(fields=[KEY], flush=False) for _ in range(count)]
        with suppress(OSError):  # the end of the connection
            client.flush()
        if ends:
            client.wait_closed()
            assert client.goaway in (CALM, None)
        else:
            client.wait_until(
                lambda: all(client.answers[number].reset == REFUSED for number in numbers[128:])
            )
            client.ping()
    assert len(server.streams) <= 128


def test_ten_thousand_streams_at_once_are_no_trouble_to_another_client() -> None:
    with h2_stage() as (stage, _), stage.client() as client, stage.client() as other:
        block = request_block(stage)
        for begin in range(0, 10_000, 100):
            try:
                client.send_raw(
                    b"".join(
                        frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=2 * (begin + index) + 1)
                        for index in range(100)
                    )
                )
            except OSError:
                break
        assert other.get(fields=[KEY]).status == 200


@pytest.mark.parametrize(
    "payloads",
    [
        [b"x" * 16384] * 5,  # more than 64 KiB
        [b""] * 100,  # more than 64 frames
    ],
    ids=["bytes", "frames"],
)
def test_a_head_that_never_ends_ends_the_connection(payloads: Sequence[bytes]) -> None:
    with h2_stage() as (stage, server), stage.client() as client:
        client.ping()  # has SETTINGS acknowledged, which would interrupt the head
        pieces = [frame(HEADERS, request_block(stage), stream=1)]
        pieces += [frame(CONTINUATION, payload, stream=1) for payload in payloads]
        feed_until_closed(client, b"".join(pieces), 1)
    assert client.goaway in (CALM, None)
    assert server.streams == []


def test_a_head_that_is_slow_to_end_ends_the_connection() -> None:
    with h2_stage() as (stage, server), stage.client() as client:
        assert client.get(fields=[KEY]).status == 200
        block = request_block(stage)
        client.send_raw(frame(HEADERS, block[:10], stream=3))
        stage.proxy.let_pass(29)
        client.send_raw(frame(CONTINUATION, block[10:], stream=3))  # which is no reason to wait longer
        stage.proxy.let_pass(2)
        client.wait_closed()
    assert client.goaway == CALM
    assert len(server.streams) == 1


def test_a_head_that_is_large_only_when_it_is_decoded_ends_the_connection() -> None:
    with h2_stage() as (stage, server), stage.client() as client:
        encoder = hpack.Encoder()
        block = bytes(encoder.encode([("x-large", "a" * 4000)]))
        block += bytes(encoder.encode([("x-large", "a" * 4000)])) * 100  # one byte each
        assert len(block) < 4000
        feed_until_closed(client, frame(HEADERS, block, flags=END_HEADERS | END_STREAM, stream=1), 1)
    assert server.streams == []


@pytest.mark.parametrize(
    "garbage",
    [
        frame(DATA, b"x" * 16384, stream=1)[:9].replace(
            b"\x00\x40\x00", b"\xff\xff\xff", 1
        ),  # only the header
        frame(PING, b"123"),
        frame(SETTINGS, b"12345"),
        frame(DATA, b"x"),  # on stream 0
        frame(HEADERS, b"\xff\xff\xff\xff\xff", flags=END_HEADERS, stream=1),
        frame(HEADERS, b"", flags=END_HEADERS, stream=2),  # ours to use
        frame(GOAWAY, b"1"),
        frame(5, struct.pack(">I", 2), flags=END_HEADERS, stream=1),  # PUSH_PROMISE
        frame(CONTINUATION, b"", stream=1),
        frame(WINDOW_UPDATE, struct.pack(">I", 2**31 - 1)) * 2,
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 4,
    ],
)
def test_what_is_not_http2_ends_the_connection_at_once(garbage: bytes) -> None:
    with h2_stage() as (stage, _), stage.client() as client, stage.client() as other:
        client.ping()
        client.send_raw(garbage)
        client.wait_closed()
        assert other.get(fields=[KEY]).status == 200


@pytest.mark.parametrize("has_more_to_send", [False, True])
def test_only_the_sender_is_told_that_it_speaks_no_http2(
    has_more_to_send: bool, caplog: pytest.LogCaptureFixture
) -> None:
    def handler(stream: Stream) -> None:
        stream.respond(body=b"x" * 100)

    with h2_stage(handler) as (stage, _), stage.client(settings={WINDOW: 10}, acknowledges=False) as client:
        number = client.request(fields=[KEY])
        client.wait_until(lambda: len(client.answers[number].body) == 10)
        more = frame(WINDOW_UPDATE, struct.pack(">I", 100), stream=number)
        client.send_raw((more if has_more_to_send else b"") + frame(DATA, b"x", stream=0))
        client.wait_closed()
    assert client.goaway == PROTOCOL
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_without_the_preface_nothing_is_read() -> None:
    with h2_stage() as (stage, server), stage.client(starts=False) as client:
        client.send_raw(b"GET /x HTTP/1.1\r\nHost: " + stage.authority.encode() + b"\r\n\r\n")
        client.wait_closed()
    assert server.streams == []


def test_a_window_that_overflows_ends_its_stream_only() -> None:
    def handler(stream: Stream) -> None:
        if stream.path == b"/v1/x":
            stream.head()
            stream.reset_by_client.wait(TIMEOUT_S)
        else:
            stream.respond()

    with h2_stage(handler) as (stage, server), stage.client() as client:
        number = client.request(fields=[KEY])
        client.wait_until(lambda: client.answers[number].status == 200)
        client.send_raw(frame(WINDOW_UPDATE, struct.pack(">I", 2**31 - 1), stream=number))
        assert client.answer(number).reset == h2.errors.ErrorCodes.FLOW_CONTROL_ERROR
        assert server.streams[0].reset_by_client.wait(TIMEOUT_S)
        assert client.get("/after", fields=[KEY]).status == 200


def test_more_data_than_the_window_allows_ends_the_connection() -> None:
    def handler(stream: Stream) -> None:
        stream.reset_by_client.wait(TIMEOUT_S)

    settings = {h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 1}
    with h2_stage(handler, settings=settings) as (stage, _), stage.client() as client:
        number = client.request(method="POST", fields=[KEY], end=False)
        feed_until_closed(client, frame(DATA, bytes(16384), stream=number), 40)


def test_a_peer_cannot_make_the_compression_table_large() -> None:
    with h2_stage() as (stage, _), stage.client() as client:
        client.send_raw(frame(SETTINGS, struct.pack(">HI", 1, 2**32 - 1)))
        client.ping()
        table = stage.connections()[0].session.table_bytes
    assert table == 4096


# -- the gate by itself


def test_an_allowance_is_spent_only_as_far_as_refilled_or_earned() -> None:
    allowance = Allowance(2, 10)
    allowance.refill(100.0)
    allowance.spend("no")
    allowance.spend("no")
    with pytest.raises(FrameError, match="no"):
        allowance.spend("no")
    allowance.refill(101.0)
    allowance.spend("no")
    allowance.spend("no")
    allowance.earn(100)
    for _ in range(2):
        allowance.spend("no")
    with pytest.raises(FrameError):
        allowance.spend("no")


_FRAMES = st.lists(
    st.tuples(
        st.sampled_from([DATA, HEADERS, PING, SETTINGS, GOAWAY, 0x77]), st.binary(min_size=8, max_size=40)
    ),
    max_size=20,
)


@given(frames=_FRAMES, cuts=st.lists(st.integers(0, 1000), max_size=10), preface=st.booleans())
def test_every_frame_is_read_whole_and_in_order(
    frames: list[tuple[int, bytes]], cuts: list[int], preface: bool
) -> None:
    begin = PREFACE if preface else b""
    whole = begin + b"".join(frame(kind, payload, flags=END_HEADERS) for kind, payload in frames)
    reader = FrameReader(preface=preface)
    edges = [0, *sorted(cut for cut in cuts if cut < len(whole)), len(whole)]
    read = list[Frame]()
    for left, right in itertools.pairwise(edges):
        read += reader.feed(whole[left:right], 1.0)
    assert read == [Frame(kind, END_HEADERS, 0, payload) for kind, payload in frames]
    assert reader.left == 0


@pytest.mark.parametrize("whole", [False, True])
def test_a_head_has_begun_with_its_first_frame_and_ends_with_its_last(whole: bool) -> None:
    """The time limit for heads runs in between, also while the only frame of a head is incomplete."""
    reader = FrameReader(preface=False)
    octets = frame(HEADERS, b"abc", flags=END_HEADERS, stream=1)
    reader.feed(octets if whole else octets[:-1], 0.0)
    assert reader.in_head is not whole
    reader.feed(frame(PING, bytes(8)) if whole else octets[-1:], 0.0)
    assert not reader.in_head


@pytest.mark.parametrize("count", [64, 65])
def test_a_head_comes_in_64_frames_at_most(count: int) -> None:
    reader = FrameReader(preface=False)
    for _ in range(3):  # of each head anew
        pieces = frame(HEADERS, b"x", stream=1) + frame(CONTINUATION, stream=1) * (count - 1)
        if count > 64:
            with pytest.raises(FrameError, match="frames"):
                reader.feed(pieces, 0.0)
        else:
            assert len(reader.feed(pieces, 0.0)) == count


@pytest.mark.parametrize("length", [MAX_FRAME_BYTES, MAX_FRAME_BYTES + 1])
def test_the_length_of_a_frame_is_judged_by_its_header(length: int) -> None:
    header = struct.pack(">I", length)[1:] + bytes((DATA, 0, 0, 0, 0, 1))
    reader = FrameReader(preface=False)
    if length > MAX_FRAME_BYTES:
        with pytest.raises(FrameError, match="larger"):
            reader.feed(header, 0.0)
    else:
        assert (reader.feed(header, 0.0), reader.left) == ([], length)


@pytest.mark.parametrize("sent", [PREFACE[:-1] + b"x", b"P" + b"x" * 23, b"GET / HTTP/1.1\r\n\r\n"])
def test_a_preface_that_is_another_is_refused_at_its_first_wrong_byte(sent: bytes) -> None:
    wrong = next(at for at, (mine, theirs) in enumerate(zip(PREFACE, sent, strict=False)) if mine != theirs)
    reader = FrameReader(preface=True)
    assert reader.feed(sent[:wrong], 0.0) == []
    with pytest.raises(FrameError, match="preface"):
        reader.feed(sent[wrong : wrong + 1], 0.0)


def test_what_accompanies_data_is_no_flood() -> None:
    reader = FrameReader(preface=False)
    for _ in range(5000):
        reader.feed(frame(DATA, b"x", stream=1) + frame(WINDOW_UPDATE, bytes(4)) * 3, 0.0)
    with pytest.raises(FrameError):
        reader.feed(frame(WINDOW_UPDATE, bytes(4)) * 2001, 0.0)
