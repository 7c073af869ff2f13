"""Open a CONNECT tunnel to a vetted address once the client speaks TLS for that host, or SSH.

A tunnel may lead to a program instead, which is started for it (`ProxyContext.programs`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

import anyio

from nono.errors import reason_of
from nono.policy.hosts.hostname import HostError, canonical_host
from nono.proxy.exchange.client_side import Hijackable
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.exchange.course import Course
from nono.proxy.handshake import client_hello, second_hello, ssh_identification
from nono.proxy.handshake.client_hello import Hello, NeedMore, NotTls
from nono.proxy.http import refusal
from nono.proxy.http.refusal import Refusal
from nono.proxy.transport.splice import SpliceEnd, TimedEnd
from nono.proxy.verdict import audit_events
from nono.proxy.verdict.host_policy import refused_since
from nono.proxy.verdict.verdict import Tunnel

if TYPE_CHECKING:
    from nono.proxy.config import OpenProgram

# RFC 8446 section 6: a fatal access_denied alert, so that the client's error says more than "closed".
_ACCESS_DENIED = bytes((21, 3, 3, 0, 2, 2, 49))
_NEVER_S = 366 * 24 * 3600.0  # a program may wait for its client as long as it likes
_LOOK_EVERY_S = 0.5  # interval of checks that the client still waits


class Waiting(Hijackable, Protocol):
    """The connection whose CONNECT is not answered yet."""

    @property
    def is_gone(self) -> bool: ...


class TunnelOpening:
    """The steps between a CONNECT and its answer: look-up, vetting, record, dial.

    The dial precedes the 200, so that an unreachable host is answered with 502 or 504 and the reason. No
    client byte is sent upstream before its ClientHello has been judged.
    """

    wants_pause = True  # the bytes after the head belong to the tunnel

    def __init__(self, context: ProxyContext, client: Waiting, verdict: Tunnel) -> None:
        self._context = context
        self._client = client
        self._verdict = verdict
        self._course: Course | None = None  # None until the tunnel is recorded
        self._program = context.programs.get((verdict.host, verdict.port))
        self._over = False
        self._scope: anyio.CancelScope | None = None
        self._next_look: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._look_later()
        self._context.spawn(self._run)

    def _look_later(self) -> None:
        self._next_look = asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        """Give the dial up when the client is gone: nothing reports that while reading is paused."""
        if self._client.is_gone:
            self._client.abort()
        else:
            self._look_later()

    def note_if_refused(self) -> bool:
        """Judge the host by the current rules. If they refuse it, note that the tunnel ends for that."""
        reason = refused_since(self._verdict.hosts, self._verdict.host, self._verdict.port)
        if reason is not None and self._course is not None:
            self._course.failed("blocked", reason)
        return reason is not None

    async def _run(self) -> None:
        with anyio.CancelScope() as scope:
            self._scope = scope
            try:
                reached = None if self._over else await self._reach()
            except Exception:
                self._over, was_over = True, self._over
                if not was_over and self._course is not None:
                    self._course.failed("proxy", "a fault of the proxy")
                    self._course.end()
                self._client.abort()
                raise
            finally:
                self._scope = None
                if self._next_look is not None:
                    self._next_look.cancel()
            if isinstance(reached, Refusal):
                self._refuse(reached)
            elif reached is not None:
                self._reached(reached)

    def _reached(self, upstream: TunnelUpstream) -> None:
        course = self._course
        if self._over or course is None:
            upstream.abort()
            return
        self._over = True
        idle_timeout_s = self._context.tunnel_idle_timeout_s if self._program is None else _NEVER_S
        TunnelClient(self._context, self._client, self._verdict, upstream, course, idle_timeout_s).take_over()

    async def _reach(self) -> TunnelUpstream | Refusal:
        context, verdict = self._context, self._verdict
        if self._program is not None:
            return await self._reach_program(self._program)
        return await context.connector.connect(
            lambda: TunnelUpstream(context.tunnel_ends),
            verdict.host,
            verdict.port,
            hosts=verdict.hosts,
            may_begin=self._record,
            sends_key=False,
        )

    async def _reach_program(self, start: OpenProgram) -> TunnelUpstream | Refusal:
        context = self._context
        if not self._record():
            return refusal.not_recorded()
        try:
            stream = await start()
        except OSError as error:
            reason = f"the program cannot be started: {reason_of(error)}"
            return refusal.upstream_failed(self._verdict.host, reason, "proxy")
        try:
            _, end = await asyncio.get_running_loop().create_unix_connection(
                lambda: TunnelUpstream(context.tunnel_ends), sock=stream
            )
        except BaseException:
            stream.close()
            raise
        return end

    def _record(self) -> bool:
        self._course = self._context.carry_out(self._verdict.entry)
        return self._course is not None

    def _refuse(self, answer: Refusal) -> None:
        if not self._over:
            self._over = True
            if self._course is not None:
                self._course.refused(answer)
                self._course.end()
            self._client.refuse(self._verdict.entry, answer)

    def request_progress(self) -> None:
        """A CONNECT has no body."""

    def client_paused(self, paused: bool) -> None:
        """Nothing is sent to the client yet."""

    def client_malformed(self, answer: Refusal) -> None:
        self._refuse(answer)

    def client_lost(self) -> None:
        if not self._over and self._course is not None:
            self._course.failed("client", "the client went away")
            self._course.end()
        self._over = True
        if self._scope is not None:
            self._scope.cancel()


class TunnelUpstream(SpliceEnd):
    """The host's end. on_answer: Called with each read, and at the end, before its bytes may flow."""

    on_answer: Callable[[], None] | None = None

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.on_answer is not None:
            self.on_answer()

    def eof_received(self) -> bool:
        goes_on = super().eof_received()
        if self.on_answer is not None:
            self.on_answer()
        return goes_on


class TunnelClient(TimedEnd):
    """The client's end; holds the first bytes back until they form a ClientHello for the CONNECT host.

    If the host asks for a second one, that is held back as well. On the SSH port, an SSH identification line
    is accepted too.
    """

    def __init__(
        self,
        context: ProxyContext,
        client: Hijackable,
        verdict: Tunnel,
        upstream: TunnelUpstream,
        course: Course,
        idle_timeout_s: float,
    ) -> None:
        super().__init__(context.connections, idle_timeout_s)
        self._context = context
        self._client = client
        self._verdict = verdict
        self._upstream = upstream
        self._course = course
        self._asked = False  # the host has the ClientHello; what else the client sends waits for the answer
        self._asked_again = False
        self.refused_since = partial(refused_since, verdict.hosts, verdict.host, verdict.port)
        course.status = 200
        course.goes_on_in(self)

    def take_over(self) -> None:
        """Answer the CONNECT and take over the client's connection."""
        transport, leftover = self._client.hand_over(self)
        transport.write(self._client.established)
        self.other, self._upstream.other = self._upstream, self
        if self._verdict.raw:
            self._splice(leftover)
        else:
            self._deadline.set(self._context.head_timeout_s)
            transport.resume_reading()
            if leftover:
                self.data_received(leftover)

    def data_received(self, data: bytes) -> None:
        if self.flowing:
            super().data_received(data)
            return
        if self.other is None:
            return  # denied; later bytes are dropped
        if self._asked and not self._asked_again:
            super().data_received(data)
            if second_hello.cannot_follow(self.early):
                self._go_on()
            return
        self.early += data
        if self._asked_again:
            self._judge_second()
            return
        if self._verdict.port == ssh_identification.PORT and not self._may_be_tls():
            return
        match client_hello.parse(self.early):
            case NeedMore():
                return
            case NotTls(reason):
                self._deny_as_no_raw_tunnel(reason)
            case Hello(None):
                self._deny("the ClientHello names no server")
            case Hello(str(name)):
                if self._names_host(name):
                    self._ask()
                else:
                    self._deny(f"the ClientHello names {refusal.one_line(name)}")

    def _ask(self) -> None:
        """Send the ClientHello, and nothing else before the answer shows whether another one follows."""
        size = second_hello.first_flight(self.early)
        if size is None:
            self._deny("something follows the ClientHello in its record")
            return
        self._asked = True
        hello, self.early = self.early[:size], self.early[size:]
        self._pass(self, self._upstream, hello)
        self._deadline.set(self._idle_timeout_s)
        self._upstream.on_answer = self._answered
        if second_hello.cannot_follow(self.early):
            self._go_on()
        elif self._upstream.early or self._upstream.ended:  # it has spoken first
            self._answered()

    def _answered(self) -> None:
        upstream = self._upstream
        again = second_hello.asks_again(upstream.early)
        if again == "more" and not upstream.ended:
            if upstream.transport is not None:
                upstream.transport.resume_reading()
            return
        if again != "yes":
            self._go_on()
            return
        upstream.on_answer = None
        self._asked_again = True
        answer, upstream.early = upstream.early, b""
        self._pass(upstream, self, answer)
        self._deadline.set(self._context.head_timeout_s)
        if self.transport is not None:
            self.transport.resume_reading()
        self._judge_second()

    def _go_on(self) -> None:
        self._upstream.on_answer = None
        self._splice()

    def _judge_second(self) -> None:
        match second_hello.parse(self.early):
            case NeedMore():
                if self.ended:
                    self._upstream.abort()
            case NotTls(reason):
                self._deny(reason)
            case Hello(str(name)) if self._names_host(name):
                self._splice()
            case Hello(name):
                self._deny(f"the second ClientHello names {refusal.one_line(name or 'no server')}")

    def _pass(self, source: SpliceEnd, target: SpliceEnd, piece: bytes) -> None:
        self.last_active = asyncio.get_running_loop().time()
        if target.transport is not None:
            source.moved += len(piece)
            target.transport.write(piece)

    def _may_be_tls(self) -> bool:
        """Let SSH begin on its port. Returns True if the first bytes may be those of TLS."""
        match ssh_identification.parse(self.early):
            case "more":
                return False
            case "ssh":
                self._begin_ssh()
                return False
            case "other":
                if self._verdict.only_ssh:
                    self._deny(f"logins get their tokens from {self._verdict.host}: only SSH passes here")
                return not self._verdict.only_ssh

    def _begin_ssh(self) -> None:
        # SSH names no host, and no shared front end multiplexes it by name, so there is nothing to compare.
        if self._context.record(audit_events.allowed(self._verdict.entry, reason="SSH is spoken")):
            self._splice()
        else:
            self._deny("the audit log could not be written")

    def _names_host(self, name: str) -> bool:
        try:
            return canonical_host(name) == self._verdict.host
        except HostError:
            return False

    def _deny_as_no_raw_tunnel(self, reason: str) -> None:
        # Imported here: only this message needs an address as text.
        from nono.proxy.http.upstream_proxy import authority

        where = authority(self._verdict.host, self._verdict.port)
        self._deny(f"{reason}, and {where} is not a raw tunnel", f'network.raw_tunnels: ["{where}"]')

    def _deny(self, reason: str, hint: str | None = None) -> None:
        answer = Refusal(403, reason, self._verdict.host, "server name", hint=hint, category="host_denied")
        self._course.failed("blocked", reason)
        # The tunnel ends here even if the event could not be recorded.
        self._context.record(audit_events.denied(self._verdict.entry, answer))
        self.early = b""
        if self.transport is not None:
            self.transport.write(_ACCESS_DENIED)
            self.transport.close()
        self.other = None  # keeps the upstream's end from overtaking the alert
        self._upstream.other = None
        self._upstream.on_answer = None
        self._upstream.abort()

    def _splice(self, first: bytes = b"") -> None:
        self.early += first
        self.join(self._upstream)

    def _overdue(self) -> None:
        if self.flowing or (self._asked and not self._asked_again):
            super()._overdue()
        elif self._asked_again:
            self._deny("no second ClientHello came in time")
        else:
            # The client of a database waits for its server, which speaks first.
            self._deny_as_no_raw_tunnel("no ClientHello came in time")

    def eof_received(self) -> bool:
        if self.flowing or (self._asked and not self._asked_again):
            return super().eof_received()
        self._upstream.abort()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.flowing:
            if not self.was_idle and (not self._asked or self._upstream.transport is not None):
                self._course.failed("client", "the client went away")
            self._upstream.abort()
        super().connection_lost(exc)
