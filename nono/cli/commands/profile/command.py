"""`nono profile`: list, show, compare, check and write profiles."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from nono.cli.args import argparse_parser
from nono.cli.commands.profile import hosts, look, write
from nono.cli.commands.profile import validate as profile_validate

DESCRIPTION = "Lists, shows, compares, checks and writes profiles."


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    environ = dict(os.environ)
    match parsed.action:
        case "list":
            return look.list_profiles(environ, as_json=parsed.json)
        case "show":
            if parsed.format == "manifest":
                return look.show_manifest(parsed.profile, environ)
            return look.show(parsed.profile, environ, as_json=parsed.json, raw=parsed.raw)
        case "init":
            return write.init(_wish(parsed), environ)
        case "promote":
            silent = argparse_parser.is_silent(parsed)
            return write.promote(parsed.name, environ, only_diff=parsed.diff, yes=parsed.yes, silent=silent)
        case "validate":
            return profile_validate.validate(
                parsed.files, environ, is_draft=parsed.draft, as_json=parsed.json, strict=parsed.strict
            )
        case "schema":
            return look.print_schema(parsed.output, silent=argparse_parser.is_silent(parsed))
        case "guide":
            return look.print_guide()
        case "diff":
            return look.diff(parsed.old, parsed.new, environ, as_json=parsed.json)
        case "groups":
            return look.groups(parsed.name, environ, as_json=parsed.json, all_platforms=parsed.all_platforms)
        case "hosts":
            return hosts.hosts(parsed.name, environ, as_json=parsed.json)
    raise AssertionError(f"no arm for the action {parsed.action}")


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono profile", DESCRIPTION)
    parser.action_aliases = {
        "ls": "list",
        "new": "init",
        "create": "init",
        "check": "validate",
        "cat": "show",
    }
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    _add_init(actions)
    _add_looking(actions)
    _add_reference(actions)
    _add_promote(actions)
    return parser


def _add_init(actions: argparse_parser.Actions) -> None:
    init = argparse_parser.add_action(actions, "init", "create a starter profile")
    init.add_argument("name", metavar="NAME", help="of the new profile")
    init.add_argument("--extends", action="append", default=[], metavar="PROFILE", help="a base profile")
    init.add_argument(
        "--groups", action="append", default=[], metavar="GROUPS", help="groups of paths to include"
    )
    init.add_argument("--description", metavar="TEXT", help="say what it is for")
    init.add_argument("--full", action="store_true", help="include most fields, left empty")
    init.add_argument("--output", "-o", metavar="FILE", help="write it here instead of among your profiles")
    init.add_argument("--force", action="store_true", help="overwrite an existing file")


def _add_looking(actions: argparse_parser.Actions) -> None:
    """Add the actions that read profiles."""
    listing = argparse_parser.add_action(actions, "list", "list the profiles, shipped and yours")
    argparse_parser.add_json(listing)

    show = argparse_parser.add_action(actions, "show", "print a profile, with what it inherits")
    show.add_argument("profile", metavar="PROFILE", help="a name, or a file with a slash in its path")
    show.add_argument("--raw", action="store_true", help="print its own file alone")
    show.add_argument(
        "--format",
        choices=("profile", "manifest"),
        default="profile",
        help="manifest: as --config takes it, with the paths of this machine",
    )
    argparse_parser.add_json(show)

    diff = argparse_parser.add_action(actions, "diff", "compare two profiles")
    diff.add_argument("old", metavar="PROFILE", help="a name, or a file with a slash in its path")
    diff.add_argument("new", metavar="OTHER", help="the profile to compare it with")
    argparse_parser.add_json(diff)

    validate = argparse_parser.add_action(actions, "validate", "check a profile, and list every mistake")
    validate.add_argument(
        "files", metavar="PROFILE", nargs="+", help="a file, or the name of a profile; several one by one"
    )
    validate.add_argument("--draft", action="store_true", help="check the draft of this name")
    validate.add_argument("--strict", action="store_true", help="exit with status 2 if a key has an old name")
    argparse_parser.add_json(validate)


def _add_reference(actions: argparse_parser.Actions) -> None:
    """Add the actions about what a profile may say."""
    schema = argparse_parser.add_action(actions, "schema", "print the JSON Schema of profiles, for editors")
    schema.add_argument("--output", "-o", metavar="FILE", help="write it to a file")

    argparse_parser.add_action(actions, "guide", "print a guide to writing profiles")

    groups = argparse_parser.add_action(actions, "groups", "list the groups of paths, or print one")
    groups.add_argument("name", metavar="GROUP", nargs="?", help="the group to print")
    groups.add_argument("--all-platforms", action="store_true", help="include those of other systems")
    argparse_parser.add_json(groups)

    listed = argparse_parser.add_action(actions, "hosts", "print the hosts of a network profile")
    which_hosts = "a network profile, a profile that has one, or a group of hosts"
    listed.add_argument("name", metavar="NAME", nargs="?", help=which_hosts)
    argparse_parser.add_json(listed)


def _add_promote(actions: argparse_parser.Actions) -> None:
    promote = argparse_parser.add_action(actions, "promote", "turn a draft into your profile")
    promote.add_argument("name", metavar="NAME", help="of the draft")
    which = promote.add_mutually_exclusive_group()
    which.add_argument("--diff", action="store_true", help="show what would change, and stop")
    which.add_argument("--yes", action="store_true", help="do not ask")


def _wish(parsed: argparse.Namespace) -> write.Wish:
    groups = [name.strip() for names in parsed.groups for name in names.split(",") if name.strip()]
    return write.Wish(
        parsed.name,
        parsed.extends,
        parsed.description,
        groups,
        full=parsed.full,
        output=parsed.output,
        force=parsed.force,
        silent=argparse_parser.is_silent(parsed),
    )
