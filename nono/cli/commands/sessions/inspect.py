"""`nono inspect`: print everything that is recorded about one session."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import Chosen, caller_environ, chosen, questions
from nono.cli.commands.sessions.talk import call
from nono.cli.shapes.printed import printed
from nono.cli.text import session_text
from nono.clock import unix_ms
from nono.errors import NonoError

PATIENCE_S = 2.0

DESCRIPTION = "Says what is recorded of a session: what ran, where, and why it ended."


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono inspect", DESCRIPTION)
    argparse_parser.add_session(parser)
    parser.add_argument("--json", action="store_true", help="print the record as JSON")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    with chosen(parsed.session, caller_environ()) as session:
        record, waiting = session.record, questions(session.registry, session.record)
        live = None if record.is_ended else _live(session)
    if parsed.json:
        document = session_text.document(record, waiting)
        print(printed(document if live is None else {**document, "live": live}))
    else:
        for line in session_text.details(record, waiting, live, unix_ms()):
            print(line)
    return 0


def _live(session: Chosen) -> Mapping[str, Any] | None:
    """Return what the session reports about itself; None if it does not answer."""
    try:
        told = call(session, "GET", "/v1/session", patience_s=PATIENCE_S)
    except NonoError:
        return None
    document = {name: value for name, value in told.document.items() if name not in ("session", "state")}
    return document if told.status == HTTPStatus.OK else None
