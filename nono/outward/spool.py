"""Record how much of a session a collector has. The log itself is the spool."""

from __future__ import annotations

import fcntl
import json
import os
import re
from contextlib import suppress

from nono.digests import sha256
from nono.disk.durable import unfinished
from nono.named_tuple import NamedTuple

_BYTES_MAX = 16 * 1024
_NAME = re.compile(r"otlp-[0-9a-f]{16}\.json", re.ASCII)
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Cursor(NamedTuple):
    """How much of one session the collector at `endpoint` has."""

    endpoint: str
    sent: int = 0  # records accepted or skipped, so also the number of the next one
    gaps: int = 0  # records that it refuses permanently
    is_complete: bool = False  # the session has ended and everything was sent


def file_of(endpoint: str) -> str:
    """Return the name of a collector's cursor file: there may be several collectors."""
    return f"otlp-{sha256(endpoint.encode()).hexdigest()[:16]}.json"


def read(session: int, endpoint: str) -> Cursor | None:
    """Return a collector's cursor in a session, or None.

    session: Descriptor of the session's directory.
    """
    cursor = _read(session, file_of(endpoint))
    return cursor if cursor is not None and cursor.endpoint == endpoint else None


def every(session: int) -> list[Cursor]:
    """Return the cursors of all collectors in a session. Raises OSError."""
    names = [name for name in os.listdir(session) if _NAME.fullmatch(name)]
    found = [(name, _read(session, name)) for name in sorted(names)]
    return [cursor for name, cursor in found if cursor is not None and file_of(cursor.endpoint) == name]


def _read(session: int, name: str) -> Cursor | None:
    try:
        with open(os.open(name, _READ, dir_fd=session), "rb") as file:
            document = json.loads(file.read(_BYTES_MAX))
        cursor = Cursor(*(document[field] for field in Cursor._fields))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    kinds = tuple(map(type, cursor))
    return cursor if kinds == (str, int, int, bool) and min(cursor.sent, cursor.gaps) >= 0 else None


def write(session: int, cursor: Cursor) -> None:
    """Replace the cursor of a session. Raises OSError.

    It is not synced: after a power failure an older one is read, and some records are sent again with their
    ids.
    """
    name = file_of(cursor.endpoint)
    with unfinished(session, name, syncs=False, is_shared=False) as file:
        file.write(json.dumps(cursor._asdict()).encode("utf-8"))


def take(session: int) -> bool:
    """Lock a session until its descriptor is closed.

    Returns False if another process is sending its records.
    """
    with suppress(BlockingIOError):
        fcntl.flock(session, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False
