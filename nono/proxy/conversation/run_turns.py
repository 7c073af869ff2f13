"""Follow the turns of a run: read each request to a model as far as needed, and record turns."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

from nono.audit.event import Event
from nono.audit.model_events import turn_began, turn_unclear
from nono.proxy.conversation.asked import WANTED, asked, marked_by
from nono.proxy.conversation.outline import OutlineReader
from nono.proxy.conversation.turns import TurnTable
from nono.proxy.conversation.watch import TurnWatch
from nono.proxy.http.content_coding import Budget, decoder
from nono.proxy.usage.shape import provider_of

if TYPE_CHECKING:
    from nono.proxy.conversation.asked import Marked
    from nono.proxy.conversation.outline import Outline
    from nono.proxy.http.message import RequestHead
    from nono.proxy.transport.turns import Turns
    from nono.proxy.usage.shape import Provider
    from nono.proxy.verdict.verdict import Forward

MAX_TOLD = 64  # reasons why turns are unclear, for all services together

MAX_HELD_S = 3.0  # a person waits for the answer

OnTurn = Callable[[int], Awaitable[None]]  # awaited before the end of the request that begins a turn is sent


class RunTurns:
    """The turns of one run.

    Only a request that begins one is held back, and only if something waits for it.
    """

    def __init__(
        self,
        record: Callable[[Event], bool],
        turns: Turns,
        budget: Budget,
        decoding: Budget,
        spawn: Callable[[Callable[[], Awaitable[None]]], object],
        on_turn: OnTurn | None,
    ) -> None:
        self._record = record
        self._turns = turns  # shares the event loop
        self._budget = budget
        self._decoding = decoding
        self._spawn = spawn
        self._on_turn = on_turn
        self._table = TurnTable()
        self._told = set[tuple[str, str]]()

    def watch(self, service: str, verdict: Forward, request: RequestHead) -> TurnWatch | None:
        """Return the reader for a request; None if the request is not to a model."""
        path = verdict.entry.path or ""
        provider = verdict.provider or provider_of(verdict.origin.host, path)
        if provider is None:
            return None
        marked = marked_by(request.headers)
        encodings = request.values(b"content-encoding")
        coded = decoder(encodings[0] if encodings else b"", self._decoding)
        unread = ""
        if verdict.websocket_key is not None:
            unread = "it opens a WebSocket, in which no request is seen"
        elif coded is None or len(encodings) > 1:
            unread = "its Content-Encoding is not known"
        watch = TurnWatch(
            OutlineReader(WANTED),
            coded,
            self._turns,
            self._budget,
            partial(self._judge, service, provider, path, marked),
            may_hold=self._on_turn is not None,
            unread=unread,
        )
        watch.turn = self._table.turn or None
        if not unread and self._table.goes_on(service, marked):
            watch.pass_on()
        return watch

    def _judge(
        self,
        service: str,
        provider: Provider,
        path: str,
        marked: Marked,
        watch: TurnWatch,
        outline: Outline | None,
        reason: str,
    ) -> bool:
        """Record the turn that a request begins. Returns False if the end of the request must wait."""
        if outline is None:
            self._tell(service, reason, watch)
            return True
        read = asked(provider, path, marked, outline)
        judged = self._table.judge(service, read)
        watch.turn = judged.turn or None
        if judged.unclear:
            self._tell(service, judged.unclear, watch)
        if not judged.begins:
            return True
        self._record(turn_began(judged.turn, service, read.model, watch.request))
        if self._on_turn is None:
            return True
        self._spawn(partial(self._wait, self._on_turn, judged.turn, watch))
        return False

    async def _wait(self, on_turn: OnTurn, turn: int, watch: TurnWatch) -> None:
        patience = asyncio.get_running_loop().call_later(MAX_HELD_S, watch.go_on)
        try:
            await on_turn(turn)
        finally:
            patience.cancel()
            watch.go_on()

    def _tell(self, service: str, reason: str, watch: TurnWatch) -> None:
        if (service, reason) not in self._told and len(self._told) < MAX_TOLD:
            self._told.add((service, reason))
            self._record(turn_unclear(service, reason, watch.request))
