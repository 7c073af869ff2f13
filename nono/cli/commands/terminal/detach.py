"""`nono detach`: take a session off the terminal that shows it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import caller_environ, chosen, ended_error, refuse_inside
from nono.cli.commands.terminal.visit import ask, unreachable
from nono.sessions import wire

DESCRIPTION = "Takes a session off the terminal that shows it. The session goes on."


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono detach", DESCRIPTION)
    argparse_parser.add_session(parser)
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    refuse_inside("detach", environ)
    with chosen(parsed.session, environ) as session:
        record = session.record
        if record.is_ended:
            raise ended_error(record)
        connection, status, _ = ask(session, wire.DETACH)
        connection.close()
        if status not in (wire.OK, wire.BUSY):
            raise unreachable(record)
    word = "Detached session" if status == wire.OK else "Nobody is attached to session"
    if not argparse_parser.is_silent(parsed):
        print(f"{word} {record.session_id}.", file=sys.stderr)
    return 0
