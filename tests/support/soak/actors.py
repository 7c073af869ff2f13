"""Act as the clients of the soak: one method for each kind of conduct, good or bad, that a proxy meets."""

from __future__ import annotations

import asyncio
import base64
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count

from support.soak.client import Answer, Clients, Connection, Http2Client, Transport, stream_body, summed
from support.soak.http2 import StreamLostError
from support.soak.proxy import KEY, LEAKY, LIMITED, UNWATCHED, WATCHED
from support.soak.upstream import BLOCK, Sum, pattern

HTTP1_TRANSPORTS: tuple[tuple[Transport, str], ...] = (
    ("reverse", WATCHED),
    ("reverse", UNWATCHED),
    ("intercepted", WATCHED),
    ("absolute", ""),
    ("tunnel", ""),
)
_KEY = KEY.encode()
_SMALL_BUFFER = 32 * 1024


@dataclass
class Results:
    """The results. received: (bytes, CRC-32) of the response, by the number of the request."""

    received: dict[int, tuple[int, int]] = field(default_factory=dict)
    tunnelled: set[int] = field(default_factory=set)  # the numbers of requests that the proxy cannot see
    done: dict[str, int] = field(default_factory=dict)
    statuses: dict[int, int] = field(default_factory=dict)


class Actor:
    """One of many actors. numbers is shared by all; chance is its own."""

    def __init__(
        self, clients: Clients, results: Results, numbers: count[int], chance: random.Random
    ) -> None:
        self._clients = clients
        self._results = results
        self._numbers = numbers
        self._chance = chance

    def _path(self, behaviour: str, size: int, transport: Transport = "reverse") -> tuple[int, str]:
        number = next(self._numbers)
        if transport == "tunnel":
            self._results.tunnelled.add(number)
        return number, f"/v1/{number}/{behaviour}/{size}"

    def _http1_transport(self) -> tuple[Transport, str]:
        return self._chance.choice(HTTP1_TRANSPORTS)

    def _size(self) -> int:
        """Return a size that is mostly small and sometimes larger than every buffer on the way."""
        return int(10 ** self._chance.uniform(0, 6))

    def _leave(self, connection: Connection | Http2Client) -> None:
        """Leave by RST or in order."""
        if self._chance.random() < 0.5:
            connection.reset()
        else:
            connection.writer.close()

    async def _whole(
        self, transport: Transport, number: int, answer: Answer, *, pause_s: float = 0.0
    ) -> None:
        """Read the body of a response that must be right."""
        self._status(answer.status)
        assert answer.status == 200, f"{answer.status} to request {number} over {transport}"
        assert KEY not in answer.raw_fields, "a real key came to a client"
        coding = answer.fields.get("content-encoding", "")
        self._results.received[number] = await summed(answer.body, _KEY, coding, pause_s)

    def _status(self, status: int) -> None:
        self._results.statuses[status] = self._results.statuses.get(status, 0) + 1

    async def every_transport(self) -> None:
        """Send one request to each service over each transport that leads to it."""
        transports: list[tuple[Transport, str]] = [
            *HTTP1_TRANSPORTS,
            ("intercepted", LEAKY),
            ("intercepted", LIMITED),
        ]
        for transport, service in transports:
            async with self._clients.connect(transport, service) as connection:
                number, path = self._path("length", 1, transport)
                await connection.begin("GET", path)
                await self._whole(transport, number, await connection.answer())

    # -- good conduct

    async def act_keep_alive(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            for _ in range(self._chance.randint(1, 8)):
                number, path = self._path(self._chance.choice(("length", "chunked")), self._size(), transport)
                await connection.begin("GET", path)
                await self._whole(transport, number, await connection.answer())
            connection.close()

    async def act_pipeline(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            requests = [self._path("length", self._size(), transport) for _ in range(4)]
            for _, path in requests:
                await connection.begin("GET", path)
            for number, _ in requests:
                await self._whole(transport, number, await connection.answer())

    async def act_head(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            for _ in range(2):
                _, path = self._path("length", self._size(), transport)
                await connection.begin("HEAD", path)
                answer = await connection.answer("HEAD")
                assert answer.status == 200

    async def act_gzip(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            number, path = self._path("gzip", self._size(), transport)
            await connection.begin("GET", path, {"Accept-Encoding": "gzip"})
            await self._whole(transport, number, await connection.answer())

    async def act_events(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            number, path = self._path("events", self._chance.randint(1, 50), transport)
            await connection.begin("GET", path)
            await self._whole(transport, number, await connection.answer())

    async def act_slow_reader(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service, receive_buffer=_SMALL_BUFFER) as connection:
            number, path = self._path(
                self._chance.choice(("length", "chunked", "gzip")), 1_500_000, transport
            )
            await connection.begin("GET", path, {"Accept-Encoding": "gzip"})
            await self._whole(transport, number, await connection.answer(), pause_s=0.02)

    async def act_upload(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            for _ in range(self._chance.randint(1, 3)):
                number, path = self._path("upload", 0, transport)
                sent = await self._upload(connection, path, self._size())
                await self._uploaded(transport, number, await connection.answer(), sent)

    async def act_upload_expecting(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            number, path = self._path("upload", 0, transport)
            sent = await self._upload(connection, path, self._size(), expects=True)
            await self._uploaded(transport, number, await connection.answer(), sent)

    async def _upload(self, connection: Connection, path: str, size: int, *, expects: bool = False) -> Sum:
        sent = Sum()
        is_chunked = self._chance.random() < 0.5
        await upload(connection, path, size, sent, chunked=is_chunked, expects=expects)
        return sent

    async def _uploaded(self, transport: Transport, number: int, answer: Answer, sent: Sum) -> None:
        self._status(answer.status)
        assert answer.status == 200, f"{answer.status} to upload {number} over {transport}"
        text = b"".join([piece async for piece in answer.body])
        assert text == b"%d %d" % sent.value, f"upload {number} over {transport} arrived as {text!r}"
        total = Sum()
        total.add(text)
        self._results.received[number] = total.value

    async def act_websocket(self) -> None:
        transport, service = self._chance.choice([each for each in HTTP1_TRANSPORTS if each[0] != "absolute"])
        async with self._clients.connect(transport, service) as connection:
            _, path = self._path("websocket", 0, transport)
            key = base64.b64encode(self._chance.randbytes(16)).decode()
            fields = {
                "Connection": "Upgrade", "Upgrade": "websocket",
                "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13",
            }  # fmt: skip
            await connection.begin("GET", path, fields)
            answer = await connection.answer()
            assert answer.status == 101, f"{answer.status} to a WebSocket over {transport}"
            for _ in range(self._chance.randint(1, 10)):
                message = BLOCK[: self._chance.randint(1, len(BLOCK))]
                await connection.send(message)
                assert await connection.reader.readexactly(len(message)) == message
            self._leave(connection)

    # -- conduct that is bad, or ends early

    async def act_leave_events(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            _, path = self._path("events", 100_000, transport)
            await connection.begin("GET", path)
            answer = await connection.answer()
            for _ in range(self._chance.randint(0, 20)):
                await anext(answer.body)
            self._leave(connection)

    async def act_leave_download(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            _, path = self._path(self._chance.choice(("length", "chunked", "gzip")), 4_000_000, transport)
            await connection.begin("GET", path, {"Accept-Encoding": "gzip"})
            answer = await connection.answer()
            for _ in range(self._chance.randint(0, 10)):
                await anext(answer.body)
            self._leave(connection)

    async def act_leave_silence(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            _, path = self._path("silence", 0, transport)
            await connection.begin("GET", path)
            await asyncio.sleep(self._chance.uniform(0, 0.5))
            self._leave(connection)

    async def act_leave_behind_a_second(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            behaviour, size = self._chance.choice(
                (("events", 100_000), ("silence", 0), ("length", 4_000_000))
            )
            for path in (self._path(behaviour, size, transport)[1], self._path("length", 1, transport)[1]):
                await connection.begin("GET", path)
            await asyncio.sleep(self._chance.uniform(0, 0.5))
            self._leave(connection)

    async def act_cut_upload(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            _, path = self._path("upload", 0, transport)
            await connection.begin("POST", path, {"Content-Length": "10000000"})
            for _ in range(self._chance.randint(0, 20)):
                await connection.send(BLOCK)
            self._leave(connection)

    async def act_malformed_upload(self) -> None:
        transport, service = self._chance.choice([each for each in HTTP1_TRANSPORTS if each[0] != "tunnel"])
        async with self._clients.connect(transport, service) as connection:
            _, path = self._path("upload", 0, transport)
            await connection.begin("POST", path, {"Transfer-Encoding": "chunked"})
            await connection.send(b"10\r\n0123456789abcdef\r\n")
            await connection.send(b"nonsense\r\n")
            await _to_its_end(connection)

    async def act_half_head(self) -> None:
        async with self._clients.raw() as connection:
            await connection.send(b"GET /alpha/v1/x HTTP/1.1\r\nHost: 127"[: self._chance.randint(1, 36)])
            await asyncio.sleep(self._chance.uniform(0, 1))
            self._leave(connection)

    async def act_garbage(self) -> None:
        async with self._clients.raw() as connection:
            await connection.send(self._chance.randbytes(200) + b"\r\n\r\n")
            await _to_its_end(connection)

    async def act_reset_at_once(self) -> None:
        async with self._clients.raw() as connection:
            connection.reset()

    async def act_cut_handshake(self) -> None:
        where = self._clients.where
        host = self._chance.choice((f"{WATCHED}.test", "tunnel.test"))
        async with self._clients.raw() as connection:
            authority = f"{host}:{where.tls_port}"
            connection.authority = authority
            connection.fields = {"Proxy-Authorization": where.login}
            await connection.send(
                f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
                f"Proxy-Authorization: {where.login}\r\n\r\n".encode()
            )
            assert (await connection.answer("HEAD")).status == 200
            hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32)
            await connection.send(hello[: self._chance.randint(0, len(hello))])
            await asyncio.sleep(self._chance.uniform(0, 0.5))
            self._leave(connection)

    # -- what is refused, or goes wrong upstream

    async def act_wrong_phantom(self) -> None:
        transport: Transport = self._chance.choice(("reverse", "intercepted"))
        async with self._clients.connect(transport, WATCHED) as connection:
            _, path = self._path("length", 10, transport)
            await connection.begin("GET", path, {"Authorization": "Bearer not-the-phantom"})
            answer = await connection.answer()
            await summed(answer.body)
            self._status(answer.status)
            assert answer.status in (401, 403, 407), answer.status

    async def act_wrong_token(self) -> None:
        async with self._clients.raw() as connection:
            authority = f"tunnel.test:{self._clients.where.tls_port}"
            await connection.send(f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n".encode())
            answer = await connection.answer()
            await summed(answer.body)
            self._status(answer.status)
            assert answer.status == 407

    async def act_unauthorized(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            for _ in range(2):
                _, path = self._path("unauthorized", 0, transport)
                await connection.begin("GET", path)
                answer = await connection.answer()
                await summed(answer.body)
                assert answer.status == 401

    async def act_upstream_fails(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            behaviour = self._chance.choice(("short", "reset"))
            _, path = self._path(behaviour, self._size(), transport)
            await connection.begin("GET", path)
            try:
                answer = await connection.answer()
                size, _ = await summed(answer.body)
            except (OSError, EOFError):
                return
            self._status(answer.status)
            # A response with something missing must not look complete.
            assert answer.status == 502, f"{answer.status} and {size} bytes of a broken response"

    async def act_early_answer(self) -> None:
        transport, service = self._http1_transport()
        async with self._clients.connect(transport, service) as connection:
            _, path = self._path("early", 1000, transport)
            try:
                await self._upload(connection, path, 2_000_000)
                answer = await connection.answer()
                await summed(answer.body)
            except (OSError, EOFError):
                return  # the upstream closed the connection during the upload

    async def act_leak(self) -> None:
        transport: Transport = self._chance.choice(("reverse", "intercepted"))
        async with self._clients.connect(transport, LEAKY) as connection:
            _, path = self._path("leak", self._size(), transport)
            await connection.begin("GET", path)
            answer = await connection.answer()
            assert KEY not in answer.raw_fields, "a real key came to a client"
            await summed(answer.body, _KEY)
            self._status(answer.status)

    async def act_limited(self) -> None:
        async with self._clients.connect("reverse", LIMITED) as connection:
            for _ in range(3):
                _, path = self._path("length", 10)
                await connection.begin("GET", path)
                answer = await connection.answer()
                await summed(answer.body)
                self._status(answer.status)
                assert answer.status in (200, 429), answer.status

    # -- HTTP/2

    async def act_http2(self) -> None:
        """Run several streams at a time, all of which end well."""
        async with self._clients.http2(WATCHED) as client:
            for _ in range(self._chance.randint(1, 3)):
                streams = [self._http2_whole, self._http2_upload, self._http2_whole, self._http2_events]
                count_of_them = self._chance.randint(1, 4)
                async with asyncio.TaskGroup() as tasks:
                    for stream in streams[:count_of_them]:
                        tasks.create_task(stream(client))
            self._leave(client)

    async def act_http2_bad(self) -> None:
        """End some streams well, leave the others in all kinds of ways, and finally leave the connection."""
        async with self._clients.http2(WATCHED) as client:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._http2_whole(client))
                for _ in range(self._chance.randint(1, 4)):
                    conduct = self._chance.choice(
                        (self._http2_left, self._http2_cut_upload, self._http2_fault, self._http2_refused)
                    )
                    tasks.create_task(conduct(client))
            _, path = self._path("length", 1_000_000)
            await client.request("GET", path)
            _, path = self._path("silence", 0)
            await client.request("GET", path)
            self._leave(client)

    async def act_http2_slow_reader(self) -> None:
        async with self._clients.http2(WATCHED, receive_buffer=_SMALL_BUFFER) as client:
            number, path = self._path(self._chance.choice(("length", "gzip")), 1_500_000)
            stream = await client.request("GET", path, {"accept-encoding": "gzip"})
            fields = await stream.head()
            coding = fields.get("content-encoding", "")
            self._results.received[number] = await summed(stream_body(stream), _KEY, coding, 0.02)

    async def _http2_whole(self, client: Http2Client) -> None:
        number, path = self._path(self._chance.choice(("length", "chunked", "gzip")), self._size())
        stream = await client.request("GET", path, {"accept-encoding": "gzip"})
        fields = await stream.head()
        assert fields[":status"] == "200", f"{fields} to request {number}"
        coding = fields.get("content-encoding", "")
        self._results.received[number] = await summed(stream_body(stream), _KEY, coding)

    async def _http2_events(self, client: Http2Client) -> None:
        number, path = self._path("events", self._chance.randint(1, 30))
        stream = await client.request("GET", path)
        self._results.received[number] = await summed(stream_body(stream), _KEY)

    async def _http2_upload(self, client: Http2Client) -> None:
        number, path = self._path("upload", 0)
        size, sent = self._size(), Sum()
        stream = await client.request("POST", path, end=False)
        async for piece in pattern(size):
            await stream.send(piece)
            sent.add(piece)
        await stream.send(b"", end=True)
        text = b"".join([piece async for piece in stream_body(stream)])
        assert text == b"%d %d" % sent.value, f"upload {number} by HTTP/2 arrived as {text!r}"
        total = Sum()
        total.add(text)
        self._results.received[number] = total.value

    async def _http2_left(self, client: Http2Client) -> None:
        behaviour, size = self._chance.choice((("events", 100_000), ("length", 4_000_000), ("silence", 0)))
        _, path = self._path(behaviour, size)
        stream = await client.request("GET", path)
        if behaviour != "silence":
            await stream.head()
            for _ in range(self._chance.randint(0, 10)):
                await stream.read()
        stream.reset()

    async def _http2_cut_upload(self, client: Http2Client) -> None:
        _, path = self._path("upload", 0)
        stream = await client.request("POST", path, end=False)
        for _ in range(self._chance.randint(0, 5)):
            await stream.send(BLOCK)
        stream.reset()

    async def _http2_fault(self, client: Http2Client) -> None:
        behaviour = self._chance.choice(("short", "reset", "unauthorized"))
        _, path = self._path(behaviour, self._size())
        stream = await client.request("GET", path)
        try:
            status = (await stream.head())[":status"]
            await summed(stream_body(stream))
        except StreamLostError:
            return
        assert status in ("401", "502"), f"{status} and the end of a broken response"

    async def _http2_refused(self, client: Http2Client) -> None:
        _, path = self._path("length", 10)
        stream = await client.request("GET", path, {"authorization": "Bearer not-the-phantom"})
        status = (await stream.head())[":status"]
        assert status in ("401", "403", "407"), status

    def conducts(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """Return every act_ method, by the rest of its name."""
        names = [name for name in dir(self) if name.startswith("act_")]
        return {name.removeprefix("act_"): getattr(self, name) for name in names}


async def upload(
    connection: Connection, path: str, size: int, sent: Sum, *, chunked: bool, expects: bool = False
) -> None:
    """Send a request with a pattern of size bytes; the caller reads its answer. sent: grows with the body.

    expects: The body is sent when the upstream has asked for it (RFC 9110 section 10.1.1).
    """
    fields = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(size)}
    if expects:
        fields["Expect"] = "100-continue"
    await connection.begin("POST", path, fields)
    if expects:
        interim = await connection.reader.readuntil(b"\r\n\r\n")
        assert interim.startswith(b"HTTP/1.1 100 "), interim
    async for piece in pattern(size):
        await connection.send(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
        sent.add(piece)
    if chunked:
        await connection.send(b"0\r\n\r\n")


async def _to_its_end(connection: Connection) -> None:
    try:
        while await connection.reader.read(65536):
            pass
    except OSError:
        pass
