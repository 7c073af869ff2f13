"""`nono audit show`: what the log of one session recorded, with how its requests ended."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

from nono.audit.event import outcome_rows
from nono.audit.proof.check import read_summary
from nono.audit.proof.summary import integrity_of
from nono.audit.stored import read_log
from nono.cli.commands.audit.found import Found, the_one
from nono.cli.text import audit_text
from nono.cli.text.event_table import HEADER_LINE, Table
from nono.errors import NonoError
from nono.named_tuple import NamedTuple

_OF_OUTCOMES = ("status", "bytes_out", "bytes_in", "ms", "failure", "reason")


class _Read(NamedTuple):
    """A log that was read to its end, or to its first damage."""

    events: list[tuple[int, Mapping[str, Any]]]
    integrity: Mapping[str, object] | None
    damage: str | None


def show(query: str, environ: Mapping[str, str], *, as_json: bool) -> int:
    """Print one session. Returns an exit code: 1 if its log is damaged, and only shown in part."""
    found = the_one(query, environ)
    try:
        read, summary = _read(found), _summary(found)
    except OSError as error:
        raise NonoError(f"the session cannot be read: {found.directory}: {error.strerror}") from error
    if as_json:
        print(json.dumps(_document(found, read, summary), indent=2))
    else:
        kinds = Counter(str(event.get("type")) for _, event in read.events)
        for line in audit_text.details(found, summary, kinds, read.integrity):
            print(line)
        table = Table()
        print("", HEADER_LINE, sep="\n")
        for number, event in read.events:
            for row in table.feed(number, event):
                print(row)
        for row in table.rest():
            print(row)
        if read.damage is not None:
            print(f"The log is damaged: {read.damage}; what follows is not shown.")
    return 0 if read.damage is None else 1


def _read(found: Found) -> _Read:
    with read_log(found.directory) as reading:
        events = [(record.sequence, record.event) for record in reading]
    integrity = reading.state.integrity()
    damage = None if reading.damage is None else str(reading.damage)
    return _Read(events, None if integrity is None else integrity_of(integrity), damage)


def _summary(found: Found) -> Mapping[str, Any]:
    try:
        return read_summary(found.directory)
    except (FileNotFoundError, ValueError):
        return {}


def _document(found: Found, read: _Read, summary: Mapping[str, Any]) -> Mapping[str, object]:
    return {
        "session_id": found.session_id,
        "status": found.state,
        "started": found.started,
        "ended": found.ended,
        "command": list(found.command),
        "executable_identity": summary.get("executable_identity"),
        "tracked_paths": list(found.tracked_paths),
        "exit_code": found.exit_code,
        "merkle_roots": summary.get("merkle_roots", []),
        "network_events": _network_events(read),
        "command_policy_events": [],
        "audit_event_count": len(read.events),
        "audit_integrity": read.integrity if not summary else summary["audit_integrity"],
        "audit_attestation": summary.get("audit_attestation"),
        "snapshots": [],
        "damage": read.damage,
    }


def _network_events(read: _Read) -> list[Mapping[str, object]]:
    """Return the network events, each with how its request ended, if it has."""
    found: dict[int, dict[str, object]] = {}
    for number, event in read.events:
        if event.get("type") == "network" and isinstance(event.get("event"), dict):
            found[number] = dict(event["event"])
        elif event.get("type") == "requests_ended":
            for outcome in outcome_rows(event):
                request = outcome.get("request")
                if isinstance(request, int) and request in found:
                    found[request] |= {name: outcome[name] for name in _OF_OUTCOMES if name in outcome}
    return [*found.values()]
