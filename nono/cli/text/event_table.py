"""Word the events of an audit log as a table: a row for each, with a request and its end in one row."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from nono.amounts import size
from nono.audit.event import FAILURES, rule_of
from nono.audit.outcomes import outcome_rows
from nono.cli.text.session_text import LINE_MAX, one_line, reason
from nono.clock import local_time
from nono.named_tuple import NamedTuple
from nono.printable import without_middle
from nono.sessions.record import End

HEADER = ("TIME", "WHAT", "DECISION", "STATUS", "MS", "WHERE")
WIDTHS = (8, 20, 8, 6, 7)
WAITING_MAX = 1024  # rows held back for the end of a request that started before them

Fields = Mapping[str, Any]


class Row(NamedTuple):
    """One row of the table."""

    time: str
    what: str
    decision: str = ""
    status: str = ""
    ms: str = ""
    where: str = ""

    def __str__(self) -> str:
        cells = [cell.ljust(width) for cell, width in zip(self, WIDTHS, strict=False)]
        cells[4] = self.ms.rjust(WIDTHS[4])
        return "  ".join([*cells, self.where]).rstrip()


HEADER_LINE = str(Row(*HEADER))


class Table:
    """Make rows of events, which arrive in the order of their numbers.

    A request whose end is not known yet holds back the rows behind it, up to WAITING_MAX of them or until
    `rest` is called. Its end then has a row of its own.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[int | None, Fields]] = deque()
        self._open: dict[int, Fields | None] = {}  # the ends of the waiting requests
        self._begun: dict[int, str] = {}  # descriptions of the requests that are no longer waiting

    def feed(self, number: int | None, event: Fields) -> Iterator[Row]:
        """Take an event. Yields the rows that are now complete."""
        if event.get("type") == "requests_ended":
            for outcome in outcome_rows(event):
                number_of = outcome.get("request")
                if isinstance(number_of, int) and number_of in self._open:
                    self._open[number_of] = outcome
                else:
                    begun = self._begun.pop(number_of, None) if isinstance(number_of, int) else None
                    ended = {**outcome, "type": "ended", "at_ms": event.get(_TIME), "where": begun}
                    self._waiting.append((None, ended))
        else:
            if number is not None and _is_request(event):
                self._open[number] = None
            self._waiting.append((number, event))
        yield from self._ready(WAITING_MAX)

    def rest(self) -> Iterator[Row]:
        """Yield all rows that were held back."""
        yield from self._ready(0)

    def _ready(self, held_max: int) -> Iterator[Row]:
        while self._waiting:
            number, event = self._waiting[0]
            is_open = number in self._open and self._open[number] is None
            if is_open and 0 < len(self._waiting) <= held_max:
                return
            self._waiting.popleft()
            outcome = None if number is None else self._open.pop(number, None)
            made = row(event, outcome)
            if is_open and number is not None:
                # Printed before its end is known; the row of the end will name it again.
                self._begun[number] = made.where
                if len(self._begun) > WAITING_MAX:
                    del self._begun[next(iter(self._begun))]
            yield made


_TIME = "timestamp_unix_ms"


def _is_request(event: Fields) -> bool:
    """Return True for the start of a request or tunnel, which will have an end."""
    fields = event.get("event")
    if not isinstance(fields, dict) or fields.get("decision") != "allow" or fields.get("method") is None:
        return False
    # The end of an intercepted CONNECT is the end of the requests inside it.
    is_intercepted = fields["method"] == "CONNECT" and fields.get("mode") == "connect_intercept"
    return not is_intercepted and "repeats" not in fields and "credential_capture_action" not in fields


def row(event: Fields, outcome: Fields | None = None) -> Row:
    """Return the row of one event. outcome: how the request that it started ended."""
    match event.get("type"):
        case "network" if isinstance(event.get("event"), dict):
            return _of_network(event["event"], outcome or {})
        case "capability_decision" if isinstance(event.get("entry"), dict):
            return _of_file(event["entry"])
        case "ended":
            where = f"{event.get('where') or 'number ' + _text(event.get('request'))}{_end(event)}"
            time, status = _clock(event.get("at_ms")), _text(event.get("status"))
            return _row(time, "request ended", "", status, event.get("ms"), where)
        case "session_ended" if isinstance(event.get("end"), dict):
            cause, *others = (_text_or_none(event["end"].get(field)) for field in End._fields)
            why = reason(End(cause or "?", *others))
            where = f"exit code {_text(event.get('exit_code'))}: {why}"
            return _row(_time_of(event), "session ended", "", "", None, where)
        case "enforced_by":
            return _row(_time_of(event), "enforced by", "", "", None, _text(event.get("rung")))
        case "policy_changed":
            where = (
                f"{rule_of(event)} {_text(event.get('change')).replace('_', ' ')} by {_text(event.get('by'))}"
            )
            where += f", until {until}" if (until := _clock(event.get("expires_unix_ms"))) else ""
            return _row(_time_of(event), "policy changed", _text(event.get("decision")), "", None, where)
        case "turn_began":
            where = f"turn {_text(event.get('turn'))} of {_text(event.get('service'))}"
            where += f" with {event['model']}" if event.get("model") else ""
            return _row(_clock(event.get(_TIME)), "turn began", "", "", None, where)
        case "turn_marked":
            where = f"before turn {_text(event.get('turn'))}: {_text(event.get('changed'))} changed"
            return _row(_clock(event.get(_TIME)), "turn marked", "", "", event.get("ms"), where)
        case "turn_unclear":
            where = f"a request to {_text(event.get('service'))} may begin one: {_text(event.get('reason'))}"
            return _row(_clock(event.get(_TIME)), "turn unclear", "", "", None, where)
        case kind:
            what = str(kind or "?").replace("_", " ")
            return _row(_time_of(event), what, "", "", None, " ".join(_rest(event)))


def _of_network(fields: Fields, outcome: Fields) -> Row:
    method, path = fields.get("method"), fields.get("path")
    what = "connection" if method is None else "tunnel" if method == "CONNECT" else "request"
    status = outcome.get("status", fields.get("status"))
    where = " ".join(_text(part) for part in (method, _target(fields, _text(path))) if part is not None)
    if fields.get("repeats"):
        where += f" (x{fields['repeats']})"
    if fields.get("reason"):
        where += f" - {fields['reason']}"
    # A host that could not be reached was denied by nobody.
    has_failed = fields.get("denial_category") in FAILURES
    decision = "failed" if has_failed else _text(fields.get("decision"))
    time, ms = _clock(fields.get(_TIME)), outcome.get("ms")
    return _row(time, what, decision, _text(status), ms, where + _end(outcome))


def _of_file(entry: Fields) -> Row:
    request, decision = entry.get("request"), entry.get("decision")
    request = request if isinstance(request, dict) else {}
    reason = request.get("reason")
    if isinstance(decision, dict):
        decision, inner = next(iter(decision.items()), ("?", None))
        reason = inner.get("reason", reason) if isinstance(inner, dict) else reason
    at = entry.get("timestamp")
    seconds = at.get("secs_since_epoch") if isinstance(at, dict) else None
    time = _clock(seconds * 1000 if isinstance(seconds, int) else None)
    where = _text(request.get("path")) + (f" - {reason}" if reason else "")
    if entry.get("repeats"):
        where += f" (x{entry['repeats']})"
    return _row(
        time, f"file {_text(request.get('access')).lower()}", _text(decision).lower(), "", None, where
    )


def _row(time: str, what: str, decision: str, status: str, ms: object, where: str) -> Row:
    cells = map(one_line, (time, what, decision, status, _text(ms), where))
    return Row(*(without_middle(cell, LINE_MAX) for cell in cells))


def _target(fields: Fields, path: str) -> str:
    port, upstream = fields.get("port"), fields.get("upstream")
    if not fields.get("target"):
        return path or "a malformed request"
    target = f"{_text(fields.get('target'))}{f':{port}' if port else ''}"
    if upstream in (None, target):
        return target + path
    # The target of a request to a service is the name of the service, with which its path begins.
    return f"{target}{path.removeprefix(f'/{fields.get("target")}')} at {upstream}"


def _end(outcome: Fields) -> str:
    """Word the amount sent both ways, and what failed."""
    if not outcome:
        return ""
    sent, received = (_size(outcome.get(name)) for name in ("bytes_out", "bytes_in"))
    moved = f", {sent} out, {received} in"
    failure = outcome.get("failure")
    return moved if failure is None else f"{moved} - {failure}: {_text(outcome.get('reason'))}"


def _size(count: object) -> str:
    return size(count) if isinstance(count, int) else "?"


def _clock(at_ms: object) -> str:
    try:
        return local_time(at_ms)[11:19] if isinstance(at_ms, int) else ""
    except (OverflowError, ValueError, OSError):  # a damaged log
        return ""


def _time_of(event: Fields) -> str:
    """Return the time of an event that holds it as text, as HH:MM:SS where the table is read."""
    text = next((event[name] for name in ("started", "ended", "at", "timestamp") if name in event), "")
    try:
        return _clock(round(datetime.fromisoformat(str(text)).timestamp() * 1000))
    except (OverflowError, ValueError, OSError):  # a damaged log
        return ""


_SAID = frozenset({"type", "started", "ended", "at", "timestamp", _TIME, "decision"})


def _rest(fields: Fields) -> Iterator[str]:
    return (
        f"{name}={_value(value)}" for name, value in fields.items() if name not in _SAID and value is not None
    )


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{" + " ".join(_rest(value)) + "}"
    if isinstance(value, list):
        return "[" + " ".join(map(_value, value)) + "]"
    return str(value)


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def _text(value: object) -> str:
    return "" if value is None else str(value)
