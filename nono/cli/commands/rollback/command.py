"""`nono rollback`: list, show, restore, verify and remove what runs with --rollback have kept."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import refuse_inside
from nono.errors import NonoError, in_words

DESCRIPTION = "Lists, shows and undoes what runs with --rollback changed."


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), dict(os.environ)
    refuse_inside("rollback", environ)
    # Imported here: the help needs only the parser, and must work without any third-party package.
    from nono.cli.commands.rollback import look, restore, upkeep

    try:
        match parsed.action:
            case "list":
                return look.list_sessions(
                    environ, recent=parsed.recent, path=parsed.path, every=parsed.all, as_json=parsed.json
                )
            case "show":
                style = (
                    "side-by-side"
                    if parsed.side_by_side
                    else "diff"
                    if parsed.diff or parsed.full
                    else "list"
                )
                return look.show(parsed.session, environ, style=style, full=parsed.full, as_json=parsed.json)
            case "restore":
                return restore.run(
                    parsed.session,
                    parsed.paths,
                    environ,
                    number=parsed.snapshot,
                    turn=parsed.before_turn,
                    is_dry=parsed.dry_run,
                    skips=parsed.skip_changed,
                    force=parsed.force,
                )
            case "verify":
                return upkeep.verify(parsed.session, environ)
            case "cleanup":
                wish = upkeep.Wish(parsed.keep, parsed.older_than, parsed.all, parsed.dry_run, parsed.yes)
                return upkeep.cleanup(wish, environ)
    except BrokenPipeError:
        raise  # it concerns the reader of the output
    except (OSError, ValueError) as error:
        raise NonoError(f"what is kept for undo cannot be used: {in_words(error)}") from error
    raise AssertionError(f"no arm for the action {parsed.action}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono rollback", DESCRIPTION)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_looking(actions)
    _add_restore(actions)
    _add_upkeep(actions)
    return parser


def _add_looking(actions: argparse_parser.Actions) -> None:
    """Add the actions that only read."""
    listing = argparse_parser.add_action(actions, "list", "list the runs that can be undone")
    listing.add_argument("--recent", type=argparse_parser.number, metavar="N", help="only the newest N")
    listing.add_argument("--path", metavar="DIR", help="only runs that could write to a directory, or in it")
    listing.add_argument("--all", action="store_true", help="also those that changed nothing")
    argparse_parser.add_json(listing)

    show = argparse_parser.add_action(actions, "show", "show what a run changed")
    argparse_parser.add_session(show)
    style = show.add_mutually_exclusive_group()
    style.add_argument("--diff", action="store_true", help="print the changed lines")
    style.add_argument(
        "--side-by-side", action="store_true", help="print old and new lines beside each other"
    )
    show.add_argument("--full", action="store_true", help="print the lines of each file whole")
    argparse_parser.add_json(style)


def _add_restore(actions: argparse_parser.Actions) -> None:
    back = argparse_parser.add_action(
        actions, "restore", "bring back what was before a run, or at a snapshot"
    )
    argparse_parser.add_session(back)
    back.add_argument(
        "paths", nargs="*", metavar="PATH", help="bring back nothing but these, and what is in them"
    )
    place = back.add_mutually_exclusive_group()
    place.add_argument(
        "--snapshot",
        type=argparse_parser.number,
        default=0,
        metavar="N",
        help="go back to snapshot N (0: before the run)",
    )
    place.add_argument(
        "--before-turn",
        type=argparse_parser.number,
        metavar="N",
        help="go back to what was before turn N of the agent",
    )
    back.add_argument("--dry-run", action="store_true", help="say what would be done, do nothing")
    others = back.add_mutually_exclusive_group()
    others.add_argument(
        "--skip-changed",
        action="store_true",
        help="leave alone what somebody else changed since, restore the rest",
    )
    others.add_argument(
        "--force", action="store_true", help="restore that too; it is kept in a snapshot first"
    )


def _add_upkeep(actions: argparse_parser.Actions) -> None:
    """Add the actions on what is kept."""
    verify = argparse_parser.add_action(
        actions, "verify", "check that everything kept of a run is there and intact"
    )
    argparse_parser.add_session(verify)

    cleanup = argparse_parser.add_action(actions, "cleanup", "remove what is kept of old runs")
    which = cleanup.add_mutually_exclusive_group()
    which.add_argument(
        "--keep",
        type=argparse_parser.number,
        metavar="N",
        help="keep the newest N (max_sessions of config.toml: 10)",
    )
    which.add_argument(
        "--older-than",
        type=argparse_parser.number,
        metavar="DAYS",
        help="remove those that began more than DAYS days ago",
    )
    which.add_argument("--all", action="store_true", help="remove all of them")
    cleanup.add_argument("--yes", "-y", action="store_true", help="do not ask")
    cleanup.add_argument("--dry-run", action="store_true", help="list what would be removed")
