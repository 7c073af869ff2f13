"""Hold the state shared by all connections of a proxy: dispatcher, connector, recorder, connection sets."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import anyio

from nono.audit.credential_events import credential_frozen
from nono.audit.event import Event, Recorder
from nono.audit.model_events import model_usage
from nono.proxy.exchange.admission import Admission
from nono.proxy.exchange.course import Course, Outcomes
from nono.proxy.exchange.held import HeldBytes
from nono.proxy.exchange.inspection import Inspection
from nono.proxy.http import refusal
from nono.proxy.http.refusal import Refusal
from nono.proxy.http.request_reader import FirstHeads
from nono.proxy.transport.connection_set import ConnectionSet
from nono.proxy.transport.outbox import Outbox
from nono.proxy.transport.tls_reads import TlsReads
from nono.proxy.transport.turns import Turns
from nono.proxy.upstream.connector import Connector
from nono.proxy.upstream.pool import Pool
from nono.proxy.usage.ledger import UsageLedger
from nono.proxy.usage.meter import Usage
from nono.proxy.verdict import audit_events
from nono.proxy.verdict.dispatch import Dispatcher
from nono.proxy.verdict.memo import Judge
from nono.proxy.verdict.routes import Route
from nono.proxy.verdict.verdict import Entry, Forward

if TYPE_CHECKING:
    import socket

    from nono.policy.hosts.live_hosts import LiveHosts
    from nono.proxy.conversation.run_turns import OnTurn, RunTurns
    from nono.proxy.conversation.watch import TurnWatch
    from nono.proxy.flows.flow import Flow
    from nono.proxy.flows.recorder import FlowRecorder
    from nono.proxy.http.message import RequestHead


def ignore(_: object) -> None:
    """Do nothing: an exchange without a route has no secret to find and no usage to count."""


# Limit for request bodies and login answers that are read whole before they are sent.
MAX_HELD_IN_ALL_BYTES = 64 * 1024 * 1024
MAX_NEAR_ANSWERS = 3  # with a long beginning of a secret, which only a sender who knows it can write
MAX_HTTP2_UPSTREAMS = 256  # upstream connections of HTTP/2 clients, whose streams cost them no descriptor
# Of all HTTP/2 clients. Each keeps its head, up to 64 KiB, and as much again of what is read of its bodies.
MAX_HTTP2_STREAMS = 1024
MAX_OWED_BYTES = 256 * 1024 * 1024  # received over HTTP/2 and not passed on yet, beyond one window each
MAX_DECODING_BYTES = 256 * 1024 * 1024  # the windows of the decoders of compressed bodies
MAX_CAPTURING = 8  # login answers parsed at once, each up to 1 MiB plus its objects


# Takes the host to impersonate and True if the client sent a key share for X25519.
ServerContext = Callable[[str, bool], ssl.SSLContext]


def no_authority(host: str, has_x25519: bool) -> ssl.SSLContext:
    raise ValueError(f"no certificate can be made for {host}")


class Renewals:
    """The renewals that a proxy has asked providers for and not stored yet."""

    def __init__(self) -> None:
        self._count = 0
        self._ended: anyio.Event | None = None  # set when the last one ends; None: nobody waits

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a renewal until the block is left."""
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1
            if self._count == 0 and self._ended is not None:
                self._ended.set()

    async def until_none(self) -> None:
        """Wait until none is in flight."""
        if self._count:
            self._ended = anyio.Event()
            await self._ended.wait()


@dataclass(frozen=True, slots=True)
class ProxyContext:
    """The collaborators of connections and exchanges. Times are in seconds."""

    dispatcher: Dispatcher
    judge: Judge  # the dispatcher's, or a memo of it
    # Why the rules of now refuse a request that was allowed; None if they do not.
    refused_since: Callable[[Forward], str | None]
    judge_known: Judge  # for requests without a token, on a connection that is known to come from the command
    connector: Connector
    pool: Pool
    recorder: Recorder
    admission: Admission
    usage: UsageLedger
    flows: FlowRecorder | None
    spawn: Callable[[Callable[[], Awaitable[None]]], object]  # starts a task in the proxy's task group
    live_hosts: LiveHosts | None = None  # the host rules of the dispatcher, if they may change
    asks_hosts: bool = False  # a person is asked about hosts that no rule allows
    connections: ConnectionSet = field(default_factory=ConnectionSet)  # of clients, including tunnels
    tunnel_ends: ConnectionSet = field(default_factory=ConnectionSet)  # the upstream ends of tunnels
    held: HeldBytes = field(default_factory=lambda: HeldBytes(MAX_HELD_IN_ALL_BYTES))
    http2_places: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(MAX_HTTP2_UPSTREAMS))
    http2_streams: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(MAX_HTTP2_STREAMS))
    http2_held: HeldBytes = field(default_factory=lambda: HeldBytes(MAX_OWED_BYTES))
    decoding: HeldBytes = field(default_factory=lambda: HeldBytes(MAX_DECODING_BYTES))
    outbox: Outbox = field(default_factory=Outbox)
    tls_reads: TlsReads = field(default_factory=TlsReads)  # of clients; the dialer has those of upstreams
    first_heads: FirstHeads = field(default_factory=FirstHeads)
    capturing: anyio.Semaphore = field(default_factory=lambda: anyio.Semaphore(MAX_CAPTURING))
    renewals: Renewals = field(default_factory=Renewals)
    server_context: ServerContext = no_authority
    head_timeout_s: float = 30.0
    idle_timeout_s: float = 120.0
    tunnel_idle_timeout_s: float = 3600.0
    on_turn: OnTurn | None = None  # awaited before a request that begins a person's turn is sent whole
    # By host and port: returns a socket to a program that it starts for a tunnel.
    programs: Mapping[tuple[str, int], Callable[[], Awaitable[socket.socket]]] = field(default_factory=dict)
    turns: Turns = field(init=False)
    outcomes: Outcomes = field(init=False)
    run_turns: list[RunTurns] = field(init=False)  # holds one item once a model was asked

    def __post_init__(self) -> None:
        object.__setattr__(self, "turns", Turns(self.outbox.send))
        object.__setattr__(self, "outcomes", Outcomes(self.recorder))
        object.__setattr__(self, "run_turns", [])

    def record(self, event: Event) -> bool:
        """Write an event. Returns False if that failed; the described action must then not happen."""
        try:
            self.recorder(event)
        except OSError:
            return False
        return True

    def carry_out(self, entry: Entry, *, reason: str | None = None) -> Course | None:
        """Record that a request is carried out now. Returns None if that failed: do not carry it out then."""
        event = audit_events.allowed(entry, reason=reason)
        return Course(self.outcomes.add, entry, event.sequence) if self.record(event) else None

    def refused(self, entry: Entry, answer: Refusal) -> Refusal:
        """Record a refusal, and freeze the credential that it says. Returns the answer for the client.

        The credential is frozen even if nothing can be recorded: it is no safer once the disk has room again.
        """
        is_recorded = self.record(audit_events.denied(entry, answer))
        if answer.freezes is not None:
            self.freeze(answer.freezes, answer.error)
        return answer if is_recorded else refusal.not_recorded()

    def freeze(self, service: str, why: str) -> bool:
        """Stop using the credential of `service`. Returns True the first time, when it is also recorded."""
        if not self.admission.freeze(service, why):
            return False
        self.record(credential_frozen(service, why))
        return True

    def watch_turn(self, verdict: Forward, request: RequestHead) -> TurnWatch | None:
        """Return the watch that finds out if a request begins a person's turn; None if it asks no model."""
        may_be = verdict.provider is not None or verdict.websocket_key is not None
        if verdict.route is None or not may_be:
            return None
        if not self.run_turns:
            # Imported here: not every run asks a model.
            from nono.proxy.conversation.run_turns import RunTurns

            turns = RunTurns(self.record, self.turns, self.held, self.decoding, self.spawn, self.on_turn)
            self.run_turns.append(turns)
        return self.run_turns[0].watch(verdict.route.service, verdict, request)

    def inspect(self, verdict: Forward, watch: TurnWatch | None) -> Inspection:
        """Build the inspection for the exchange of `verdict`."""
        route = verdict.route
        flow = None if self.flows is None else _begin_flow(self.flows, verdict)
        if route is None:
            return Inspection(verdict, flow, ignore, ignore, self.decoding)
        found = partial(self._leaked, route.service, verdict.origin.host)
        near = partial(self._nearly_leaked, route, verdict.origin.host)
        return Inspection(verdict, flow, found, partial(self._used, route, watch), self.decoding, near)

    def _leaked(self, service: str, host: str, where: str) -> bool:
        """Freeze the credential. Returns True if it was frozen before."""
        return not self.freeze(service, f"{host} sent the real secret back in {where}")

    def _nearly_leaked(self, route: Route, host: str) -> None:
        state = self.admission.state(route)
        state.near_answers += 1
        if state.near_answers == MAX_NEAR_ANSWERS:
            self.freeze(route.service, f"{host} sent the beginning of the real secret back again and again")

    def _used(self, route: Route, watch: TurnWatch | None, usage: Usage) -> None:
        self.usage.add(route.service, usage)
        self.record(
            model_usage(
                route.service,
                model=usage.model,
                input_tokens=usage.input_tokens,
                cached_input_tokens=usage.cached_input_tokens,
                cache_creation_tokens=usage.cache_creation_tokens,
                cache_creation_1h_tokens=usage.cache_creation_1h_tokens,
                output_tokens=usage.output_tokens,
                turn=None if watch is None else watch.turn,
                request=None if watch is None else watch.request,
            )
        )


def _begin_flow(flows: FlowRecorder, verdict: Forward) -> Flow:
    """Begin a flow with the request as sent, [REDACTED] in place of the credential."""
    origin, request, route = verdict.origin, verdict.request, verdict.route
    headers = [(b"Host", request.authority), *request.headers]
    if route is not None and route.inject.mode in ("header", "basic_auth"):
        headers.append((route.inject.header.encode("ascii"), b"[REDACTED]"))
    return flows.begin(
        method=request.method,
        scheme=origin.scheme,
        host=origin.host,
        port=origin.port,
        target=request.target,
        version=b"1.1",
        headers=headers,
    )
