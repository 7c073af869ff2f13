"""Sends the records of one session to a collector, from where that was left."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nono.named_tuple import NamedTuple
from nono.outward import spool
from nono.outward.ocsf.projection import Projection
from nono.outward.otlp import Answer, Sender, log_record
from nono.outward.spool import Cursor
from nono.outward.tail import BrokenChainError, Tail

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk.resources import Resource

BATCH_MAX = 256
BATCH_BYTES_MAX = 1 << 20
SILENT_S = 24 * 3600.0  # a session that was killed says nothing of its end


class Pumped(NamedTuple):
    """How far a shipment came."""

    problem: str | None = None  # why it stopped before the end of the log
    is_whole: bool = True  # it may go on later; False: the log is damaged


class Shipment:
    """The records of one session on their way. The cursor moves behind what the collector has confirmed."""

    def __init__(
        self, session: int, tail: Tail, projection: Projection, cursor: Cursor, of: Resource
    ) -> None:
        self._session = session
        self._tail = tail
        self._projection = projection
        self._of = of
        self._held: list[tuple[int, ReadableLogRecord]] = []  # read and not confirmed
        self.cursor = cursor
        self.seen_end = False  # the session has said that it ended

    def pump(self, sender: Sender, *, is_over: bool = False) -> Pumped:
        """Send what the log holds by now. is_over: Nothing will be added to it.

        Raises OSError if the cursor cannot be written.
        """
        damage = None
        while True:
            try:
                has_more = self._fill()
            except BrokenChainError as error:
                damage, has_more = str(error), False
            if not self._held:
                break
            if problem := self._send(sender):
                return Pumped(problem)
            if not has_more:
                break
        if is_over and damage is None:
            self._move(self.cursor._replace(is_complete=True))
        return Pumped(damage, is_whole=damage is None)

    def finish(self, sender: Sender) -> str | None:
        """Send the rest of a session that nobody carries any more. Returns why it stopped before the end.

        One that has not said that it ended may still run, without its carrier. Raises OSError as pump().
        """
        pumped = self.pump(sender)
        is_over = self.seen_end or time.time() - os.fstat(self._tail.fileno()).st_mtime > SILENT_S
        if pumped.problem is None and is_over:
            self._move(self.cursor._replace(is_complete=True))
        return pumped.problem

    @property
    def is_held_up(self) -> bool:
        """True if the collector has not taken what it was sent."""
        return bool(self._held)

    def _fill(self) -> bool:
        """Hold a batch, if none is held. Returns True if there may be more."""
        if self._held:
            return True
        size = 0
        for link in self._tail.records():
            document = self._projection.document(link)
            self.seen_end = self.seen_end or link.event.get("type") == "session_ended"
            if link.sequence < self.cursor.sent:
                continue
            self._held.append((link.sequence, log_record(document, self._of, self.cursor.gaps)))
            size += 3 * len(link.event_json)  # twice in the document, and what goes around it
            if len(self._held) >= BATCH_MAX or size >= BATCH_BYTES_MAX:
                return True
        return False

    def _send(self, sender: Sender) -> str | None:
        """Send what is held. Returns why it is still held."""
        while self._held:
            batch = self._held
            while True:
                sent = sender.send([record for _, record in batch])
                if sent.answer is not Answer.REFUSED or len(batch) == 1:
                    break
                batch = batch[: len(batch) // 2]  # to find the one that it refuses
            if sent.answer is Answer.LATER:
                return sent.why
            lost = len(batch) if sent.answer is Answer.REFUSED else min(sent.rejected, len(batch))
            self._held = self._held[len(batch) :]
            self._move(self.cursor._replace(sent=batch[-1][0] + 1, gaps=self.cursor.gaps + lost))
        return None

    def _move(self, cursor: Cursor) -> None:
        spool.write(self._session, cursor)
        self.cursor = cursor


@contextmanager
def shipment(session: int, session_id: str, host: str, endpoint: str) -> Iterator[Shipment | None]:
    """Take up the shipment of a session; None if another process has. Raises OSError.

    session: Descriptor of the directory of the session, which is locked until it is closed.
    """
    from nono.outward.otlp import resource

    if not spool.take(session):
        yield None
        return
    cursor = spool.read(session, endpoint)
    if cursor is None:
        cursor = Cursor(endpoint)
        with suppress(OSError):  # it is said when the first records have been sent
            spool.write(session, cursor)
    with Tail(session) as tail:
        yield Shipment(session, tail, Projection(session_id, host), cursor, resource(host))


def left_over(root: int, endpoint: str) -> Iterator[str]:
    """Yield the ids of sessions that this collector has not got all of. root: Directory of all sessions."""
    for name in sorted(os.listdir(root)):
        try:
            session = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=root)
        except OSError:
            continue
        try:
            cursor = spool.read(session, endpoint)
        finally:
            os.close(session)
        if cursor is not None and not cursor.is_complete:
            yield name
