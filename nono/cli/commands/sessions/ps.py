"""`nono ps`: list the sessions."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from posixpath import join

from nono import paths
from nono.amounts import several
from nono.audit.ledger import EVENT_FILE
from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import Seen, sessions
from nono.cli.console import columns, is_coloured
from nono.cli.shapes.printed import printed_list
from nono.cli.text import session_text
from nono.clock import unix_ms
from nono.sessions.record import Record
from nono.sessions.retention import DAYS

DESCRIPTION = "Lists the sessions that run, the newest first."
MANY = 1000
LARGE_BYTES = 1 << 30


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono ps", DESCRIPTION)
    parser.add_argument("--all", action="store_true", help="include those that have ended")
    parser.add_argument("--watch", action="store_true", help="keep showing what changes")
    parser.add_argument("--json", action="store_true", help="print the records as JSON")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), dict(os.environ)
    if parsed.watch:
        # Imported here: usually the list is printed once.
        from nono.cli.commands.sessions.watching import watch

        watch(
            environ,
            lambda every: _shown(every, has_all=parsed.all),
            lambda: columns(sys.stdout, environ, session_text.WIDTH),
            as_json=parsed.json,
        )
        return 0
    every = sessions(environ)
    shown = _shown(every, has_all=parsed.all)
    if parsed.json:
        print(printed_list(session_text.document(each.record, each.questions) for each in shown))
        return 0
    is_silent = argparse_parser.is_silent(parsed)
    if shown:
        width = columns(sys.stdout, environ, session_text.WIDTH)
        now_ms = unix_ms()
        for line in session_text.table(shown, now_ms, width, is_coloured(sys.stdout, environ)):
            print(line)
    elif not is_silent:
        print("No sessions found." if not every else "No session runs; --all lists those that have ended.",
              file=sys.stderr)  # fmt: skip
    if not is_silent and (sentence := offer([each.record for each in every], environ)) is not None:
        print(sentence, file=sys.stderr)
    return 0


def _shown(every: list[Seen], *, has_all: bool) -> list[Seen]:
    return [each for each in every if has_all or not each.record.is_ended]


def offer(every: Sequence[Record], environ: Mapping[str, str]) -> str | None:
    """Return a sentence about `nono prune` once there are many records or logs."""
    directory, total = join(paths.state_root(environ), "audit"), 0
    for record in every:
        if record.rollback_session is not None:
            with suppress(OSError):
                total += os.stat(join(directory, record.rollback_session, EVENT_FILE)).st_size
    if len(every) <= MANY and total <= LARGE_BYTES:
        return None
    return (
        f"nono keeps the records of {several(len(every), 'session')}, "
        f"with {total / (1 << 20):,.0f} MiB of audit logs; "
        f"nono prune --logs removes those of more than {DAYS} days ago (--max-mb N: until N MiB are left)."
    )
