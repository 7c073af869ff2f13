"""Builds the argparse parser of a command, for all that nono.cli.args.scan leaves: help, errors, rarities."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any, NoReturn

from nono.cli.args.options import GLOBALS, Kind, Option, is_port, own_options_of, ports_of
from nono.errors import UsageError
from nono.policy.suggestions import did_you_mean

HELP_COLUMNS = 80


class Parser(argparse.ArgumentParser):
    """An ArgumentParser that raises UsageError where argparse would print its usage and exit."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=self._nearest(message) or f"{self.prog} --help")

    def _nearest(self, message: str) -> str | None:
        _, found, words = message.partition("unrecognized arguments: ")
        if found:
            first, *_ = words.split() or [""]  # an empty argument may be the unrecognized one
            return did_you_mean(first, self._option_string_actions)
        _, found, rest = message.partition("invalid choice: ")
        if not found or self._subparsers is None:
            return None
        known = [name for action in self._subparsers._group_actions for name in action.choices or ()]
        return did_you_mean(rest.split()[0].strip("'"), known)


def new_parser(prog: str, description: str, usage: str | None = None) -> argparse.ArgumentParser:
    """Return an empty parser. Its width is fixed, because argparse would ask shutil for each option."""
    return Parser(
        prog=prog, description=description, usage=usage, allow_abbrev=False, formatter_class=_formatter()
    )


def _formatter() -> Any:
    return partial(argparse.HelpFormatter, width=HELP_COLUMNS)


def add_action(actions: Any, name: str, help_text: str) -> argparse.ArgumentParser:
    """Add and return the parser of one action of a command. actions: the result of add_subparsers."""
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        help=help_text,
        description=f"{help_text[0].upper()}{help_text[1:]}.",
        allow_abbrev=False,
        formatter_class=_formatter(),
    )
    add_globals(parser)
    return parser


def add_globals(parser: argparse.ArgumentParser) -> None:
    """Add the options that may come before or after the subcommand."""
    parser.add_argument(
        "--silent", "-s", action="store_true", default=argparse.SUPPRESS, help="print nothing of nono's own"
    )
    for option in GLOBALS:
        parser.add_argument(
            *option.flags, default=argparse.SUPPRESS, metavar=option.metavar, help=option.help
        )


def add_options(parser: argparse.ArgumentParser, command: str, argv: Sequence[str]) -> None:
    """Add the options of command. One that is not available yet is added only if argv has it."""
    words = {word.partition("=")[0] for word in argv}
    for option in own_options_of(command):
        if not option.available and words.isdisjoint(option.flags):
            continue
        is_shown = option.available and option.is_shown
        _add(parser, option, option.flags, help_text=option.help if is_shown else argparse.SUPPRESS)
        if option.deprecated:
            _add(parser, option, option.deprecated, help_text=argparse.SUPPRESS)


def _add(parser: argparse.ArgumentParser, option: Option, flags: Sequence[str], help_text: str) -> None:
    dest, metavar = option.dest, option.metavar or None
    match option.kind:
        case Kind.FLAG:
            parser.add_argument(*flags, dest=dest, action="store_true", default=None, help=help_text)
        case Kind.COUNT:
            parser.add_argument(*flags, dest=dest, action="count", default=None, help=help_text)
        case Kind.VALUE:
            parser.add_argument(*flags, dest=dest, metavar=metavar, help=help_text)
        case Kind.LIST:
            parser.add_argument(*flags, dest=dest, action="append", metavar=metavar, help=help_text)
        case Kind.PORTS:
            parser.add_argument(
                *flags, dest=dest, action="append", type=port, metavar=metavar, help=help_text
            )
        case Kind.PORT_RANGES:
            parser.add_argument(
                *flags, dest=dest, action="extend", type=ports, metavar=metavar, help=help_text
            )
        case Kind.PAIRS:
            parser.add_argument(*flags, dest=dest, action="append", nargs=2, metavar=metavar, help=help_text)


def port(text: str) -> int:
    """Parse a TCP port, 1 to 65535, in plain decimal."""
    if not is_port(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port: a number from 1 to 65535 is expected")
    return int(text)


def ports(text: str) -> list[int]:
    """Parse a TCP port, 1 to 65535, in plain decimal, or a range of them."""
    found = ports_of(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a port: a number from 1 to 65535 is expected or a range, such as 3000-3010"
        )
    return list(found)
