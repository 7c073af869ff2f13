"""What an end of HTTP/2 does not read is not kept for it without bound, whatever the other end sends."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

import hpack
import pytest

from support.clients.http2 import frame
from support.proxy.http2_stage import (
    HOST,
    KEY,
    Stage,
    a_route_to,
    authority,
    h1_stage,
    h2_stage,
    routes_stage,
)
from support.proxy.thread import TIMEOUT_S, wait_until
from support.servers.http1 import Gone, Received
from support.servers.http2 import Stream

HEADERS, SETTINGS, CONTINUATION = 1, 4, 9
END_HEADERS = 4
CANCEL = 8
MIB = 1 << 20
INTERIM = 16  # of one request
LARGE = [(f"x-{number}", f"{number}" * 8000) for number in range(6)]  # 48 KB in one head
NEVER_INDEXED = [(name, value, True) for name, value in LARGE]


def head_frames(block: bytes, stream: int) -> bytes:
    """Return a head, in frames that do not end the stream."""
    pieces = [block[at : at + 16384] for at in range(0, len(block), 16384)]
    kinds = [HEADERS, *[CONTINUATION] * (len(pieces) - 1)]
    ends = [*[0] * (len(pieces) - 1), END_HEADERS]
    return b"".join(
        frame(kind, piece, flags=flags, stream=stream)
        for kind, piece, flags in zip(kinds, pieces, ends, strict=True)
    )


@dataclass
class Deaf:
    """A server of HTTP/2 that sends its SETTINGS and reads nothing."""

    port: int
    greeted: threading.Event = field(default_factory=threading.Event)  # it has sent them
    ends: threading.Event = field(default_factory=threading.Event)


@contextmanager
def deaf_upstream(context: ssl.SSLContext) -> Iterator[Deaf]:
    context.set_alpn_protocols(["h2"])
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # accepted sockets inherit it
    deaf = Deaf(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def serve(accepted: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(accepted, server_side=True) as transport:
            transport.sendall(frame(SETTINGS))
            deaf.greeted.set()
            deaf.ends.wait()

    def accept() -> None:
        with suppress(OSError):
            while True:
                threads.append(threading.Thread(target=serve, args=(listener.accept()[0],)))
                threads[-1].start()

    accepting = threading.Thread(target=accept)
    accepting.start()
    try:
        yield deaf
    finally:
        deaf.ends.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        accepting.join()
        for each in threads:
            each.join()


def test_an_upstream_that_reads_nothing_is_not_kept_the_heads_of_streams_that_were_reset(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The client resets no more streams than it may, and each has left a head behind."""
    with authority() as ca, deaf_upstream(ca.server_context(HOST)) as deaf:
        route = a_route_to(deaf.port, ca.ca_file)
        with routes_stage(deaf.port, ca.ca_file, [route]) as stage, stage.client() as client:
            # Huffman codes take this client long.
            plain = partial(client.h2.encoder.encode, huffman=False)
            monkeypatch.setattr(client.h2.encoder, "encode", plain)
            first = client.request(fields=[KEY, *LARGE])
            assert deaf.greeted.wait(TIMEOUT_S)
            for _ in range(400):
                number = client.request(fields=[KEY, *LARGE])
                client.ping()  # so that the head has gone on
                client.h2.reset_stream(number, CANCEL)
                client.flush()
            assert sum(held(stage)) < 8 * MIB
            answer = client.answer(first)  # the stream that was not reset has lost its connection
            assert (answer.status, b"does not read" in answer.body) == (502, True)


def held(stage: Stage) -> list[int]:
    """Return how many bytes wait for the other end of each connection of the proxy."""

    def look() -> list[int]:
        context = stage.proxy.running.serving().context
        members = [*context.connections.members, *context.pool.connections.members]
        transports = [getattr(each, "_transport", None) for each in members]
        return [each.get_write_buffer_size() for each in transports if each is not None]

    return stage.proxy.on_loop(look)


@pytest.mark.parametrize("version", ["HTTP/2", "HTTP/1.1"])
def test_interim_responses_are_not_kept_for_a_client_that_does_not_read(version: str) -> None:
    """The client has no more streams than it may, and each brings as many interim responses as it may."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in LARGE)
    early = f"HTTP/1.1 103 Early Hints\r\n{lines}\r\n".encode()
    block = bytes(hpack.Encoder().encode([(":status", "103"), *NEVER_INDEXED], huffman=False))
    ended = threading.Semaphore(0)

    def over_http2(stream: Stream) -> None:
        with suppress(Gone, OSError):
            for _ in range(INTERIM):
                stream.connection.send_raw(head_frames(block, stream.number))
        ended.release()

    def over_http1(request: Received) -> None:
        with suppress(Gone, OSError):
            for _ in range(INTERIM):
                request.connection.send(early)
        ended.release()

    made = h2_stage(over_http2) if version == "HTTP/2" else h1_stage(over_http1)
    with made as (stage, _), stage.client() as client, stage.client() as other:
        for _ in range(32):
            client.request(fields=[KEY])
        for _ in range(32):
            assert ended.acquire(timeout=TIMEOUT_S)
        wait_until(lambda: len(stage.proxy.recording.outcomes) > 16)
        assert other.get(fields=[("authorization", "made-up")]).status == 401
        assert sum(held(stage)) < 8 * MIB
