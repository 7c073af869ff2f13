"""`nono prune`: forget sessions that have ended, by age, number and size."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from posixpath import join

from nono import paths
from nono.audit.ledger import EVENT_FILE
from nono.audit.stored import is_closed
from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import caller_environ, refuse_inside
from nono.clock import unix_ms
from nono.errors import NonoError
from nono.sessions.leftovers import left_behind
from nono.sessions.listing import damaged, forget, open_registry, records, remove_own
from nono.sessions.processes import process_stat
from nono.sessions.record import Record
from nono.sessions.registry import CAST, OLDER_CAST, Registry
from nono.sessions.retention import DAY_MS, DAYS, Held, Retention, outdated

DESCRIPTION = (
    f"Forgets sessions that ended more than {DAYS} days ago, and removes what killed ones left, and damaged "
    "records. Their audit logs stay unless --logs is given, and so does a session that runs or is stopped."
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono prune", DESCRIPTION)
    parser.add_argument(
        "--older-than",
        type=argparse_parser.number,
        metavar="DAYS",
        help=f"remove what ended more than so many days ago [default: {DAYS}]",
    )
    parser.add_argument(
        "--keep", type=argparse_parser.number, metavar="N", help="keep no more than the newest N"
    )
    parser.add_argument(
        "--max-mb",
        type=argparse_parser.number,
        metavar="N",
        help="keep no more than fit into N MiB with their logs and recordings",
    )
    parser.add_argument("--logs", action="store_true", help="remove the audit logs of these sessions too")
    parser.add_argument("--dry-run", action="store_true", help="show what would be removed")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    refuse_inside("prune", environ)
    registry = open_registry(environ)
    removed, left, logs = list[Record](), list[str](), list[str]()
    if registry is not None:
        with registry:
            every = records(registry)
            held = [_held(registry, record, environ) for record in every if record.is_ended]
            retention = Retention(parsed.older_than, parsed.keep, parsed.max_mb)
            now_ms = unix_ms()
            removed = outdated(held, retention, now_ms)
            days = DAYS if parsed.older_than is None else parsed.older_than
            left = [*_left(registry, every, now_ms), *_damaged(registry, now_ms, days)]
            logs = _logs_alone(environ, every, now_ms) if parsed.logs else []
            if not parsed.dry_run:
                _remove(registry, removed, environ if parsed.logs else None)
                for path in (*left, *logs):
                    remove_own(path)
    if not argparse_parser.is_silent(parsed):
        _say(removed, (*left, *logs), is_dry=parsed.dry_run)
    return 0


def _left(registry: Registry, every: Sequence[Record], now_ms: int) -> list[str]:
    """Return the paths of files that killed supervisors left behind and that belong to no session."""
    living = {record.session_id for record in every if not record.is_ended}
    names = left_behind(
        os.listdir(registry.fd),
        living,
        lambda pid: process_stat(pid) is not None,
        lambda name: _is_old(join(registry.path, name), now_ms),
    )
    return [join(registry.path, name) for name in names]


def _damaged(registry: Registry, now_ms: int, days: int) -> list[str]:
    """Return the paths of sessions that no command lists, because their record is damaged."""
    found = []
    for names in damaged(registry):
        files = [join(registry.path, name) for name in names]
        if all(_is_old(file, now_ms, days) for file in files):
            found += files
    return found


def _logs_alone(environ: Mapping[str, str], every: Sequence[Record], now_ms: int) -> list[str]:
    """Return the old audit logs that belong to no session, such as those of `nono proxy`."""
    directory = join(paths.state_root(environ), "audit")
    known = {record.rollback_session for record in every}
    with suppress(OSError):
        return [
            join(directory, name)
            for name in os.listdir(directory)
            if name not in known
            and _is_old(join(directory, name, EVENT_FILE), now_ms)
            and is_closed(join(directory, name))
        ]
    return []


def _is_old(path: str, now_ms: int, days: int = DAYS) -> bool:
    try:
        written_ms = int(os.lstat(path).st_mtime * 1000)
    except OSError:
        return False
    return now_ms - written_ms >= days * DAY_MS


def _held(registry: Registry, record: Record, environ: Mapping[str, str]) -> Held:
    size = 0
    for suffix in (CAST, OLDER_CAST):
        with suppress(OSError):
            found = os.stat(record.session_id + suffix, dir_fd=registry.fd, follow_symlinks=False)
            size += found.st_size
    if record.rollback_session is not None:
        with suppress(OSError), os.scandir(_log_of(record, environ)) as entries:
            size += sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    return Held(record, size)


def _log_of(record: Record, environ: Mapping[str, str]) -> str:
    return join(paths.state_root(environ), "audit", record.session_id)


def _remove(registry: Registry, removed: Sequence[Record], environ: Mapping[str, str] | None) -> None:
    """Remove the records and, if an environment is given, their logs."""
    for record in removed:
        try:
            if environ is not None and record.rollback_session is not None:
                # Imported here: usually the logs are kept.
                from shutil import rmtree

                with suppress(FileNotFoundError):
                    rmtree(_log_of(record, environ))
            forget(registry, record)
        except OSError as error:
            raise NonoError(
                f"session {record.session_id} cannot be removed: {error.filename}: {error.strerror}"
            ) from error


def _say(removed: Sequence[Record], left: Sequence[str], *, is_dry: bool) -> None:
    if not removed and not left:
        print("Nothing to prune.", file=sys.stderr)
        return
    for name in (*(record.session_id for record in removed), *left):
        print(f"{'Would remove' if is_dry else 'Removed'}: {name}", file=sys.stderr)
    if removed and not is_dry:
        print(f"Pruned {len(removed)} session(s).", file=sys.stderr)
