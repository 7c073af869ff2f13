"""``nono profile``: what profiles there are, what one says, and writing them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from nono.cli import arguments
from nono.cli.commands import profile_look

DESCRIPTION = "Lists, shows, compares, checks and writes profiles."


def run(argv: Sequence[str]) -> int:
    parsed = _parser().parse_args(list(argv))
    environ = dict(os.environ)
    match parsed.action:
        case "list":
            return profile_look.list_profiles(environ, as_json=parsed.json)
        case "show":
            return profile_look.show(parsed.profile, environ, as_json=parsed.json, raw=parsed.raw)
        case _:
            return profile_look.groups(
                parsed.name, environ, as_json=parsed.json, all_platforms=parsed.all_platforms
            )


def _parser() -> argparse.ArgumentParser:
    parser = arguments.new_parser("nono profile", DESCRIPTION)
    arguments.add_globals(parser)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    listing = arguments.add_action(actions, "list", "name every profile that there is")
    _json(listing)

    show = arguments.add_action(actions, "show", "print a profile with what it inherits")
    show.add_argument("profile", metavar="PROFILE", help="a name, or a file with a slash in its path")
    show.add_argument("--raw", action="store_true", help="only what its own file says")
    _json(show)

    groups = arguments.add_action(actions, "groups", "name the groups of paths, or print one")
    groups.add_argument("name", metavar="GROUP", nargs="?", help="print this one")
    groups.add_argument("--all-platforms", action="store_true", help="those of other systems too")
    _json(groups)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")
