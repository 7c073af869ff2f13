"""`nono audit`: list, show, verify, export and remove the audit logs of sessions."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from nono.cli.args import argparse_parser
from nono.cli.commands.audit import export

if TYPE_CHECKING:
    from nono.cli.commands.audit.found import Wanted

DESCRIPTION = (
    "Lists the audit logs of sessions, shows what one recorded, verifies that nobody changed it, and exports "
    "it to other tools."
)


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    environ = dict(os.environ)
    # Imported here: the help needs only the parser, also where no package of others is installed.
    from nono.cli.commands.audit import cleanup, delivery, listing, show, verify

    match parsed.action:
        case "list":
            return listing.listed(
                _wanted(parsed), environ, as_json=parsed.json, silent=argparse_parser.is_silent(parsed)
            )
        case "show":
            return show.show(parsed.session, environ, as_json=parsed.json)
        case "verify":
            return verify.verify(
                parsed.session,
                environ,
                verify.Trusted(parsed.public_key_file, parsed.anchor_ca, parsed.anchor_key_file),
                as_json=parsed.json,
            )
        case "export":
            return export.export(parsed, environ)
        case "status":
            return delivery.status(environ, as_json=parsed.json)
        case "sync":
            return delivery.sync(environ, as_json=parsed.json)
        case "cleanup":
            wish = cleanup.Wish(parsed.older_than, parsed.keep, is_all=parsed.all, is_dry=parsed.dry_run)
            return cleanup.cleanup(wish, environ, silent=argparse_parser.is_silent(parsed))
    raise AssertionError(f"no arm for the action {parsed.action}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono audit", DESCRIPTION)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_looking(actions)
    _add_verify(actions)
    export.add_parser(actions)
    _add_delivery(actions)
    _add_cleanup(actions)
    return parser


def _add_looking(actions: argparse_parser.Actions) -> None:
    """Add the actions that only read."""
    listed = argparse_parser.add_action(actions, "list", "list the sessions with an audit log, by directory")
    when = listed.add_mutually_exclusive_group()
    when.add_argument("--today", action="store_true", help="those that began today, in UTC")
    when.add_argument(
        "--since", type=_day, metavar="DATE", help="those that began at YYYY-MM-DD or later, in UTC"
    )
    listed.add_argument("--until", type=_day, metavar="DATE", help="those that began at YYYY-MM-DD or before")
    listed.add_argument("--command", metavar="TEXT", help="those of a command whose name contains TEXT")
    listed.add_argument(
        "--path", metavar="PATH", help="those with a granted directory at, below or above PATH"
    )
    listed.add_argument("--recent", type=argparse_parser.number, metavar="N", help="the newest N")
    listed.add_argument("--no-tools", action="store_true", help=argparse.SUPPRESS)
    argparse_parser.add_json(listed)

    shown = argparse_parser.add_action(actions, "show", "show what the log of a session recorded")
    argparse_parser.add_session(shown)
    argparse_parser.add_json(shown)


def _add_verify(actions: argparse_parser.Actions) -> None:
    verified = argparse_parser.add_action(
        actions, "verify", "verify the log of a session; exit 1 if anything was changed, or is missing"
    )
    argparse_parser.add_session(verified)
    verified.add_argument("--public-key-file", metavar="FILE", help="require its signature to be by this key")
    verified.add_argument("--anchor-ca", metavar="FILE", help="require a time stamp by these CAs, PEM")
    verified.add_argument("--anchor-key-file", metavar="FILE", help="require a head signed by this key")
    argparse_parser.add_json(verified)


def _add_delivery(actions: argparse_parser.Actions) -> None:
    """Add the actions about what collectors are sent."""
    owed = argparse_parser.add_action(actions, "status", "show what collectors have not received yet")
    argparse_parser.add_json(owed)
    sent = argparse_parser.add_action(
        actions, "sync", "send collectors what they have not received; exit 1 if something is still missing"
    )
    argparse_parser.add_json(sent)


def _add_cleanup(actions: argparse_parser.Actions) -> None:
    removed = argparse_parser.add_action(actions, "cleanup", "remove the audit logs of ended sessions")
    which = removed.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="remove all of them without asking")
    which.add_argument(
        "--older-than",
        type=argparse_parser.number,
        metavar="DAYS",
        help="remove those that began more than DAYS days ago",
    )
    removed.add_argument("--keep", type=argparse_parser.number, metavar="N", help="keep the newest N")
    removed.add_argument("--dry-run", action="store_true", help="list what would be removed")


def _wanted(parsed: argparse.Namespace) -> Wanted:
    from nono.cli.commands.audit.found import Wanted

    since = datetime.now(UTC).date() if parsed.today else parsed.since
    return Wanted(since, parsed.until, parsed.command, parsed.path, parsed.recent)


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not a date; write it as 2026-01-31") from None
