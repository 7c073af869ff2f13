"""`nono prune`: forgets sessions that have ended, by age, number and size."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from posixpath import join

from nono import paths
from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import caller_environ, refuse_inside
from nono.errors import NonoError
from nono.sessions.listing import forget, open_registry, records
from nono.sessions.record import Record
from nono.sessions.registry import Registry
from nono.sessions.retention import DAYS, Held, Retention, outdated

DESCRIPTION = (
    f"Forgets sessions that ended more than {DAYS} days ago, but not their audit logs "
    "unless --logs is given. A session that runs or is stopped is kept."
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono prune", DESCRIPTION)
    argparse_parser.add_globals(parser)
    parser.add_argument("--older-than", type=_number, metavar="DAYS", help=f"days since the end ({DAYS})")
    parser.add_argument("--keep", type=_number, metavar="N", help="keep no more than the newest N")
    parser.add_argument(
        "--max-mb", type=_number, metavar="N", help="keep no more than fit into N MiB with their audit logs"
    )
    parser.add_argument("--logs", action="store_true", help="remove the audit logs of these sessions too")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    refuse_inside("prune", environ)
    registry = open_registry(environ)
    removed: list[Record] = []
    if registry is not None:
        with registry:
            held = [_held(record, environ) for record in records(registry) if record.is_ended]
            retention = Retention(parsed.older_than, parsed.keep, parsed.max_mb)
            removed = outdated(held, retention, time.time_ns() // 1_000_000)
            if not parsed.dry_run:
                _remove(registry, removed, environ if parsed.logs else None)
    if not getattr(parsed, "silent", False):
        _say(removed, is_dry=parsed.dry_run)
    return 0


def _held(record: Record, environ: Mapping[str, str]) -> Held:
    size = 0
    if record.rollback_session is not None:
        with suppress(OSError), os.scandir(_log_of(record, environ)) as entries:
            size = sum(entry.stat(follow_symlinks=False).st_size for entry in entries)
    return Held(record, size)


def _log_of(record: Record, environ: Mapping[str, str]) -> str:
    return join(paths.state_root(environ), "audit", record.session_id)


def _remove(registry: Registry, removed: Sequence[Record], environ: Mapping[str, str] | None) -> None:
    """Remove the records, and where there is an environment their logs."""
    for record in removed:
        try:
            if environ is not None and record.rollback_session is not None:
                # Imported here: most often the logs stay.
                from shutil import rmtree

                with suppress(FileNotFoundError):
                    rmtree(_log_of(record, environ))
            forget(registry, record)
        except OSError as error:
            raise NonoError(
                f"session {record.session_id} cannot be removed: {error.filename}: {error.strerror}"
            ) from error


def _say(removed: Sequence[Record], *, is_dry: bool) -> None:
    if not removed:
        print("Nothing to prune.", file=sys.stderr)
        return
    for record in removed:
        print(f"{'Would remove' if is_dry else 'Removed'}: {record.session_id}", file=sys.stderr)
    if not is_dry:
        print(f"Pruned {len(removed)} session(s).", file=sys.stderr)


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number")
    return int(text)
