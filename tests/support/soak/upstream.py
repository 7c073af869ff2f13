"""Run the upstream of the soak in a process: one set of behaviours over HTTP/1.1, TLS and HTTP/2.

A path is /v1/<number of the request>/<behaviour>/<size>. What was sent and received completely is reported
by that number. Usage: worker starts it with the settings that main takes.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import random
import ssl
import struct
import traceback
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from h2.errors import ErrorCodes

from support.soak.http2 import Http2, Http2Stream, StreamLostError
from support.soak.worker import obey, run

BLOCK = random.Random(0).randbytes(64 * 1024)
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_EVENT_PAUSE_S = 0.02
_ZEROS = 1 << 20
MAX_HEAD_BYTES = 64 * 1024


def pattern(size: int) -> AsyncIterator[bytes]:
    """Yield a body of size bytes in pieces, the same each time."""
    return _pieces(BLOCK, size)


async def _pieces(block: bytes, size: int) -> AsyncIterator[bytes]:
    while size > 0:
        yield block[:size] if size < len(block) else block
        size -= len(block)


class Request(NamedTuple):
    method: str
    path: str
    fields: dict[str, str]
    body: AsyncIterator[bytes]


class Response(Protocol):
    """The response of one exchange, over any version of HTTP."""

    async def head(self, status: int, fields: dict[str, str], length: int | None) -> None:
        """Send the head. length None: not known in advance."""
        ...

    async def body(self, piece: bytes) -> None: ...
    async def end(self) -> None: ...

    def cut(self) -> None:
        """End the response too early, by the means of the version."""
        ...

    async def wait_gone(self) -> None:
        """Wait until nobody waits for the response any more."""
        ...

    async def switch(self, accept: str) -> None:
        """Answer 101 and send back what arrives."""
        ...


class Ledger:
    """What was sent and received completely, by the number of its request: (bytes, CRC-32)."""

    def __init__(self) -> None:
        self.seen: set[int] = set()
        self.sent: dict[int, tuple[int, int]] = {}
        self.keys: dict[str, int] = {}  # how often each Authorization arrived on /v1/
        self.released = asyncio.Event()
        self.progress = 0  # bytes of decoded response bodies so far


class Sum:
    """Calculate length and CRC-32 of a body, piece by piece."""

    def __init__(self) -> None:
        self.size = 0
        self.crc = 0

    def add(self, piece: bytes) -> None:
        self.size += len(piece)
        self.crc = zlib.crc32(piece, self.crc)

    @property
    def value(self) -> tuple[int, int]:
        return self.size, self.crc


class Behaviours:
    """The behaviours, one method for each."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    async def serve(self, request: Request, response: Response) -> None:
        _, _, number_text, behaviour, size_text = request.path.split("/")
        number, size = int(number_text), int(size_text)
        self._ledger.seen.add(number)
        key = request.fields.get("authorization", "")
        self._ledger.keys[key] = self._ledger.keys.get(key, 0) + 1
        perform: Callable[[Request, Response, int, int], Awaitable[None]] = getattr(self, f"do_{behaviour}")
        await perform(request, response, number, size)

    async def _send(
        self, response: Response, number: int, body: AsyncIterator[bytes], fields: dict[str, str], length: int
    ) -> None:
        """Send a response. length -1: not announced."""
        await response.head(200, fields, None if length < 0 else length)
        total = Sum()
        async for piece in body:
            await response.body(piece)
            total.add(piece)
            self._ledger.progress += len(piece)
        await response.end()
        self._ledger.sent[number] = total.value

    async def do_length(self, request: Request, response: Response, number: int, size: int) -> None:
        await self._send(response, number, pattern(size), {}, size)

    async def do_chunked(self, request: Request, response: Response, number: int, size: int) -> None:
        await self._send(response, number, pattern(size), {}, -1)

    async def do_gzip(self, request: Request, response: Response, number: int, size: int) -> None:
        """Send the pattern compressed: whoever decodes the body finds it."""
        coder = zlib.compressobj(1, zlib.DEFLATED, 31)
        total = Sum()
        await response.head(200, {"content-encoding": "gzip"}, None)
        async for piece in pattern(size):
            total.add(piece)
            await response.body(coder.compress(piece))
        await response.body(coder.flush())
        await response.end()
        self._ledger.sent[number] = total.value

    async def do_bomb(self, request: Request, response: Response, number: int, size: int) -> None:
        """Send zeros, compressed to a thousandth of their size."""
        coder = zlib.compressobj(9, zlib.DEFLATED, 31)
        zeros = bytes(_ZEROS)
        await response.head(200, {"content-encoding": "gzip"}, None)
        total = Sum()
        for count in range(max(2, size // _ZEROS)):
            if count < 2:  # the first begins with a header; from the second on they are equal
                unit = coder.compress(zeros) + coder.flush(zlib.Z_FULL_FLUSH)
            await response.body(unit)
            total.add(zeros)
            self._ledger.progress += _ZEROS
        last_block = zlib.compressobj(9, zlib.DEFLATED, -15).flush()
        await response.body(last_block + struct.pack("<II", total.crc, total.size & 0xFFFFFFFF))
        await response.end()
        self._ledger.sent[number] = total.value

    async def do_events(self, request: Request, response: Response, number: int, size: int) -> None:
        async def events() -> AsyncIterator[bytes]:
            for count in range(size):
                yield b"data: %d\n\n" % count
                await asyncio.sleep(_EVENT_PAUSE_S)

        await self._send(response, number, events(), {"content-type": "text/event-stream"}, -1)

    async def do_held(self, request: Request, response: Response, number: int, size: int) -> None:
        """Send one event, and size further ones once they are released."""

        async def events() -> AsyncIterator[bytes]:
            yield b"data: first\n\n"
            await self._ledger.released.wait()
            for count in range(size):
                yield b"data: %d\n\n" % count

        await self._send(response, number, events(), {"content-type": "text/event-stream"}, -1)

    async def do_upload(self, request: Request, response: Response, number: int, size: int) -> None:
        """Answer with what has been received."""
        total = Sum()
        async for piece in request.body:
            total.add(piece)
        answer = b"%d %d" % total.value
        await self._send(response, number, _pieces(answer, len(answer)), {}, len(answer))

    async def do_held_upload(self, request: Request, response: Response, number: int, size: int) -> None:
        """Read the first piece, and the others once they are released."""
        total = Sum()
        async for piece in request.body:
            total.add(piece)
            await self._ledger.released.wait()
        answer = b"%d %d" % total.value
        await self._send(response, number, _pieces(answer, len(answer)), {}, len(answer))

    async def do_early(self, request: Request, response: Response, number: int, size: int) -> None:
        """Answer without reading the body, and read no more of it."""
        await self._send(response, number, pattern(size), {"connection": "close"}, size)

    async def do_silence(self, request: Request, response: Response, number: int, size: int) -> None:
        async for _ in request.body:
            pass
        await response.wait_gone()

    async def do_short(self, request: Request, response: Response, number: int, size: int) -> None:
        """Announce twice what is sent."""
        await response.head(200, {}, 2 * size)
        async for piece in pattern(size):
            await response.body(piece)
        response.cut()

    async def do_reset(self, request: Request, response: Response, number: int, size: int) -> None:
        response.cut()

    async def do_unauthorized(self, request: Request, response: Response, number: int, size: int) -> None:
        await response.head(401, {"www-authenticate": "Bearer"}, 0)
        await response.end()

    async def do_leak(self, request: Request, response: Response, number: int, size: int) -> None:
        """Send back what arrived as a key, in a body of size bytes and the key."""
        key = request.fields.get("authorization", "").encode()

        async def body() -> AsyncIterator[bytes]:
            async for piece in pattern(size):
                yield piece
            yield key[:10]
            yield key[10:]

        await self._send(response, number, body(), {"x-key": key.decode()}, -1)

    async def do_websocket(self, request: Request, response: Response, number: int, size: int) -> None:
        key = request.fields["sec-websocket-key"].encode()
        accept = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        await response.switch(accept.decode())


class Http1Response:
    """HTTP/1.1 on asyncio streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, method: str) -> None:
        self._reader = reader
        self._writer = writer
        self._to_head = method == "HEAD"
        self._chunked = False
        self.closes = False

    async def proceed(self) -> None:
        await self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def head(self, status: int, fields: dict[str, str], length: int | None) -> None:
        self._chunked = length is None
        framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
        self.closes = self.closes or fields.get("connection") == "close"
        lines = [f"HTTP/1.1 {status} OK", *(f"{name}: {value}" for name, value in fields.items()), framing]
        await self._write("\r\n".join([*lines, "", ""]).encode())

    async def body(self, piece: bytes) -> None:
        if piece and not self._to_head:
            await self._write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    async def end(self) -> None:
        if self._chunked and not self._to_head:
            await self._write(b"0\r\n\r\n")

    async def _write(self, piece: bytes) -> None:
        if self._writer.is_closing():  # uvloop raises RuntimeError or writes to its log
            raise ConnectionResetError
        self._writer.write(piece)
        await self._writer.drain()

    def cut(self) -> None:
        self.closes = True
        self._writer.transport.abort()

    async def wait_gone(self) -> None:
        self.closes = True
        while await self._reader.read(65536):
            pass

    async def switch(self, accept: str) -> None:
        self.closes = True
        lines = ["HTTP/1.1 101 Switching Protocols", "connection: Upgrade", "upgrade: websocket"]
        await self._write("\r\n".join([*lines, f"sec-websocket-accept: {accept}", "", ""]).encode())
        while piece := await self._reader.read(65536):
            await self._write(piece)


class Http2Response:
    """One stream of HTTP/2."""

    def __init__(self, stream: Http2Stream) -> None:
        self._stream = stream

    async def head(self, status: int, fields: dict[str, str], length: int | None) -> None:
        announced = [] if length is None else [("content-length", str(length))]
        kept = [field for field in fields.items() if field[0] != "connection"]
        await self._stream.respond([(":status", str(status)), *kept, *announced])

    async def body(self, piece: bytes) -> None:
        await self._stream.send(piece)

    async def end(self) -> None:
        await self._stream.send(b"", end=True)

    def cut(self) -> None:
        self._stream.reset(ErrorCodes.INTERNAL_ERROR)

    async def wait_gone(self) -> None:
        await self._stream.wait_lost()

    async def switch(self, accept: str) -> None:
        raise AssertionError("HTTP/2 has no 101")


class Server:
    """Accept on a listener, over TLS in the version that ALPN chose."""

    def __init__(self, behaviours: Behaviours) -> None:
        self._behaviours = behaviours
        self.faults: list[str] = []
        self.connections = 0

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        tls: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
        try:
            if tls is not None and tls.selected_alpn_protocol() == "h2":
                await self._http2(reader, writer)
            else:
                await self._http1(reader, writer)
        except (OSError, EOFError):
            pass  # the client is gone
        except Exception as fault:
            self.faults.append("".join(traceback.format_exception(fault))[-2000:])
        finally:
            self.connections -= 1
            writer.close()

    async def _http1(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                return
            lines = head.decode("latin-1").split("\r\n")[:-2]
            method, path, _ = lines[0].split(" ")
            pairs = (line.partition(":") for line in lines[1:])
            fields = {name.lower(): value.strip() for name, _, value in pairs}
            request = Request(method, path, fields, http1_body(reader, fields))
            response = Http1Response(reader, writer, method)
            if fields.get("expect") == "100-continue":
                await response.proceed()
            await self._behaviours.serve(request, response)
            if response.closes:
                return
            async for _ in request.body:
                pass

    async def _http2(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async with asyncio.TaskGroup() as tasks:
            connection = Http2(reader, writer, lambda stream: tasks.create_task(self._stream(stream)))
            await connection.run()

    async def _stream(self, stream: Http2Stream) -> None:
        fields = await stream.head()

        async def body() -> AsyncIterator[bytes]:
            while piece := await stream.read():
                yield piece

        request = Request(fields[":method"], fields[":path"], fields, body())
        try:
            await self._behaviours.serve(request, Http2Response(stream))
            async for _ in request.body:
                pass
        except StreamLostError:
            pass
        finally:
            stream.lose()


async def http1_body(reader: asyncio.StreamReader, fields: dict[str, str]) -> AsyncIterator[bytes]:
    """Yield the body of a message with these fields, piece by piece; nothing if it has neither field."""
    if fields.get("transfer-encoding") == "chunked":
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            async for piece in _exactly(reader, size):
                yield piece
            await reader.readexactly(2)
        while await reader.readuntil(b"\r\n") != b"\r\n":
            pass
    else:
        async for piece in _exactly(reader, int(fields.get("content-length", "0"))):
            yield piece


async def _exactly(reader: asyncio.StreamReader, size: int) -> AsyncIterator[bytes]:
    while size:
        piece = await reader.read(min(size, 65536))
        if not piece:
            raise EOFError
        size -= len(piece)
        yield piece


async def main(certificate: str, key: str) -> None:
    logging.getLogger("asyncio").setLevel(logging.ERROR)  # clients are meant to disappear
    ledger = Ledger()
    server = Server(Behaviours(ledger))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2", "http/1.1"])
    plain = await asyncio.start_server(server.accept, "127.0.0.1", 0, backlog=512, limit=MAX_HEAD_BYTES)
    tls = await asyncio.start_server(
        server.accept, "127.0.0.1", 0, backlog=512, limit=MAX_HEAD_BYTES, ssl=context
    )

    async def report() -> dict[str, Any]:
        return {
            "seen": sorted(ledger.seen),
            "sent": ledger.sent,
            "keys": ledger.keys,
            "faults": server.faults,
            "connections": server.connections,
        }

    async def hold() -> None:
        """Hold what can be held from now on, until release."""
        ledger.released.clear()

    async def release() -> None:
        ledger.released.set()

    async def progress() -> int:
        """Return the bytes of bodies given to the kernel or waiting for it in a buffer that is not full."""
        return ledger.progress

    ports = [each.sockets[0].getsockname()[1] for each in (plain, tls)]
    await obey(ports, {"report": report, "hold": hold, "release": release, "progress": progress})
    plain.close()
    tls.close()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()


if __name__ == "__main__":
    with suppress(asyncio.CancelledError):
        run(main)
