"""`nono inspect`: says everything that is recorded of one session."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import caller_environ, chosen
from nono.cli.text import session_text
from nono.sessions.record import document_of

DESCRIPTION = "Says what is recorded of a session: what ran, where, and why it ended."


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono inspect", DESCRIPTION)
    argparse_parser.add_globals(parser)
    parser.add_argument("session", metavar="SESSION", help=session_text.SESSION_HELP)
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    with chosen(parsed.session, caller_environ()) as (_, record):
        if parsed.json:
            print(json.dumps(document_of(record), indent=2))
        else:
            for line in session_text.details(record):
                print(line)
    return 0
