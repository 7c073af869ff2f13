"""A TLS server with four documents: small, bulk, random, events. For where nginx is not, and for the events.

Usage: upstream.py CERTIFICATE BULK_BYTES CPU PORTS; prints the ports as a JSON list and ends with stdin.
"""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import sys
from typing import cast

import uvloop

SMALL = json.dumps({"padding": "x" * 1000}).encode()
EVENT = b"data: " + b"x" * 94 + b"\n\n"
BETWEEN_EVENTS_S = 0.005
PIECES = {b"bulk": bytes(1 << 18), b"random": os.urandom(1 << 18)}


def _sized(size: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % size


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(piece), piece)


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
SMALL_RESPONSE = _sized(len(SMALL)) + SMALL


class Exchange(asyncio.Protocol):
    """One connection: requests without a body, one at a time."""

    def __init__(self, bulk_bytes: int) -> None:
        self._bulk_bytes = bulk_bytes
        self._piece = b""
        self._left = 0
        self._paused = False
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not its subclasses

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while b"\r\n\r\n" in self._buffer:
            head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
            self._answer(head.split(b" ", 2)[1])

    def _answer(self, path: bytes) -> None:
        if (piece := PIECES.get(path.rpartition(b"/")[2])) is not None:
            self._transport.write(_sized(self._bulk_bytes))
            self._piece = piece
            self._left = self._bulk_bytes
            self._write_bulk()
        elif path.endswith(b"/events"):
            self._transport.write(STREAM + _chunk(EVENT))
            asyncio.get_running_loop().call_later(BETWEEN_EVENTS_S, self._end_events)
        else:
            self._transport.write(SMALL_RESPONSE)

    def _end_events(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(_chunk(EVENT) + b"0\r\n\r\n")

    def _write_bulk(self) -> None:
        while self._left and not self._paused and not self._transport.is_closing():
            piece = self._piece[: self._left]
            self._left -= len(piece)
            self._transport.write(piece)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._write_bulk()


async def serve(certificate: str, bulk_bytes: int, ports: int) -> None:
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    servers = [
        await loop.create_server(lambda: Exchange(bulk_bytes), "127.0.0.1", 0, ssl=context, backlog=512)
        for _ in range(ports)
    ]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    certificate, bulk_bytes, cpu, ports = sys.argv[1:]
    os.sched_setaffinity(0, {int(cpu)})
    uvloop.run(serve(certificate, int(bulk_bytes), int(ports)))
