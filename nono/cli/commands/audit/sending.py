"""`nono audit export --to`: send a collector the records of some sessions that it does not have yet."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable

from nono.amounts import several
from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.errors import NonoError
from nono.outward.orders import check_collector
from nono.outward.otlp import Sender
from nono.outward.shipment import shipment
from nono.printable import printable_line

TIMEOUT_S = 10.0


def send(url: str, root: int, session_ids: Iterable[str]) -> int:
    """Send records, and print how many per session. Returns 1 if some could not be sent. Raises NonoError.

    root: Descriptor of the directory that holds all sessions.
    """
    check_collector("--to", url)
    sender, status = Sender(url, TIMEOUT_S), 0
    for session_id in session_ids:
        if problem := _sent(url, root, session_id, sender):
            # What the collector has answered may hold commands for the terminal.
            print(printable_line(f"nono: session {session_id}: {problem}"), file=sys.stderr)
            status = 1
    return status


def _sent(url: str, root: int, session_id: str, sender: Sender) -> str | None:
    """Send the records of one session. Returns the reason if that was not possible."""
    try:
        session = os.open(session_id, DIRECTORY_FLAGS, dir_fd=root)
        try:
            with shipment(session, session_id, os.uname().nodename, url) as own:
                if own is None:
                    return "another process sends its records at the moment"
                before = own.cursor
                problem = own.finish(sender)
                count, gaps = own.cursor.sent - before.sent, own.cursor.gaps - before.gaps
                refused = f", {gaps} of them refused" if gaps else ""
                print(f"{session_id}: {several(count, 'record')}{refused}", file=sys.stderr)
                return problem
        finally:
            os.close(session)
    except OSError as error:
        raise NonoError(f"the log of session {session_id} cannot be sent: {error.strerror}") from error
