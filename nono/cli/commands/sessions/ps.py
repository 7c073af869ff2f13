"""`nono ps`: lists the sessions."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence

from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import sessions
from nono.cli.text import session_text

DESCRIPTION = "Lists the sessions that run, the newest first."
MANY = 1000


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono ps", DESCRIPTION)
    argparse_parser.add_globals(parser)
    parser.add_argument("--all", action="store_true", help="list those that have ended too")
    parser.add_argument("--json", action="store_true", help="print the records as JSON")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), dict(os.environ)
    every = sessions(environ)
    shown = [each for each in every if parsed.all or not each.record.is_ended]
    if parsed.json:
        print(json.dumps([session_text.document(each.record, each.questions) for each in shown], indent=2))
        return 0
    is_silent = getattr(parsed, "silent", False)
    if shown:
        is_coloured = sys.stdout.isatty() and not environ.get("NO_COLOR")
        for line in session_text.table(shown, time.time_ns() // 1_000_000, _columns(environ), is_coloured):
            print(line)
    elif not is_silent:
        print("No sessions found." if not every else "No session runs; --all lists those that have ended.",
              file=sys.stderr)  # fmt: skip
    if len(every) > MANY and not is_silent:
        print(f"{len(every)} sessions are recorded; nono prune removes those of more than 30 days ago.",
              file=sys.stderr)  # fmt: skip
    return 0


def _columns(environ: Mapping[str, str]) -> int:
    """Return the width of the terminal; of what is no terminal, 120."""
    given = environ.get("COLUMNS", "")
    if given.isascii() and given.isdecimal() and int(given[:5]) > 0:
        return int(given[:5])
    try:
        return os.get_terminal_size(1).columns or session_text.WIDTH
    except OSError:
        return session_text.WIDTH
