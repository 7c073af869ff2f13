"""Carry out an allowed request in one order: admit, arm, write, record, dial, check again.

Serves exchanges that stream their bodies over a pooled or a new connection. Each kind of exchange adds its
framing and its back-pressure.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

from nono.credentials.values.credential import Injection
from nono.proxy.exchange.admission import Admitted
from nono.proxy.exchange.attempt import WRITING_ERRORS, Attempt
from nono.proxy.exchange.context import ProxyContext
from nono.proxy.http import refusal
from nono.proxy.http.message import Body, BodyKind, RequestHead
from nono.proxy.http.refusal import Refusal
from nono.proxy.upstream.connection import PoolKey, Replay, UpstreamConnection
from nono.proxy.verdict.verdict import Forward

if TYPE_CHECKING:
    from nono.proxy.exchange.shown import BodyDigest

MAX_HELD_BYTES = 16 * 1024 * 1024  # of a request body that must be read whole before it can be signed
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"))  # RFC 9110 section 9.2.2


class Delivery[C](Attempt):
    """An attempt over a connection C that other requests use too, one after another or concurrently.

    The request is written before a connection is chosen, so that a request that cannot carry its credential
    is refused before anything is recorded or dialled.
    """

    __slots__ = (
        "_digest", "_framing", "_held", "_injection", "_inspection", "_is_admitted", "_is_whole", "_outgoing",
        "_replayed", "_request", "_sent_body", "_sent_end", "_watch",
    )  # fmt: skip

    def __init__(self, context: ProxyContext, verdict: Forward, request: RequestHead) -> None:
        super().__init__(context, verdict)
        self._request = request
        self._outgoing = verdict.request
        self._framing = request.body  # as sent upstream
        self._watch = context.watch_turn(verdict, request)
        self._inspection = context.inspect(verdict, self._watch)
        self._injection: Injection | None = None
        self._held: bytearray | None = None  # the body, while it is collected before anything is sent
        self._is_whole = False  # the body has been collected
        self._digest: BodyDigest | None = None  # set for a body that is shown to the approver
        self._is_admitted = False
        self._sent_body = False  # a piece of it was sent to an upstream
        self._sent_end = False  # the end of the request was sent to an upstream
        self._replayed = False

    # -- what an exchange adds

    @abstractmethod
    def _collect(self) -> None:
        """Make the client send its body; pass it to _hold_piece, then call _held_whole."""

    @abstractmethod
    def _write_head(self) -> None:
        """Write the credential into _outgoing. Raises one of WRITING_ERRORS if it does not fit."""

    @abstractmethod
    def _at_hand(self, key: PoolKey) -> C | None:
        """Return a connection that can take one more request now, or None."""

    @abstractmethod
    async def _reach(self, key: PoolKey) -> C | Refusal:
        """Dial. The request is recorded before the first connection attempt."""

    @abstractmethod
    def _begin(self, reached: C, *, reused: bool) -> None:
        """Send the written head and the body received so far."""

    @abstractmethod
    def _withdraw(self) -> None:
        """Let the connection go, on which nothing was sent."""

    @abstractmethod
    def _cut_short(self, answer: Refusal) -> None:
        """Refuse the request, and let what was sent of it never look complete upstream."""

    # -- admission

    def start(self) -> None:
        body = self._request.body
        if self._verdict.approval is not None and (body.kind is BodyKind.CHUNKED or body.length > 0):
            # Imported here: few runs ask.
            from nono.proxy.exchange.shown import BodyDigest

            self._digest = BodyDigest()
            self._hold_body()  # exactly the approved body is sent, so all of it must be here first
        else:
            self._ask()

    def _ask(self) -> None:
        ready = self._context.admission.try_now(self._verdict)
        if ready is None:
            self._context.spawn(self._prepare)
        else:
            self._admit(ready)

    async def _prepare(self) -> None:
        with self._cancellable() as over:
            if not over:
                shown = None if self._digest is None else self._digest.held(self._outgoing.headers)
                ready = await self._context.admission.wait(self._verdict, shown)
                if not self._over:
                    self._admit(ready)
                elif isinstance(ready, Admitted) and ready.tally is not None:
                    ready.tally.settle(None)

    def _admit(self, ready: Admitted | Refusal) -> None:
        if isinstance(ready, Refusal):
            self._refuse(ready)
            return
        self._is_admitted = True
        self._injection = injection = ready.injection
        # Arm exactly here. Earlier is wrong, because a renewal could still change the credential. Later is
        # wrong too: while a body is collected or an upstream is dialled, so many newer credentials may be
        # used that this one is no longer watched for.
        self._inspection.arm(ready.tally)
        if injection is not None and injection.needs_body and not self._is_whole:
            self._hold_body()
        else:
            self._send()

    def _refuse(self, answer: Refusal) -> None:
        if not self._over:
            self._inspection.break_off(answer.error)
        super()._refuse(answer)

    def _end(self) -> None:
        super()._end()
        if self._watch is not None:
            self._watch.stop()
        self._inspection.settle()  # always, because other requests may be waiting for their turn

    # -- a body that is signed, or approved, as a whole

    def _hold_body(self) -> None:
        if self._request.body.length > MAX_HELD_BYTES:
            self._refuse_large_body()
        else:
            self._held = bytearray()
            self._collect()

    def _hold_piece(self, piece: bytes) -> None:
        if self._held is not None and not self._reserve(len(piece)):
            self._held = None
        elif self._held is not None:
            # Joined at once: a body in one-byte chunks would be sixteen million pieces.
            self._held += piece
            if self._digest is not None:
                self._digest.feed(piece)
            if len(self._held) > MAX_HELD_BYTES:
                self._refuse_large_body()

    def _refuse_large_body(self) -> None:
        self._held = None
        host = self._verdict.origin.host
        must = "signed" if self._digest is None else "approved"
        self._refuse(Refusal(413, f"a body that must be {must} may have 16 MiB at most", host, closes=True))

    def _held_whole(self) -> list[bytes] | None:
        """Put the whole body into the outgoing request and return it; None if the request was refused."""
        held, self._held = self._held, None
        if held is None or self._over:
            return None
        body = bytes(held)
        self._is_whole = True
        # The client's Expect has been answered already.
        headers = [field for field in self._outgoing.headers if field[0].lower() != b"expect"]
        self._outgoing = self._outgoing._replace(headers=headers, body=body)
        if not body:
            return []
        self._framing = Body(BodyKind.LENGTH, len(body))
        return [body]

    def _go_on(self) -> None:
        """Continue with the whole body: ask for approval, or send it if it was collected to be signed."""
        if not self._is_admitted:
            self._ask()
        elif (late := self._context.admission.overtaken(self._verdict)) is not None:
            self._refuse(late)
        else:
            self._send()

    def _refuse_if_overtaken(self) -> None:
        """Check a request of which a part was sent, before more of it is: a command may keep that for later.

        Not only before its end, since some servers answer JSON that is whole before its body is.
        """
        late = self._context.admission.overtaken(self._verdict)
        if late is not None:
            self._inspection.refused(late.status)
            self._cut_short(late)

    # -- reaching the upstream

    def _send(self) -> None:
        try:
            self._write_head()
        except WRITING_ERRORS as failure:
            self._refuse(self._refusal_of(failure))
            return
        reached = self._at_hand(self._key)
        if reached is None:
            self._context.spawn(self._dial)
        else:
            self._attach(reached, reused=True)

    @property
    def _key(self) -> PoolKey:
        origin = self._verdict.origin
        via = self._context.connector.via(origin.host, origin.port)
        verdict = self._verdict
        return PoolKey(origin.scheme, origin.host, origin.port, verdict.tls, via, verdict.identity)

    async def _dial(self) -> None:
        with self._cancellable() as over:
            if not over:
                reached = await self._reach(self._key)
                if isinstance(reached, Refusal):
                    self._refuse(reached)
                else:
                    self._attach(reached, reused=False)

    def _attach(self, reached: C, *, reused: bool) -> None:
        """Send the request if it is recorded and still allowed."""
        if self._over:
            self._give_back(reached)
            return
        answer = None if self._record() else refusal.not_recorded()
        # Checked again: the dial or the body took time.
        admission = self._context.admission
        answer = answer or admission.frozen(self._verdict) or admission.overtaken(self._verdict)
        if answer is None:
            if self._watch is not None and self._course is not None:
                self._watch.request = self._course.number
            self._inspection.sending()
            self._begin(reached, reused=reused)
        else:
            self._give_back(reached)
            self._refuse(answer)

    def may_go(self) -> bool:
        """Return True if the request, which has waited since it was admitted, may be sent; else refuse it."""
        answer = None if self._over else self._context.admission.frozen(self._verdict)
        if answer is not None:
            self._withdraw()
            self._refuse(answer)
        return not self._over

    def _give_back(self, unused: C) -> None:
        """Return an unused HTTP/1.1 connection to the pool. An HTTP/2 connection is shared and stays."""
        if isinstance(unused, UpstreamConnection):
            self._context.pool.give(unused)

    def _replay(self, replay: Replay) -> bool:
        """Send the request again if it cannot take effect twice. Returns False if it must not be replayed.

        replay: Which requests the failed upstream cannot have acted on, or can repeat without harm.
        """
        if not self._may_replay(replay):
            return False
        self._replayed = True
        self._sent_end = False
        self._context.spawn(self._dial)
        return True

    def _may_replay(self, replay: Replay) -> bool:
        if replay == "none" or self._replayed or self._sent_body:
            return False
        body = self._request.body
        is_announced = body.kind is BodyKind.CHUNKED or body.length > 0  # otherwise the head was everything
        return replay == "any" or (is_announced and not self._sent_end) or self._request.method in _IDEMPOTENT
