"""Clients of the proxy for the soak: each transport, and HTTP/1.1 written and read on asyncio streams."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from support.soak.http2 import Http2, Http2Stream
from support.soak.upstream import MAX_HEAD_BYTES, Sum, http1_body

Transport = Literal["reverse", "intercepted", "absolute", "tunnel"]
LIMIT_S = 60.0  # for everything that must happen


class Where(NamedTuple):
    """Where the proxy and its upstream are, and what the clients hold."""

    port: int
    token: str
    phantoms: Mapping[str, str]
    ca: str  # PEM, of the proxy
    upstream_ca: str  # PEM
    plain_port: int
    tls_port: int

    @property
    def login(self) -> str:
        return "Basic " + base64.b64encode(f"nono:{self.token}".encode()).decode()


@dataclass
class Answer:
    """A final response whose body has not been read yet."""

    status: int
    fields: dict[str, str]
    body: AsyncIterator[bytes]
    raw_fields: str = ""


@dataclass
class Connection:
    """One connection. authority and prefix: how its requests name their target."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sock: socket.socket
    authority: str
    prefix: str = ""
    fields: dict[str, str] = field(default_factory=dict)  # sent with each request

    async def send(self, piece: bytes) -> None:
        self.writer.write(piece)
        await self.writer.drain()

    async def begin(self, method: str, path: str, fields: Mapping[str, str] | None = None) -> None:
        """Send the head of a request."""
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", f"Host: {self.authority}"]
        lines += [f"{name}: {value}" for name, value in {**self.fields, **(fields or {})}.items()]
        await self.send("\r\n".join([*lines, "", ""]).encode())

    async def answer(self, method: str = "GET") -> Answer:
        """Return the final response, skipping interim ones."""
        while True:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")[:-2]
            status = int(lines[0].split(" ")[1])
            if status >= 200 or status == 101:
                break
        pairs = (line.partition(":") for line in lines[1:])
        fields = {name.lower(): value.strip() for name, _, value in pairs}
        return Answer(status, fields, self._body(method, status, fields), head)

    async def _body(self, method: str, status: int, fields: dict[str, str]) -> AsyncIterator[bytes]:
        if method == "HEAD" or status in (101, 204, 304):
            return
        if "transfer-encoding" in fields or "content-length" in fields:
            async for piece in http1_body(self.reader, fields):
                yield piece
        else:
            while piece := await self.reader.read(65536):
                yield piece

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        """Close so that the other end receives RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def _connected(port: int, receive_buffer: int | None) -> socket.socket:
    sock = socket.socket()
    try:
        if receive_buffer is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        sock.close()
        raise
    return sock


async def _connect_through(sock: socket.socket, authority: str, login: str) -> None:
    """Send a CONNECT and check that it is answered with 200. AssertionError otherwise."""
    loop = asyncio.get_running_loop()
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nProxy-Authorization: {login}\r\n\r\n"
    await loop.sock_sendall(sock, head.encode())
    reply = b""
    while b"\r\n\r\n" not in reply:
        piece = await loop.sock_recv(sock, 4096)
        if not piece:
            raise ConnectionResetError("the connection ended before its CONNECT was answered")
        reply += piece
    assert reply.startswith(b"HTTP/1.1 200 "), reply


def client_context(ca: str, *alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca)
    context.set_alpn_protocols(alpn)
    return context


@dataclass
class Clients:
    """Make connections. The contexts are created once, because that takes milliseconds."""

    where: Where

    def __post_init__(self) -> None:
        self._inside = {alpn: client_context(self.where.ca, alpn) for alpn in ("http/1.1", "h2")}
        self._through = client_context(self.where.upstream_ca, "http/1.1")

    @asynccontextmanager
    async def connect(
        self, transport: Transport, service: str, *, receive_buffer: int | None = None
    ) -> AsyncIterator[Connection]:
        """Yield a connection for requests to service; aborted at the end of the block if it is still open."""
        connection = await self._open(transport, service, receive_buffer)
        try:
            yield connection
        finally:
            connection.writer.transport.abort()

    async def _open(self, transport: Transport, service: str, receive_buffer: int | None) -> Connection:
        where = self.where
        sock = await _connected(where.port, receive_buffer)
        try:
            match transport:
                case "reverse":
                    streams = await asyncio.open_connection(sock=sock, limit=MAX_HEAD_BYTES)
                    authority, prefix = f"127.0.0.1:{where.port}", f"/{service}"
                    fields = {"Authorization": f"Bearer {where.phantoms[service]}"}
                case "absolute":
                    streams = await asyncio.open_connection(sock=sock, limit=MAX_HEAD_BYTES)
                    authority = f"plain.test:{where.plain_port}"
                    prefix, fields = f"http://{authority}", {"Proxy-Authorization": where.login}
                case "intercepted":
                    streams, authority = await self._secured(sock, f"{service}.test", "http/1.1")
                    prefix, fields = "", {"Authorization": f"Bearer {where.phantoms[service]}"}
                case "tunnel":
                    authority, prefix, fields = f"tunnel.test:{where.tls_port}", "", {}
                    await _connect_through(sock, authority, where.login)
                    streams = await asyncio.open_connection(
                        sock=sock, ssl=self._through, server_hostname="tunnel.test", limit=MAX_HEAD_BYTES
                    )
        except BaseException:
            sock.close()
            raise
        return Connection(*streams, sock, authority, prefix, fields)

    async def _secured(
        self, sock: socket.socket, host: str, alpn: str
    ) -> tuple[tuple[asyncio.StreamReader, asyncio.StreamWriter], str]:
        authority = f"{host}:{self.where.tls_port}"
        await _connect_through(sock, authority, self.where.login)
        streams = await asyncio.open_connection(
            sock=sock, ssl=self._inside[alpn], server_hostname=host, limit=MAX_HEAD_BYTES
        )
        return streams, authority

    @asynccontextmanager
    async def http2(self, service: str, *, receive_buffer: int | None = None) -> AsyncIterator[Http2Client]:
        """Yield an HTTP/2 connection inside a CONNECT; aborted at the end of the block if still open."""
        sock = await _connected(self.where.port, receive_buffer)
        try:
            (reader, writer), authority = await self._secured(sock, f"{service}.test", "h2")
        except BaseException:
            sock.close()
            raise
        key = f"Bearer {self.where.phantoms[service]}"
        client = Http2Client(Http2(reader, writer), authority, key, sock, writer)
        reading = asyncio.create_task(client.connection.run())
        try:
            yield client
        finally:
            writer.transport.abort()
            await reading

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[Connection]:
        """Yield a connection that sends nothing by itself."""
        sock = await _connected(self.where.port, None)
        streams = await asyncio.open_connection(sock=sock, limit=MAX_HEAD_BYTES)
        connection = Connection(*streams, sock, f"127.0.0.1:{self.where.port}")
        try:
            yield connection
        finally:
            connection.writer.transport.abort()


@dataclass
class Http2Client:
    """An HTTP/2 connection whose requests go to authority with key."""

    connection: Http2
    authority: str
    key: str
    sock: socket.socket
    writer: asyncio.StreamWriter

    async def request(
        self, method: str, path: str, fields: Mapping[str, str] | None = None, *, end: bool = True
    ) -> Http2Stream:
        pseudo = {":method": method, ":scheme": "https", ":authority": self.authority, ":path": path}
        every = {**pseudo, "authorization": self.key, **(fields or {})}
        return await self.connection.request([*every.items()], end=end)

    def reset(self) -> None:
        """Close so that the other end receives RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


async def stream_body(stream: Http2Stream) -> AsyncIterator[bytes]:
    while piece := await stream.read():
        yield piece


async def summed(
    body: AsyncIterable[bytes], forbidden: bytes = b"", coding: str = "", pause_s: float = 0.0
) -> tuple[int, int]:
    """Return length and CRC-32 of a decoded body.

    AssertionError: forbidden is in it. pause_s: between reads.
    """
    total, end = Sum(), b""
    decode = zlib.decompressobj(31) if coding == "gzip" else None
    async for piece in body:
        if decode is not None:
            piece = decode.decompress(piece)
        assert not forbidden or forbidden not in end + piece, "a real key came to a client"
        end = (end + piece)[-len(forbidden) :] if forbidden else b""
        total.add(piece)
        if pause_s:
            await asyncio.sleep(pause_s)
    return total.value
