"""`nono audit show`: print what the log of one session recorded, and how its requests ended."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from nono.audit.outcomes import outcome_rows
from nono.audit.proof.check import read_summary
from nono.audit.proof.summary import integrity_of
from nono.audit.stored import read_log
from nono.cli.commands.audit.found import Found, the_one
from nono.cli.console import line_columns
from nono.cli.shapes.printed import printed
from nono.cli.text import audit_text
from nono.cli.text.event_table import HEADER_LINE, Table
from nono.errors import NonoError
from nono.named_tuple import NamedTuple

_OF_OUTCOMES = ("status", "bytes_out", "bytes_in", "ms", "failure", "reason")


class _Read(NamedTuple):
    """The content of a log, up to its end or to the first damage."""

    kinds: Mapping[str, int]  # the number of events of each kind
    network_events: list[dict[str, object]]  # each with how its request ended; empty unless asked for
    snapshots: list[Mapping[str, object]]  # that undo took
    integrity: Mapping[str, object] | None
    damage: str | None


def show(query: str, environ: Mapping[str, str], *, as_json: bool) -> int:
    """Print one session. Returns an exit code: 1 if its log is damaged and only a part is shown."""
    found = the_one(query, environ)
    try:
        read, summary = _read(found, with_network=as_json), _summary(found)
        if as_json:
            print(printed(_document(found, read, summary, environ)))
        else:
            _print(found, read, summary, line_columns(sys.stdout, environ))
    except BrokenPipeError:
        raise  # it concerns the reader of the output
    except OSError as error:
        raise NonoError(f"the session cannot be read: {found.directory}: {error.strerror}") from error
    return 0 if read.damage is None else 1


def _print(found: Found, read: _Read, summary: Mapping[str, Any], width: int | None) -> None:
    """Print the details, and the table with a width of so many columns."""
    for line in audit_text.details(found, summary, read.kinds, read.integrity):
        print(line)
    print("", HEADER_LINE[:width], sep="\n")
    table = Table()
    # Read again: as events, a log may not fit into memory.
    with read_log(found.directory) as reading:
        for record in reading:
            for row in table.feed(record.sequence, record.event):
                print(str(row)[:width])
    for row in table.rest():
        print(str(row)[:width])
    if read.damage is not None:
        print(f"The log is damaged: {read.damage}; what follows is not shown.")


def _read(found: Found, *, with_network: bool) -> _Read:
    kinds, network = Counter[str](), dict[int, dict[str, object]]()
    snapshots = list[Mapping[str, object]]()
    with read_log(found.directory) as reading:
        for record in reading:
            kinds[str(record.event.get("type"))] += 1
            snapshots += _snapshot(record.event)
            if with_network:
                _note(record.sequence, record.event, network)
    integrity = reading.state.integrity()
    damage = None if reading.damage is None else str(reading.damage)
    summed_up = None if integrity is None else integrity_of(integrity)
    return _Read(kinds, [*network.values()], snapshots, summed_up, damage)


def _snapshot(event: Mapping[str, Any]) -> Iterator[Mapping[str, object]]:
    """Yield the snapshot that an event reports, if any. `turn` is the turn that it was taken before."""
    match event.get("type"):
        case "snapshot_taken":
            about = {name: event.get(name) for name in ("number", "kind", "merkle_root")}
            yield {**about, "turn": None}
        case "turn_marked":
            number, turn = event.get("snapshot"), event.get("turn")
            yield {"number": number, "kind": "mark", "merkle_root": None, "turn": turn}


def _note(number: int, event: Mapping[str, Any], network: dict[int, dict[str, object]]) -> None:
    """Keep a network event, or add to an earlier one how its request ended."""
    if event.get("type") == "network" and isinstance(event.get("event"), dict):
        network[number] = dict(event["event"])
    elif event.get("type") == "requests_ended":
        for outcome in outcome_rows(event):
            request = outcome.get("request")
            if isinstance(request, int) and request in network:
                network[request] |= {name: outcome[name] for name in _OF_OUTCOMES if name in outcome}


def _summary(found: Found) -> Mapping[str, Any]:
    try:
        return read_summary(found.directory)
    except (FileNotFoundError, ValueError):
        return {}


def _document(
    found: Found, read: _Read, summary: Mapping[str, Any], environ: Mapping[str, str]
) -> Mapping[str, object]:
    snapshots = read.snapshots
    if snapshots:
        # Imported here: few runs are made with --rollback.
        from nono.cli.commands.audit.snapshots import with_what_is_kept

        snapshots = with_what_is_kept(found.session_id, snapshots, environ)
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
        "network_events": read.network_events,
        "command_policy_events": [],
        "audit_event_count": sum(read.kinds.values()),
        "audit_integrity": read.integrity if not summary else summary["audit_integrity"],
        "audit_attestation": summary.get("audit_attestation"),
        "snapshots": snapshots,
        "damage": read.damage,
    }
