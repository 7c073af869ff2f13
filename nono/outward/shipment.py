"""Send the records of one session to a collector, continuing where an earlier attempt stopped."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from nono.disk.descriptor import DIRECTORY_FLAGS
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
SILENT_S = 24 * 3600.0  # a killed session does not record its end


class Pumped(NamedTuple):
    """The progress of a shipment."""

    problem: str | None = None  # why it stopped before the end of the log
    is_whole: bool = True  # False: the log is damaged and sending cannot go on


class Shipment:
    """The records of one session being sent. The cursor advances after the collector has confirmed them."""

    def __init__(
        self, session: int, tail: Tail, projection: Projection, cursor: Cursor, of: Resource
    ) -> None:
        self._session = session
        self._tail = tail
        self._projection = projection
        self._of = of
        self._held: list[tuple[int, ReadableLogRecord]] = []  # read but not confirmed
        self.cursor = cursor
        self.seen_end = False  # the session recorded its end

    def pump(self, sender: Sender, *, is_over: bool = False) -> Pumped:
        """Send what the log holds so far. is_over: Nothing will be added to it.

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
        """Send the rest of a session whose carrier has ended. Returns why it stopped before the end.

        A session that has not recorded its end may still run. Raises OSError like pump().
        """
        pumped = self.pump(sender)
        is_over = self.seen_end or time.time() - os.fstat(self._tail.fileno()).st_mtime > SILENT_S
        if pumped.problem is None and is_over:
            self._move(self.cursor._replace(is_complete=True))
        return pumped.problem

    @property
    def is_held_up(self) -> bool:
        """True if the collector has not accepted what it was sent."""
        return bool(self._held)

    def _fill(self) -> bool:
        """Read a batch unless one is pending. Returns True if there may be more."""
        if self._held:
            return True
        size = 0
        for link in self._tail.records():
            document = self._projection.document(link)
            self.seen_end = self.seen_end or link.event.get("type") == "session_ended"
            if link.sequence < self.cursor.sent:
                continue
            self._held.append((link.sequence, log_record(document, self._of, self.cursor.gaps)))
            size += 3 * len(link.event_json)  # the document has it twice, plus other fields
            if len(self._held) >= BATCH_MAX or size >= BATCH_BYTES_MAX:
                return True
        return False

    def _send(self, sender: Sender) -> str | None:
        """Send the pending batch. Returns why it is still pending."""
        while self._held:
            batch = self._held
            while True:
                sent = sender.send([record for _, record in batch])
                if sent.answer is not Answer.REFUSED or len(batch) == 1:
                    break
                batch = batch[: len(batch) // 2]  # halve it to find the refused record
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
    """Open the shipment of a session; None if another process has it. Raises OSError.

    session: Descriptor of the session's directory, which stays locked until it is closed.
    """
    from nono.outward.otlp import resource

    if not spool.take(session):
        yield None
        return
    cursor = spool.read(session, endpoint)
    if cursor is None:
        cursor = Cursor(endpoint)
        with suppress(OSError):  # the first confirmed records report it
            spool.write(session, cursor)
    with Tail(session) as tail:
        yield Shipment(session, tail, Projection(session_id, host), cursor, resource(host))


def left_over(root: int, endpoint: str) -> Iterator[str]:
    """Yield the ids of sessions not yet completely sent to this collector.

    root: Directory of all sessions.
    """
    for name in sorted(os.listdir(root)):
        try:
            session = os.open(name, DIRECTORY_FLAGS, dir_fd=root)
        except OSError:
            continue
        try:
            cursor = spool.read(session, endpoint)
        finally:
            os.close(session)
        if cursor is not None and not cursor.is_complete:
            yield name
