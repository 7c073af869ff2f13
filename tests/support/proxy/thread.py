"""Run the proxy on a uvloop in its own thread, with the parts around it that a test scripts."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, cast

import anyio

from nono.approval.request import Approver
from nono.audit.event import Event
from nono.audit.outcomes import outcome_rows
from nono.credentials.values.credential import (
    Credential,
    Injected,
    Injection,
    LeakDetector,
    Outgoing,
    RequestFacts,
)
from nono.policy.hosts.host_filter import Allow, Refuse
from nono.policy.hosts.upstream import Upstream
from nono.policy.schema.route_rules import Inject, TlsIdentity
from nono.proxy.config import (
    Address,
    Admits,
    Collaborators,
    DestinationOf,
    IsOurs,
    OpenProgram,
    ProxyConfig,
    Recognises,
)
from nono.proxy.conversation.run_turns import OnTurn
from nono.proxy.flows.recorder import FlowRecorder
from nono.proxy.server import RunningProxy, serve
from nono.proxy.transport.deadline import Deadline
from nono.proxy.transport.splice import TimedEnd
from nono.proxy.upstream.dial import Resolver
from nono.proxy.verdict.host_policy import HostPolicy
from nono.proxy.verdict.routes import Route
from nono.secret import Secret
from support.proxy.loop_clock import LoopClock

TIMEOUT_S = 20.0
TOKEN = "session-token-of-this-test"
PHANTOM = "sk-phantom-of-alpha"
REAL_KEY = "sk-real-key-of-alpha"


@dataclass(frozen=True)
class Hosts:
    """Allow every name and every address except those denied.

    only_routes: Names are allowed only through credential routes.
    """

    denied: frozenset[str] = frozenset()
    denied_addresses: frozenset[str] = frozenset()
    raw: frozenset[tuple[str, int]] = frozenset()
    only_routes: bool = False

    def judge_name(self, host: str, port: int) -> Allow | Refuse:
        if self.only_routes:
            return Refuse(f"host {host} is not in the allow list", None, "the test", "add it")
        if host in self.denied:
            return Refuse(f"host {host} is in the deny list", host, "the test", "remove it")
        return Allow(None, None)

    def judge_addresses(self, host: str, port: int, addresses: Sequence[str]) -> Allow | Refuse:
        bad = [address for address in addresses if address in self.denied_addresses]
        return (
            Refuse(f"resolved IP {bad[0]} is denied", bad[0], "the test", None) if bad else Allow(None, None)
        )

    def allows_raw(self, host: str, port: int) -> bool:
        return (host, port) in self.raw

    def for_route(self, host: str, port: int, origin: str) -> HostPolicy:
        return replace(self, only_routes=False)


@dataclass
class FakeCredential:
    """A header that is available at once. A test that needs another kind creates it with nono.credentials."""

    header: str = "Authorization"
    content: bytes = field(default=b"Bearer " + REAL_KEY.encode(), repr=False)
    needs_body: bool = False
    refused: list[RequestFacts] = field(default_factory=list)  # requests that the upstream answered 401

    @property
    def header_names(self) -> frozenset[bytes]:
        return frozenset((self.header.lower().encode(),))

    def inject(self, request: Outgoing) -> Injected:
        return Injected(request.target, [(self.header.encode(), self.content)])

    def at_hand(self, request: RequestFacts) -> Injection | None:
        return self

    async def acquire(self, request: RequestFacts) -> Injection:
        return self

    def rejected(self, request: RequestFacts) -> None:
        self.refused.append(request)

    def tripwire(self) -> LeakDetector | None:
        return None


def a_route(
    port: int,
    *,
    service: str = "alpha",
    host: str = "127.0.0.1",
    scheme: str = "http",
    base_path: str = "",
    phantom: str = PHANTOM,
    credential: Credential | None = None,
    loaded: bool = True,
    tls_ca: str | None = None,
    **changes: object,
) -> Route:
    """Return a route with a credential. changes: further fields of Route."""
    credential = (credential or FakeCredential()) if loaded else None
    header = Inject(header=credential.header if isinstance(credential, FakeCredential) else "Authorization")
    route = Route(
        service=service,
        origin=Upstream(scheme, host, port, base_path),
        accept=header,
        inject=header,
        credential=credential,
        phantom=Secret(phantom) if loaded else None,
        base_url_variable=f"{service.upper()}_BASE_URL",
        tls=TlsIdentity(ca=tls_ca),
    )
    return replace(route, **changes)  # type: ignore[arg-type]  # a test names the fields it changes


@dataclass
class Recording:
    """A recorder that keeps its events, and fails from the moment it is told to."""

    events: list[Event] = field(default_factory=list)
    failing: bool = False

    def __call__(self, event: Event) -> None:
        if self.failing:
            raise OSError("disk full")
        self.events.append(event)

    @property
    def network(self) -> list[dict[str, object]]:
        return [cast(dict[str, object], event["event"]) for event in self.events if "event" in event]

    @property
    def outcomes(self) -> list[dict[str, object]]:
        """Return how requests ended, as far as that has been written."""
        return [outcome for event in self.events for outcome in outcome_rows(event)]

    def decisions(self) -> list[tuple[object, object]]:
        return [(event["decision"], event.get("denial_category")) for event in self.network]


@dataclass
class Names:
    """A resolver that answers from a table and keeps what it was asked."""

    table: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        answers = self.table.get(host, [["127.0.0.1"]])
        if not answers:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@dataclass
class ProxyUnderTest:
    running: RunningProxy
    recording: Recording
    names: Names
    _token: anyio.lowlevel.EventLoopToken

    @property
    def port(self) -> int:
        return self.running.port

    def on_loop[T](self, work: Callable[[], T]) -> T:
        """Do something on the proxy's loop."""
        return anyio.from_thread.run_sync(work, token=self._token)

    def let_pass(self, seconds: float) -> None:
        """Do to the connections of clients what so many silent seconds would, at once.

        What was sent before has been read by then, and what is under way to a client has arrived unless the
        client has no room for it. So a test keeps the limits of a real run, which no machine is too slow for.
        """
        wait_until(self._is_at_rest)
        self.on_loop(lambda: _let_pass(self.running, seconds))

    def _is_at_rest(self) -> bool:
        """Take turns of the loop. Returns True if the kernel had nothing to do for a client in them."""
        before = self.on_loop(lambda: _flows(self.running))
        for _ in range(5):  # one accepts, others read, and take up what was left for later
            self.on_loop(lambda: None)
        after = self.on_loop(lambda: _flows(self.running))
        return before == after and all(flow.rests for flow in after)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Stop the proxy's loop for the block, after which everything that arrived meanwhile is there."""
        stands, goes_on = threading.Event(), threading.Event()

        def stand() -> None:
            stands.set()
            goes_on.wait(TIMEOUT_S)

        thread = threading.Thread(
            target=anyio.from_thread.run_sync, args=(stand,), kwargs={"token": self._token}
        )
        thread.start()
        assert stands.wait(TIMEOUT_S)
        try:
            yield
        finally:
            goes_on.set()
            thread.join(TIMEOUT_S)

    @contextmanager
    def clocked(self) -> Iterator[LoopClock]:
        """Measure the turns of the proxy's loop in this block."""
        # Its imports do not belong to a turn of a run.
        anyio.from_thread.run_sync(self.running.serving, token=self._token)
        clock = LoopClock()
        anyio.from_thread.run_sync(clock.start, token=self._token)
        try:
            yield clock
        finally:
            anyio.from_thread.run_sync(clock.stop, token=self._token)


_TCP_INFO = struct.Struct("@24xI116xI52xQ20xI")  # <linux/tcp.h>: struct tcp_info, the fields of _Flow


class _Flow(NamedTuple):
    """What the kernel has done with the bytes for one client."""

    unacknowledged: int  # segments
    unsent: int  # bytes
    sent: int  # bytes
    room: int  # that the client has for more

    @property
    def rests(self) -> bool:
        return not self.room or not (self.unacknowledged or self.unsent)


def _flows(running: RunningProxy) -> list[_Flow]:
    flows = list[_Flow]()
    for member in running.serving().context.connections.members:
        transport = getattr(member, "transport", None) or getattr(member, "_transport", None)
        connection = transport.get_extra_info("socket") if transport is not None else None
        if connection is not None and connection.fileno() >= 0:
            told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
            flows.append(_Flow._make(_TCP_INFO.unpack(told)))
    return flows


def _let_pass(running: RunningProxy, seconds: float) -> None:
    for member in running.serving().context.connections.members:
        if isinstance(member, TimedEnd):
            member.last_active -= seconds
    loop = asyncio.get_running_loop()
    for deadline in [each for each in gc.get_objects() if type(each) is Deadline]:
        if deadline._loop is loop and deadline._at is not None and deadline._timer is not None:
            deadline._at -= seconds
            deadline._timer.cancel()
            deadline._tick()


def narrow_listener() -> socket.socket:
    """Return a listener for a proxy whose kernel buffers hold only a few kilobytes of its answers.

    If the client reads little (receive_buffer), the proxy itself has to keep the rest.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # accepted sockets inherit it
    listener.setblocking(False)
    return listener


@contextmanager
def proxy(
    *routes: Route,
    hosts: HostPolicy | None = None,
    admits: Admits | None = None,
    is_ours: IsOurs | None = None,
    recognises: Recognises | None = None,
    destination_of: DestinationOf | None = None,
    names: Names | None = None,
    resolver: Resolver | None = None,
    recording: Recording | None = None,
    alarm: Callable[[str], None] = print,
    approver: Approver | None = None,
    flows: FlowRecorder | None = None,
    on_turn: OnTurn | None = None,
    programs: Mapping[Address, OpenProgram] | None = None,
    listener: socket.socket | None = None,
    **changes: object,
) -> Iterator[ProxyUnderTest]:
    """Yield a running proxy, which is ended when the block is left. changes: fields of ProxyConfig."""
    recording = recording or Recording()
    names = names or Names()
    config = ProxyConfig(hosts=hosts or Hosts(), session_token=Secret(TOKEN), routes=routes)
    config = config._replace(**changes)  # type: ignore[arg-type]  # a test names the fields it changes
    started = threading.Event()
    state: dict[str, object] = {}

    async def main() -> None:
        stop = state["stop"] = anyio.Event()
        state["token"] = anyio.lowlevel.current_token()
        serving = serve(
            config,
            Collaborators(
                recording,
                resolver or names,
                alarm,
                admits=admits,
                is_ours=is_ours,
                recognises=recognises,
                destination_of=destination_of,
                approver=approver,
                flows=flows,
                on_turn=on_turn,
                programs=programs or {},
            ),
            listener,
        )
        async with serving as running:
            state["running"] = running
            started.set()
            await stop.wait()
        state["left"] = (running.client_connections, running.upstream_connections)

    def run() -> None:
        try:
            anyio.run(main, backend_options={"use_uvloop": True})
        except BaseException as fault:
            state["fault"] = fault
        finally:
            started.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(TIMEOUT_S)
    if "fault" in state:
        raise cast(BaseException, state["fault"])
    token = cast(anyio.lowlevel.EventLoopToken, state["token"])
    try:
        yield ProxyUnderTest(cast(RunningProxy, state["running"]), recording, names, token)
    finally:
        stop = cast(anyio.Event, state["stop"])
        anyio.from_thread.run_sync(stop.set, token=token)
        thread.join(TIMEOUT_S)
        assert not thread.is_alive(), "the proxy does not end"
        if "fault" in state:
            raise cast(BaseException, state["fault"])
        assert state["left"] == (0, 0), "connections outlived the proxy"


@dataclass
class Response:
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes
    interim: list[int]

    def value(self, name: str) -> str | None:
        return next((value for field_name, value in self.fields if field_name == name.lower()), None)


class Client:
    """A client connection that writes what it is told and reads one response at a time."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.transport: socket.socket = socket.socket()
        if receive_buffer is not None:
            self.transport.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.transport.settimeout(TIMEOUT_S)
        self.transport.connect(("127.0.0.1", port))
        self.transport.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()  # bytes would be copied with every piece

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.transport.close()

    def send(self, piece: bytes) -> None:
        self.transport.sendall(piece)

    def receive(self) -> bytes:
        """Return what arrives next; b"" at the end."""
        piece = self.transport.recv(65536)
        self._buffer += piece
        return piece

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            assert self.receive(), f"the connection ended after {self._buffer!r}"
        return self._take(self._buffer.index(mark) + len(mark))

    def read_exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            assert self.receive(), f"the connection ended after {self._buffer!r}"
        return self._take(count)

    def _take(self, count: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:count])
        del self._buffer[:count]
        return taken

    def head(self) -> tuple[int, str, list[tuple[str, str]]]:
        lines = self.read_until(b"\r\n\r\n").decode("latin-1").split("\r\n")[:-2]
        version, status, reason = (lines[0] + " ").split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = [line.partition(":") for line in lines[1:]]
        return int(status), reason.strip(), [(name.lower(), value.strip()) for name, _, value in pairs]

    def response(self, *, to_head: bool = False) -> Response:
        """Return the whole next final response."""
        interim: list[int] = []
        while True:
            status, reason, fields = self.head()
            if status >= 200:
                break
            interim.append(status)
        table = dict(fields)
        if to_head or status in (204, 304):
            body = b""
        elif table.get("transfer-encoding") == "chunked":
            body = self.chunks()
        elif "content-length" in table:
            body = self.read_exactly(int(table["content-length"]))
        else:
            body = self.rest()
        return Response(status, reason, fields, body, interim)

    def chunk(self) -> bytes:
        size = int(self.read_until(b"\r\n").split(b";")[0], 16)
        piece = self.read_exactly(size)
        if size:
            assert self.read_exactly(2) == b"\r\n"
        return piece

    def chunks(self) -> bytes:
        body = b""
        while piece := self.chunk():
            body += piece
        while self.read_until(b"\r\n") != b"\r\n":
            pass
        return body

    def rest(self) -> bytes:
        while self.receive():
            pass
        return self._take(len(self._buffer))

    def is_closed(self) -> bool:
        """Return True if the other end closes without sending anything more. Blocks until it does either."""
        try:
            return not self._buffer and not self.transport.recv(1)
        except ConnectionResetError:
            return True

    def start_tls(self, server_name: str, context: ssl.SSLContext) -> ssl.SSLSocket:
        return context.wrap_socket(self.transport, server_hostname=server_name)


@contextmanager
def bounded_growth(limit_mib: float) -> Iterator[None]:
    """Fail if this process, in which the proxy runs, holds so much more memory when the block is left."""

    def resident_mib() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    before = resident_mib()
    yield
    assert resident_mib() - before < limit_mib


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until condition holds; AssertionError after TIMEOUT_S. For changes that no event announces."""
    pause = threading.Event()
    for _ in range(int(TIMEOUT_S / 0.01)):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not come about")
