"""`nono stop`: end a session and everything that its command has started."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import caller_environ, chosen, ended_error, refuse_inside
from nono.sessions.stopping import stop

DESCRIPTION = "Ends a session: its command gets SIGTERM, and is killed if it takes too long."
TIMEOUT_S = 10.0
TIMEOUT_MAX_S = 3600.0


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono stop", DESCRIPTION)
    argparse_parser.add_session(parser)
    parser.add_argument("--force", action="store_true", help="kill the command at once")
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=TIMEOUT_S,
        metavar="SECONDS",
        help="wait so long before it is killed",
    )
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    refuse_inside("stop", environ)
    with chosen(parsed.session, environ) as (registry, record):
        if record.is_ended:
            raise ended_error(record)
        is_forced = stop(registry, record, force=parsed.force, timeout_s=parsed.timeout)
    if not argparse_parser.is_silent(parsed):
        print(f"Stopped session {record.session_id}{' (forced)' if is_forced else ''}.", file=sys.stderr)
    return 0


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= TIMEOUT_MAX_S:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds from 0 to {TIMEOUT_MAX_S:.0f}")
    return seconds
