"""Build and read the event that reports how several requests and tunnels ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nono.audit.event import TIME, Event, Failure
from nono.clock import unix_ms

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol
else:
    Protocol = object  # typing takes 2 ms to import


class Outcome(Protocol):
    """How a request or tunnel ended that was recorded when it began, as RequestsEnded reports it."""

    @property
    def number(self) -> int | None:
        """The number of the record of its beginning; None without a log."""

    @property
    def host(self) -> str:
        """The host that was reached."""

    @property
    def port(self) -> int: ...

    @property
    def status(self) -> int | None:
        """The status that the client received; None if it received none."""

    @property
    def by_proxy(self) -> bool:
        """True if the proxy answered in place of the upstream; that refusal is recorded separately."""

    @property
    def sent(self) -> int:
        """Bytes of the body sent upstream; for a tunnel, all bytes."""

    @property
    def received(self) -> int: ...

    @property
    def duration_ms(self) -> int: ...

    @property
    def failure(self) -> Failure | None:
        """Why it ended; None if its response ended it."""

    @property
    def reason(self) -> str | None: ...


OUTCOME_COLUMNS = ("request", "status", "bytes_out", "bytes_in", "ms", "failure", "reason", "by_proxy")


class RequestsEnded(Event):
    """Several outcomes in one record, a row for each: hashing and writing a record for each takes longer.

    All else about a request is in the record of its beginning. A row ends after `ms` if nothing failed.
    """

    __slots__ = ("outcomes",)

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.outcomes = outcomes
        rows = [*map(_row, outcomes)]
        fields = {"type": "requests_ended", TIME: unix_ms(), "columns": OUTCOME_COLUMNS, "requests": rows}
        super().__init__(fields)


def _row(outcome: Outcome) -> list[object]:
    row: list[object] = [
        outcome.number, outcome.status, outcome.sent, outcome.received, outcome.duration_ms
    ]  # fmt: skip
    return row if outcome.failure is None else [*row, outcome.failure, outcome.reason, outcome.by_proxy]


def outcome_rows(event: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the outcomes in a record of requests_ended, which may be damaged, by their columns."""
    columns, rows = event.get("columns"), event.get("requests")
    if not isinstance(columns, list | tuple) or not isinstance(rows, list):
        return []
    return [dict(zip(map(str, columns), row, strict=False)) for row in rows if isinstance(row, list)]
