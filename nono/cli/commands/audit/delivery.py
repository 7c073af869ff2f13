"""`nono audit status` and `sync`: what collectors have not received yet, and another try to send it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from nono import paths
from nono.audit.ledger import EVENT_FILE
from nono.audit.stored import audit_directory, directory_of, lines_of, open_file
from nono.cli.shapes.printed import printed
from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.outward import spool
from nono.private_dir import open_private_dir
from nono.settings.file import user_config


class Owed(NamedTuple):
    """What one collector has not received."""

    collector: str
    queued: int = 0  # records
    sessions: tuple[str, ...] = ()
    refused: int = 0  # records that it never took


def status(environ: Mapping[str, str], *, as_json: bool) -> int:
    """Print what each collector has not received."""
    found = owed(environ)
    if as_json:
        print(printed(_document(found)))
    elif not found:
        print("No collector gets the audit log; --audit-otlp of nono run names one.")
    else:
        print(*map(_worded, found), sep="\n")
    return 0


def sync(environ: Mapping[str, str], *, as_json: bool) -> int:
    """Send what collectors have not received. Returns 1 if something is still missing. Raises NonoError."""
    waiting, exit_code = [each for each in owed(environ) if each.sessions], 0
    if waiting:
        # Imported here: it takes the OpenTelemetry SDK.
        from nono.cli.commands.audit.sending import send

        root = open_private_dir(audit_directory(paths.state_root(environ)), create=False)
        try:
            for each in waiting:
                exit_code |= send(each.collector, root, each.sessions)
        finally:
            os.close(root)
    if as_json:
        print(printed(_document(owed(environ))))
    elif not waiting:
        print("Nothing waits to be sent.", file=sys.stderr)
    return exit_code


def owed(environ: Mapping[str, str]) -> list[Owed]:
    """Return what each collector is owed: those that a run had, and the one of config.toml."""
    state_root, named = paths.state_root(environ), user_config(environ).audit.otlp
    found = {named: Owed(named)} if named else dict[str, Owed]()
    try:
        root = open_private_dir(audit_directory(state_root), create=False)
    except FileNotFoundError:
        return [*found.values()]
    except OSError as error:
        where = audit_directory(state_root)
        raise NonoError(f"the audit logs cannot be read: {where}: {error.strerror}") from error
    try:
        for session_id in sorted(os.listdir(root)):
            for cursor in _cursors(root, session_id):
                before = found.get(cursor.endpoint, Owed(cursor.endpoint))
                before = before._replace(refused=before.refused + cursor.gaps)
                if not cursor.is_complete:
                    left = max(0, _records(directory_of(state_root, session_id)) - cursor.sent)
                    before = before._replace(
                        queued=before.queued + left, sessions=(*before.sessions, session_id)
                    )
                found[cursor.endpoint] = before
    finally:
        os.close(root)
    return sorted(found.values())


def _cursors(root: int, session_id: str) -> list[spool.Cursor]:
    try:
        session = os.open(session_id, DIRECTORY_FLAGS, dir_fd=root)
    except OSError:  # a file, or gone
        return []
    try:
        return spool.every(session)
    finally:
        os.close(session)


def _records(directory: str) -> int:
    try:
        with open_file(directory, EVENT_FILE) as file:
            return sum(line.endswith(b"\n") for line in lines_of(file))
    except OSError:
        return 0


def _document(found: Sequence[Owed]) -> Mapping[str, object]:
    return {
        "enrolled": bool(found),
        "queued": sum(each.queued for each in found),
        "collectors": [{**each._asdict(), "sessions": list(each.sessions)} for each in found],
    }


def _worded(owed: Owed) -> str:
    sessions = f" of {len(owed.sessions):,} session(s)" if owed.sessions else ""
    refused = f", {owed.refused:,} refused" if owed.refused else ""
    return f"{owed.collector}: {owed.queued:,} record(s){sessions} to be sent{refused}"
