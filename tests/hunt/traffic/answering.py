"""The steps of an upstream: it begins an answer, goes on with it, and ends it in one way or another."""

from __future__ import annotations

from hunt.traffic.ends.upstreams import Arrived, Http2Served
from hunt.traffic.programs.program import End, Head, Interim, Piece
from hunt.traffic.texts import ACCEPT, Texts
from hunt.traffic.watch import Watch


class Answering:
    """switched: the numbers of what became a socket."""

    def __init__(self, texts: Texts, watch: Watch) -> None:
        self._texts = texts
        self._watch = watch
        self._left: dict[int, list[bytes]] = {}  # to be sent of each answer that has begun
        self.switched: set[int] = set()

    def take(self, step: Interim | Head | Piece | End, at: int) -> None:
        """at: its place in the program. What comes too early, too late or for nobody is left out."""
        arrived = self._watch.requests.get(step.number)
        if arrived is None or not arrived.served.link.is_open or arrived.is_answered:
            return
        left = self._left.get(step.number)
        match step:
            case Interim():
                link = [("link", "</x>")] if step.status == 103 else []
                arrived.served.interim(arrived, step.status, link)
            case Head() if step.status == 101:
                fields = [("connection", "upgrade"), ("upgrade", "websocket")]
                arrived.served.switch(arrived, [*fields, ("sec-websocket-accept", ACCEPT)])
                self.switched.add(step.number)
            case Head() if left is None:
                self._begin(step, arrived, at)
            case Piece() if left is not None and len(left) > 1:
                arrived.served.piece(arrived, left.pop(0), step.chunk)
            case End():
                self._end(step, arrived, left)
            case _:
                pass

    def _begin(self, step: Head, arrived: Arrived, at: int) -> None:
        body, pieces = self._texts.answer(step, at)
        self._watch.answers[step.number] = body
        self._left[step.number] = pieces
        fields = [("x-answer", str(step.number)), ("content-type", step.kind)]
        if step.coding:
            fields.append(("content-encoding", step.coding))
        if step.extra:
            fields.append(("x-extra", self._texts.resolved(step.extra).decode("latin-1")))
        arrived.served.head(arrived, step.status, step.framing, sum(map(len, pieces)), fields)

    def _end(self, step: End, arrived: Arrived, left: list[bytes] | None) -> None:
        served = arrived.served
        if step.how in ("closed", "reset") or left is None:
            if isinstance(served, Http2Served):
                served.reset(arrived)
            else:
                served.link.close(resets=step.how == "reset")
            arrived.is_answered = True
            return
        for octets in left:
            served.piece(arrived, octets, 0)
        trailer = self._texts.resolved(step.trailer).decode("latin-1")
        served.end(arrived, [("x-trailer", trailer)] if trailer else [])
        self._watch.ended.add(step.number)
