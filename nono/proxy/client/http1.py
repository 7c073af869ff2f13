"""Serve HTTP/1.1 clients: take requests one by one, have each judged, and carried out or refused.

The transport may be plain TCP or the inside of an intercepted TLS connection.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Any, cast

from nono.proxy.client.entrance import Entrance
from nono.proxy.client.intake import Intake
from nono.proxy.client.jobs import Job, job_for
from nono.proxy.client.output import Output
from nono.proxy.client.time_limits import TimeLimits
from nono.proxy.client.tunnel import TunnelOpening
from nono.proxy.exchange.attempt import Attempt
from nono.proxy.exchange.client_side import ESTABLISHED
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.http import refusal, target
from nono.proxy.http.message import BodyKind, RequestHead
from nono.proxy.http.refusal import MAX_AUTHENTICATION_FAILURES, Cut, Refusal
from nono.proxy.http.request_reader import Incoming, Unreadable
from nono.proxy.transport import polled
from nono.proxy.transport.replaceable import Replaceable
from nono.proxy.transport.turns import BUDGET_S
from nono.proxy.verdict import audit_events
from nono.proxy.verdict.host_policy import HostPolicy, is_refused
from nono.proxy.verdict.verdict import ConnectTarget, Entry, Forward, Refused, Verdict
from nono.watch import watch

HTTP_PORT = 80
_DRAINED_BYTES = 64 * 1024  # a refused body up to this length is read and dropped, to keep the connection


class ClientConnection(Replaceable):
    """One client connection; closed by either end, by a deadline, or with the proxy.

    entrance: lets the connection in, or ends it unread; None inside an intercepted CONNECT.
    inside: the CONNECT this connection came through, if its TLS was terminated here.
    """

    established = ESTABLISHED

    def __init__(
        self,
        context: ProxyContext,
        entrance: Entrance | None = None,
        inside: ConnectTarget | None = None,
    ) -> None:
        self._context = context
        self._entrance = entrance
        self._inside = inside
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._intake: Intake  # none of the three is created if the client is already gone
        self._output: Output
        self._limits: TimeLimits
        self._pumps_soon = False
        self._current: Incoming | None = None  # the request being answered, or the last one
        self._active: Job | None = None  # the work on it; None before its verdict and after its answer
        self._last: tuple[HostPolicy, str, int] | None = None  # where the last request was sent
        self._discarding = False  # the last response was sent
        self._reading_paused = False
        self._peer_paused = False
        self._authentication_failures = 0
        self._is_known: bool | None = None  # None: not asked yet
        self._origin: tuple[str, int] | None = None  # where a client that knows of no proxy has connected
        self.winding_down = False

    # -- asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._context.connections.add(self)
        entrance = self._entrance
        peer: Any = () if entrance is None else transport.get_extra_info("peername")
        if peer is None:  # reset before it was accepted
            cast(asyncio.Transport, transport).abort()
            return
        self._transport = cast(asyncio.Transport, transport)
        self._intake = Intake(self._context.first_heads)
        self._output = Output(self._transport, self._context.outbox)
        self._limits = TimeLimits(self._context.head_timeout_s, self._context.idle_timeout_s, self._overdue)
        if self._context.connections.closing:
            self._transport.abort()
            return
        self._limits.between_requests(in_head=True)
        if entrance is not None:
            self._enter(entrance, self._transport, peer)

    def _enter(self, entrance: Entrance, transport: asyncio.Transport, peer: tuple[str, int]) -> None:
        local = transport.get_extra_info("sockname")
        destination = entrance.destination_of(peer[:2], local[:2])
        answer = entrance.enter(self, peer[:2], local[:2])
        try:
            watch(transport.get_extra_info("socket").fileno())
        except OSError:
            answer = Cut()
        match answer:
            case Cut():
                transport.abort()
            case _ if destination is not None:
                self._serve_transparently(destination, answer)
            case Refusal():
                self.refuse(audit_events.malformed_request(), answer)
            case None:
                pass

    def _serve_transparently(self, destination: tuple[str, int], refused: Refusal | None) -> None:
        """Serve a client that has connected to a host itself, and knows of no proxy."""
        if refused is None and not self._is_the_commands():  # its port is another program's by now
            refused = refusal.not_admitted()
        if destination[1] == HTTP_PORT and not self._context.dispatcher.hosts.allows_raw(*destination):
            self._origin = destination
            if refused is not None:
                self.refuse(audit_events.malformed_request(), refused)
            return
        # Imported here: few clients do.
        from nono.proxy.client.transparent import TransparentConnection

        successor = TransparentConnection(self._context, destination, self.connection_inside)
        self.hand_over(successor)
        successor.begin(refused)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._context.connections.discard(self)
        if self._entrance is not None:
            self._entrance.leave(self)
        if self._transport is None:  # it is a successor's
            return
        self._let_go()
        self._lose_job()

    def _let_go(self) -> None:
        """Drop the transport, which is lost or a successor's."""
        self._transport = None
        self._output.let_go()
        self._intake.stop()
        self._limits.cancel()

    def _lose_job(self) -> None:
        job, self._active = self._active, None
        if job is not None:
            job.client_lost()

    def eof_received(self) -> bool:
        # close() and shutdown(SHUT_WR) look the same here. Waiting to tell them apart would keep an upstream
        # busy in vain, so both mean that the client is gone.
        if self._transport is not None:
            self._output.send_held()
            if self._active is not None:
                self._transport.abort()
            else:
                self._transport.close()
        return False

    def pause_writing(self) -> None:
        self._peer_paused = True
        if self._active is not None:
            self._active.client_paused(True)

    def resume_writing(self) -> None:
        self._peer_paused = False
        if self._active is not None:
            self._active.client_paused(False)

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        self._intake.feed(data)
        if self._intake.has_unparsed and self._context.turns.is_spent():
            self._pump_soon()
            self.update_reading()
        else:
            self._pump()

    # -- one request after another

    def _pump(self) -> None:
        """Continue the active request, or start the next one in the queue."""
        if self._transport is None or self._discarding:
            return
        until = perf_counter() + BUDGET_S
        self._intake.parse_more(until)
        current = self._current
        if current is not None and current.fault is not None:
            self._current_is_malformed(current.fault.reason)
        elif self._active is not None:
            self._active.request_progress()
        elif current is not None and not current.complete:
            current.pieces.clear()  # answered already; the rest of its body is read and dropped
        queue = self._intake.queue
        while self._active is None and queue and not self._discarding:
            if self._current is not None and not self._current.complete:
                break
            self._start(queue.popleft())
            if perf_counter() >= until:
                break
        if self._has_more_to_pump:
            self._pump_soon()
        self.update_reading()

    @property
    def _has_more_to_pump(self) -> bool:
        """True if already read bytes can be processed, although nothing more will be read before that."""
        if self._discarding:
            return False
        if self._active is None:
            return self._intake.has_more  # hundreds of refused requests in one read
        return self._intake.has_unparsed and self._current is not None and not self._current.complete

    def _pump_soon(self) -> None:
        if not self._pumps_soon:
            self._pumps_soon = True
            self._loop.call_soon(self._pump_now)

    def _pump_now(self) -> None:
        self._pumps_soon = False
        try:
            self._pump()
        except Exception:  # otherwise nothing would end the connection
            self.abort()
            raise

    def _current_is_malformed(self, reason: str) -> None:
        if self._active is None:
            self._finish()
        else:
            self._active.client_malformed(refusal.malformed(400, f"the request body: {reason}"))

    def _start(self, request: Incoming | Unreadable) -> None:
        if isinstance(request, Unreadable):
            self._current = None
            answer = refusal.malformed(request.fault.status, request.fault.reason)
            self.refuse(audit_events.malformed_request(), answer)
            return
        self._current = request
        if request.fault is not None:
            self.refuse(audit_events.malformed_request(), refusal.malformed(400, request.fault.reason))
            return
        if self._origin is not None:
            request.head = target.in_absolute_form(request.head, *self._origin)
        verdict = self._judge(request.head)
        if self._entrance is not None and not isinstance(verdict, Refused):
            no_place = self._entrance.show(self)
            if no_place is not None:
                self.refuse(audit_events.malformed_request(), no_place)
                return
        self.carry_out(verdict)

    def carry_out(self, verdict: Verdict) -> None:
        """Answer the current request, for which nothing has been done yet."""
        request = self._current
        assert request is not None  # its verdict exists
        if isinstance(verdict, Forward):
            self._last = (verdict.hosts, verdict.origin.host, verdict.origin.port)
        job = job_for(self._context, self, request, verdict)
        if isinstance(job, Refused):
            self.refuse(job.entry, job.refusal)
            return
        self._active = job
        if self._peer_paused:
            job.client_paused(True)
        job.start()

    def _judge(self, head: RequestHead) -> Verdict:
        if self._origin is not None:
            return self._context.judge_known(head, None)
        verdict = self._context.judge(head, self._inside)
        asks = isinstance(verdict, Refused) and verdict.refusal.category == "authentication_required"
        if asks and self._is_the_commands():
            return self._context.judge_known(head, self._inside)
        return verdict

    def _is_the_commands(self) -> bool:
        """Return True if it is certain that the command made this connection: it then needs no token."""
        if self._is_known is None:
            assert self._transport is not None  # a request has arrived on it
            peer, local = (self._transport.get_extra_info(name) for name in ("peername", "sockname"))
            self._is_known = self._entrance is not None and self._entrance.recognises(peer[:2], local[:2])
        return self._is_known

    def cut_if_refused(self) -> bool:
        """Judge by the current rules. Returns True if the connection was cut."""
        job, last = self._active, self._last
        if isinstance(job, (Attempt, TunnelOpening)):
            refused = job.note_if_refused()
        else:
            # Between two requests, a connection through a CONNECT still is one to that host.
            refused = self._inside is not None and last is not None and is_refused(*last)
        if refused:
            self._lose_job()  # at once: a request held until the end of the turn must not be sent any more
            self.abort()
        return refused

    def connection_inside(self, where: ConnectTarget) -> ClientConnection:
        return ClientConnection(self._context, inside=where)

    # -- ClientSide

    def send(self, piece: bytes) -> None:
        self._output.send(piece)

    def flush(self) -> None:
        self._output.flush()

    def refuse(self, entry: Entry, answer: Refusal) -> None:
        self._active = None
        if answer.category in ("authentication_failed", "authentication_required"):
            self._authentication_failures += 1
        answer = self._context.refused(entry, answer)
        head = None if self._current is None else self._current.head
        closes = (
            answer.closes
            or head is None
            or not head.keep_alive
            or self.winding_down
            or self._authentication_failures > MAX_AUTHENTICATION_FAILURES
            or not self._can_skip_body()
        )
        without_body = head is not None and head.method == b"HEAD"
        self.send(refusal.response(answer, closes=closes, without_body=without_body))
        self.flush()
        if not closes and head is not None and head.method == b"CONNECT":
            self._intake.resume_after_connect()
        self.exchange_over(closes=closes)

    def _can_skip_body(self) -> bool:
        """Return True if the rest of the refused body is short and certain to arrive."""
        current = self._current
        if current is None or current.complete:
            return True
        head = current.head
        is_short = head.body.kind is BodyKind.LENGTH and head.body.length <= _DRAINED_BYTES
        return is_short and not head.expects_continue

    def exchange_over(self, *, closes: bool) -> None:
        self._active = None
        if self._transport is None:
            return
        if closes or self.winding_down:
            self._finish()
            return
        if self._intake.has_more or (self._current is not None and not self._current.complete):
            # Later, because this may be called while a batch of the upstream's bytes is being read.
            self._pump_soon()
        self.update_reading()  # updates the time limit too, which may expire in this very turn

    def _finish(self) -> None:
        """Close once the response is sent, without an RST that could overtake it."""
        if self._transport is None:
            return
        current = self._current
        all_read = current is not None and current.complete
        all_read = all_read and self._intake.has_read_all and not self._reading_paused
        self._discarding = True
        self._intake.stop()
        self._limits.closing(self._output.close(all_read=all_read))
        self.update_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._output.send_held()
            self._transport.abort()

    def hand_over(self, successor: asyncio.Protocol) -> tuple[asyncio.Transport, bytes]:
        """Replace this object with `successor`; return the transport and the bytes after the CONNECT head."""
        transport, leftover = self._transport, self._intake.leftover
        assert transport is not None
        self._output.send_held()
        successor.connection_made(transport)
        self._context.connections.discard(self)
        if self._entrance is not None:
            self._entrance.leave(self)
        self._active = None
        self._let_go()
        self.replace(successor, transport)
        return transport, leftover

    def update_reading(self) -> None:
        """Pause reading while input would pile up: a body nobody consumes, a pipelined request."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        job = self._active
        waits = self._intake.has_more or (job is not None and job.wants_pause)
        paused = waits and not self._discarding
        if paused != self._reading_paused:
            self._reading_paused = paused
            if paused:
                transport.pause_reading()
            else:
                transport.resume_reading()
        self._update_limits()

    @property
    def has_unread(self) -> bool:
        return self._transport is not None and polled.has_unread(self._transport)

    @property
    def is_gone(self) -> bool:
        return self._transport is None or polled.is_gone(self._transport)

    def wind_down(self) -> None:
        """Close now if no request is active, otherwise after the response."""
        self.winding_down = True
        if self._active is None and self._transport is not None:
            self._leave()

    def _leave(self) -> None:
        """Close a connection that has no active request."""
        self._discarding = True
        self._limits.closing(self._output.leave())

    # -- time limits

    def _update_limits(self) -> None:
        if self._discarding:
            return
        if self._active is None:
            self._limits.between_requests(in_head=self._intake.in_head)
        else:
            current = self._current
            awaits_body = current is not None and not (current.complete or current.waits_for_100)
            self._limits.during_request(awaits_client=self._reading_paused or awaits_body)

    def _overdue(self) -> None:
        if self._transport is None:
            return
        if self._active is not None and self._reading_paused and not polled.is_gone(self._transport):
            self._limits.idle()  # the upstream's turn
        elif self._discarding or self._active is not None:
            self.abort()
        elif self._intake.in_head:
            self._current = None
            answer = refusal.malformed(408, "the request head took too long")
            self.refuse(audit_events.malformed_request(), answer)
        elif polled.is_sending(self._transport):
            self._limits.idle()  # it has not read its last response yet
        else:
            self._leave()
