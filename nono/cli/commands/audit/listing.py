"""`nono audit list`: list the sessions with an audit log, by the directory they worked in."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import suppress

from nono.audit.ledger import EVENT_FILE
from nono.audit.stored import lines_of, open_file
from nono.cli.commands.audit.found import ORPHANED, RUNNING, Found, Wanted, all_found, filtered
from nono.cli.console import line_columns
from nono.cli.shapes.printed import printed_list
from nono.cli.text import audit_text

# These cannot stand inside a text: its quotes would be escaped.
_NETWORK = b'"event":{"type":"network"'
_SNAPSHOTS = (b'"event":{"type":"snapshot_taken"', b'"event":{"type":"turn_marked"')


def listed(wanted: Wanted, environ: Mapping[str, str], *, as_json: bool, silent: bool) -> int:
    """Print the wanted sessions. Returns an exit code."""
    found = filtered(all_found(environ), wanted)
    if as_json:
        print(printed_list(map(_document, found)))
    elif found:
        width = line_columns(sys.stdout, environ)
        for line in audit_text.listing(found):
            print(line[:width])
    elif not silent:
        print("No session has an audit log like that.", file=sys.stderr)
    return 0


def _document(each: Found) -> Mapping[str, object]:
    network_events, snapshots = _counted(each.directory)
    return {
        "session_id": each.session_id,
        "started": each.started,
        "ended": each.ended,
        "command": list(each.command),
        "tracked_paths": list(each.tracked_paths),
        "snapshot_count": snapshots,
        "exit_code": each.exit_code,
        "network_event_count": network_events,
        "disk_size": each.disk_size,
        "is_alive": each.state == RUNNING,
        "is_stale": each.state == ORPHANED,
        "status": each.state,
        "tool_sandbox_active": False,
        "command_policy_summary": None,
    }


def _counted(directory: str) -> tuple[int, int]:
    """Return how many events of a log are of the network, and how many snapshots undo took."""
    network = snapshots = 0
    with suppress(OSError), open_file(directory, EVENT_FILE) as file:
        for line in lines_of(file):
            network += _NETWORK in line
            snapshots += any(each in line for each in _SNAPSHOTS)
    return network, snapshots
