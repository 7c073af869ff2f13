"""nono.proxy.transport.tls_reads: TLS that carries no data is read in turns, and data behind it arrives."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import cast

import anyio
import pytest
import uvloop

from nono.policy.schema.route_rules import TlsIdentity
from nono.proxy.transport import server_handshake, tls_reads
from nono.proxy.transport.server_handshake import Secured
from nono.proxy.transport.tls_reads import TlsReads
from nono.proxy.upstream.dial import Dialer
from support.proxy.post_handshake import Records, shake_hands
from support.servers.http1 import Authority

HOST = "api.test"
_BATCH_BYTES = 27 * 9_000  # whole records of a KeyUpdate each
Flood = Callable[[Records], bytes]


def _updates(records: Records) -> bytes:
    return b"".join(records.key_update() for _ in range(20_000))  # 540 KB


def _updates_to_answer(records: Records) -> bytes:
    return b"".join(records.key_update(asks=True) for _ in range(9_000))  # 243 KB, and as much of answers


def _many_to_answer(records: Records) -> bytes:
    return b"".join(records.key_update(asks=True) for _ in range(30_000))  # 810 KB


def _tickets(records: Records) -> bytes:
    return b"".join(records.tickets(700) for _ in range(100))  # 1.3 MB


def _updates_after_data(records: Records) -> bytes:
    """Put data between the updates, which lets the next reads be large."""
    parts = list[bytes]()
    for _ in range(16):
        parts += [records.data(bytes(16_384)) for _ in range(6)]
        parts += [records.key_update() for _ in range(1200)]  # 32 KB
    return b"".join(parts)


FLOODS = pytest.mark.parametrize(
    "flood",
    [_updates, _updates_to_answer, _tickets, _updates_after_data],
    ids=["updates", "answered", "tickets", "between"],
)
LONGEST_S = 0.1  # without bounds 0.3 s; here 10 to 30 ms


class Sink(asyncio.Protocol):
    """Knows all it has received, and sets `done` when that ends with "end" or the connection is lost."""

    def __init__(self) -> None:
        self.received = b""
        self.done = anyio.Event()
        self.secured = anyio.Event()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        self.secured.set()

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.received.endswith(b"end"):
            self.done.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.done.set()


class Watch:
    """Measures the longest turn of the loop, in CPU time, so that other programs do not count."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._at = time.thread_time()
        self._next = asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        now = time.thread_time()
        self.longest_s, self._at = max(self.longest_s, now - self._at), now
        self._next = asyncio.get_running_loop().call_soon(self._turn)

    def stop(self) -> float:
        self._next.cancel()
        return self.longest_s


def _flooding(
    sock: socket.socket,
    context: ssl.SSLContext,
    keys: Path,
    flood: Flood,
    name: str | None = None,
    *,
    begin: threading.Event,
    over: threading.Event,
    reads: bool,
) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # the kernel keeps little of what is unread
    records = shake_hands(sock, context, keys, name)
    octets = flood(records)
    begin.wait(60)
    with sock, suppress(OSError):
        for at in range(0, len(octets), _BATCH_BYTES) if reads else ():
            batch = octets[at : at + _BATCH_BYTES]
            sock.sendall(batch)
            sock.recv(len(batch) - 27, socket.MSG_WAITALL)  # an answer is as long, and the last may be late
        sock.sendall(records.data(b"end") if reads else octets + records.data(b"end"))
        over.wait(60)


class Front(asyncio.Protocol):
    """Ends the TLS of a client."""

    def __init__(self, context: ssl.SSLContext, sink: Sink) -> None:
        self._context = context
        self._sink = sink
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        server_handshake.begin(self._transport, self._context, TlsReads(), data, 30.0, self._ended)

    def _ended(self, result: Secured | Exception) -> None:
        assert isinstance(result, Secured)
        result.hand_over(self._sink)


async def _never(host: str, port: int) -> list[str]:
    raise AssertionError(host)


async def _dial(
    authority: Authority, keys: Path, flood: Flood, count: int = 1, *, reads: bool = False
) -> tuple[set[bytes], float]:
    """Connect to `count` servers that flood. Returns the data received and the longest turn."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        dialer, tls = Dialer(_never), TlsIdentity(ca=authority.ca_file)
        sinks, servers = list[Sink](), list[threading.Thread]()
        over = threading.Event()
        begin = threading.Event()  # not before all handshakes: they hold the loop as well
        for number in range(count):
            context, its_keys = authority.server_context(HOST), keys.with_name(str(number))
            accepted = threading.Thread(
                target=lambda context=context, its_keys=its_keys: _flooding(
                    listener.accept()[0], context, its_keys, flood, begin=begin, over=over, reads=reads
                )
            )
            accepted.start()
            servers.append(accepted)
            sinks.append(await dialer.open(Sink, ["127.0.0.1"], port, server_name=HOST, tls=tls))
        watch = Watch()
        begin.set()
        with anyio.fail_after(60):
            for sink in sinks:
                await sink.done.wait()
        longest_s = watch.stop()
        over.set()
        for sink in sinks:
            sink.transport.abort()
        for server in servers:
            await anyio.to_thread.run_sync(server.join)
    return {sink.received.lstrip(b"\0") for sink in sinks}, longest_s


async def _accept(
    authority: Authority, keys: Path, flood: Flood, *, reads: bool = False
) -> tuple[bytes, float]:
    """Serve a client that floods. Returns the data received and the longest turn."""
    sink = Sink()
    front = Front(authority.server_context(HOST), sink)
    server = await asyncio.get_running_loop().create_server(lambda: front, "127.0.0.1", 0)
    begin, over = threading.Event(), threading.Event()
    sock = socket.create_connection(server.sockets[0].getsockname())
    client = threading.Thread(
        target=_flooding,
        args=(sock, authority.client_context(), keys, flood, HOST),
        kwargs={"begin": begin, "over": over, "reads": reads},
    )
    client.start()
    with anyio.fail_after(60):
        await sink.secured.wait()
        watch = Watch()
        begin.set()
        await sink.done.wait()
    longest_s = watch.stop()
    over.set()
    sink.transport.abort()
    server.close()
    await anyio.to_thread.run_sync(client.join)
    return sink.received.lstrip(b"\0"), longest_s


@FLOODS
def test_an_upstream_that_sends_messages_without_data_does_not_hold_the_loop(
    flood: Flood, authority: Authority, tmp_path: Path
) -> None:
    received, longest_s = uvloop.run(_dial(authority, tmp_path / "keys", flood))
    assert received == {b"end"}
    assert longest_s < LONGEST_S


@pytest.mark.parametrize("flood", [_updates, _updates_to_answer, _updates_after_data])
def test_a_client_that_sends_messages_without_data_does_not_hold_the_loop(
    flood: Flood, authority: Authority, tmp_path: Path
) -> None:
    received, longest_s = uvloop.run(_accept(authority, tmp_path / "keys", flood))
    assert received == b"end"
    assert longest_s < LONGEST_S


def test_several_such_upstreams_wait_for_each_other(authority: Authority, tmp_path: Path) -> None:
    received, longest_s = uvloop.run(_dial(authority, tmp_path / "keys", _updates, count=8))
    assert received == {b"end"}
    assert longest_s < 2 * LONGEST_S


@pytest.mark.parametrize(("reads", "received"), [(False, b""), (True, b"end")], ids=["unread", "read"])
def test_only_an_upstream_that_leaves_the_answers_of_tls_unread_is_cut_off(
    reads: bool, received: bytes, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_reads, "MOST_UNREAD_BYTES", 256 * 1024)
    got, _ = uvloop.run(_dial(authority, tmp_path / "keys", _many_to_answer, reads=reads))
    assert got == {received}


@pytest.mark.parametrize(("reads", "received"), [(False, b""), (True, b"end")], ids=["unread", "read"])
def test_only_a_client_that_leaves_the_answers_of_tls_unread_is_cut_off(
    reads: bool, received: bytes, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_reads, "MOST_UNREAD_BYTES", 256 * 1024)
    got, _ = uvloop.run(_accept(authority, tmp_path / "keys", _many_to_answer, reads=reads))
    assert got == received


class Generous(Sink):
    """Answers each octet with 64 KiB, unless flow control tells it to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_bytes = 0
        self.is_full = False
        self.answered = threading.Event()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self.is_full:
            self.transport.write(bytes(65536))
            self.sent_bytes += 65536
        self.answered.set()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False


def test_what_is_written_for_a_client_that_reads_late_does_not_count(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP/2 writes so where its peer opens a window while what it was sent is still on its way."""
    monkeypatch.setattr(tls_reads, "MOST_UNREAD_BYTES", 1024)  # a question is 23 bytes

    def ask_much(sock: socket.socket, sink: Generous) -> int:
        with authority.client_context().wrap_socket(sock, server_hostname=HOST) as tls:
            while not sink.is_full:
                tls.sendall(b"?")
                assert sink.answered.wait(60)
                sink.answered.clear()
            received = 0
            while received < sink.sent_bytes and (piece := tls.recv(65536)):
                received += len(piece)
            return received

    async def main() -> None:
        sink, context = Generous(), authority.server_context(HOST)
        front = Front(context, sink)
        server = await asyncio.get_running_loop().create_server(lambda: front, "127.0.0.1", 0)
        sock = socket.create_connection(server.sockets[0].getsockname())
        try:
            received = await anyio.to_thread.run_sync(ask_much, sock, sink)
        finally:
            server.close()
            sink.transport.abort()
        assert received == sink.sent_bytes

    uvloop.run(main())


def test_asyncios_own_loop_reads_such_messages_too(authority: Authority, tmp_path: Path) -> None:
    received, longest_s = asyncio.run(_dial(authority, tmp_path / "keys", _updates))
    assert received == {b"end"}
    assert longest_s < LONGEST_S


class Slow(Sink):
    """Pauses after each piece, and takes the next one once the loop has had some turns."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self.transport.pause_reading()
        self._wait(20)

    def _wait(self, turns: int) -> None:
        if turns:
            asyncio.get_running_loop().call_soon(self._wait, turns - 1)
        else:
            self.transport.resume_reading()


def _last_words(sock: socket.socket, context: ssl.SSLContext, name: str | None = None) -> None:
    """Send 300 KB and close, without close_notify."""
    tls = context.wrap_socket(sock, server_side=name is None, server_hostname=name)
    tls.sendall(bytes(300_000) + b"end")
    tls.close()


def test_a_slow_reader_gets_all_that_an_upstream_sent_before_it_closed(authority: Authority) -> None:
    async def main(listener: socket.socket) -> None:
        sender = threading.Thread(
            target=lambda: _last_words(listener.accept()[0], authority.server_context(HOST))
        )
        sender.start()
        port, tls = listener.getsockname()[1], TlsIdentity(ca=authority.ca_file)
        sink = await Dialer(_never).open(Slow, ["127.0.0.1"], port, server_name=HOST, tls=tls)
        with anyio.fail_after(60):
            await sink.done.wait()
        sink.transport.abort()
        await anyio.to_thread.run_sync(sender.join)
        assert len(sink.received) == 300_003

    with socket.create_server(("127.0.0.1", 0)) as listener:
        uvloop.run(main(listener))


def test_a_slow_reader_gets_all_that_a_client_sent_before_it_closed(authority: Authority) -> None:
    async def main() -> None:
        sink, context = Slow(), authority.server_context(HOST)
        context.num_tickets = 0  # as for every client of nono: closing with unread ones would be a reset
        front = Front(context, sink)
        server = await asyncio.get_running_loop().create_server(lambda: front, "127.0.0.1", 0)
        sock = socket.create_connection(server.sockets[0].getsockname())
        sender = threading.Thread(target=_last_words, args=(sock, authority.client_context(), HOST))
        sender.start()
        with anyio.fail_after(60):
            await sink.done.wait()
        sink.transport.abort()
        server.close()
        await anyio.to_thread.run_sync(sender.join)
        assert len(sink.received) == 300_003

    uvloop.run(main())


class Tls(asyncio.BufferedProtocol):
    """Stands for the protocol of TLS; `now_s` is the time that its reads have taken."""

    def __init__(self) -> None:
        self.takes_s = self.now_s = 0.0
        self._buffer = bytearray(256 * 1024)

    def get_buffer(self, sizehint: int) -> memoryview:
        return memoryview(self._buffer)

    def buffer_updated(self, nbytes: int) -> None:
        self.now_s += self.takes_s


class Socket:
    """Stands for the transport of `tls`, which always has more to read."""

    def __init__(self, tls: Tls) -> None:
        self.is_paused = False
        self._tls = tls
        self._protocol: asyncio.BufferedProtocol = tls

    def get_protocol(self) -> asyncio.BufferedProtocol:
        return self._protocol

    def set_protocol(self, protocol: asyncio.BufferedProtocol) -> None:
        self._protocol = protocol

    def is_closing(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return not self.is_paused

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def read(self, takes_s: float) -> int:
        """Read as much as there is room for. Returns how much that was."""
        self._tls.takes_s = takes_s
        room = len(memoryview(self._protocol.get_buffer(-1)))
        self._protocol.buffer_updated(room)
        return room


def _shared(monkeypatch: pytest.MonkeyPatch, reads: TlsReads) -> Socket:
    tls = Tls()
    monkeypatch.setattr(tls_reads, "perf_counter", lambda: tls.now_s)
    made = Socket(tls)
    reads.share(cast(asyncio.Transport, made))
    return made


def _hold_the_loop() -> None:
    time.sleep(0.002)  # more than the millisecond in which uvloop's clock seems to stand still


def test_reads_are_small_once_they_take_long_and_grow_while_they_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def main() -> None:
        made = _shared(monkeypatch, TlsReads())
        assert [made.read(0) for _ in range(3)] == [16384, 32768, 65536]
        assert (made.read(0.004), made.is_paused) == (65536, True)
        await asyncio.sleep(0)
        assert not made.is_paused  # the next turn is counted by itself
        assert [made.read(0) for _ in range(5)] == [4096, 8192, 16384, 32768, 65536]

    uvloop.run(main())


def test_the_reads_of_a_turn_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        made = _shared(monkeypatch, TlsReads())
        for _ in range(3):  # each in a turn of its own
            made.read(0.002)
            assert not made.is_paused
            await asyncio.sleep(0)
        made.read(0.002)
        assert not made.is_paused
        _hold_the_loop()  # in the same turn
        made.read(0.002)
        assert made.is_paused

    uvloop.run(main())


def test_what_tls_has_paused_is_resumed_by_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(is_paused: bool) -> bool:
        made = _shared(monkeypatch, TlsReads())
        made.is_paused = is_paused
        made.read(0.004)
        assert made.is_paused
        await asyncio.sleep(0)
        return made.is_paused

    assert uvloop.run(main(is_paused=True))
    assert not uvloop.run(main(is_paused=False))


def test_one_of_those_that_wait_is_read_in_each_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        reads = TlsReads()
        several = [_shared(monkeypatch, reads) for _ in range(3)]
        for each in several:
            monkeypatch.setattr(tls_reads, "perf_counter", lambda each=each: each._tls.now_s)
            each.read(0.004)
        for done in range(1, 4):
            await asyncio.sleep(0)
            assert [each.is_paused for each in several] == [False] * done + [True] * (3 - done)

    uvloop.run(main())


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(str(tmp_path / "ca.pem"))
