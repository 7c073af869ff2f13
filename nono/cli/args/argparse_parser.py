"""Build the argparse parser of a command, for what `scan` leaves over: help, errors and rare spellings."""

import argparse
from collections.abc import Sequence
from functools import partial
from typing import Any, Literal, NoReturn

from nono.cli.args.help_wanted import HelpWanted
from nono.cli.args.mistakes import GIVEN_TWICE, answer
from nono.cli.args.options import GLOBALS, Kind, Option, is_port, own_options_of, ports_of

SESSION_HELP = "id, the beginning of one, name, or `latest`"

_COLUMNS = 80
NUMBER_MAX = 999_999_999

type Actions = argparse._SubParsersAction[Parser]  # what add_subparsers() returns


class _Help(argparse.Action):
    """Handle -h, which prints the short help, and --help."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> NoReturn:
        raise HelpWanted(parser, is_long=option_string == "--help")


class _Once(argparse._StoreAction):
    """Take the value of an option, and refuse another one: which of them is meant only the person knows."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        assert isinstance(parser, Parser)
        if option_string is not None and parser.given.setdefault(self.dest, values) != values:
            raise argparse.ArgumentError(self, GIVEN_TWICE)
        super().__call__(parser, namespace, values, option_string)


class Parser(argparse.ArgumentParser):
    """Raise UsageError where argparse would print its usage and exit."""

    def __init__(self, **settings: Any) -> None:
        # The width is fixed; otherwise argparse would ask shutil for every option.
        formatter = partial(argparse.HelpFormatter, width=_COLUMNS)
        super().__init__(
            **{**settings, "add_help": False, "allow_abbrev": False, "formatter_class": formatter}
        )
        self.register("action", None, _Once)  # which argparse takes for an option without an action
        self.given: dict[str, object] = {}  # by name: what the words so far give options, defaults left out
        self.action_aliases: dict[str, str] = {}  # what people type for an action, by the action's name
        self.add_argument(
            "-h",
            "--help",
            action=_Help,
            nargs=0,
            default=argparse.SUPPRESS,
            help="print help; --help prints all",
        )

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        words = list(args or ())
        place = _first_word(words)
        if place is not None and words[place] in self.action_aliases:
            words[place] = self.action_aliases[words[place]]
        self.given = {}
        parsed, left = super().parse_known_args(words, namespace)
        self._refuse_second_values(parsed)
        for action in self._actions:
            if action.nargs in (argparse.REMAINDER, argparse.PARSER):
                continue  # words of a command, or of an action, whose parser looks at them
            if action.const == "" and {"", *(f"{flag}=" for flag in action.option_strings)}.isdisjoint(words):
                continue  # the option alone, which may be left without a value
            value = getattr(parsed, action.dest, None)
            if value == "" or (isinstance(value, list) and "" in value):  # a variable that is not set, mostly
                self.error(str(argparse.ArgumentError(action, "its value is empty.")))
        return parsed, left

    def _refuse_second_values(self, parsed: argparse.Namespace) -> None:
        """Refuse an option before an action that has another value after it: the latter would count."""
        for actions in self._subparsers._group_actions if self._subparsers is not None else ():
            assert isinstance(actions.choices, dict)  # argparse keeps the parsers of its actions in it
            after = actions.choices[getattr(parsed, actions.dest)].given
            for action in self._actions:
                value = self.given.get(action.dest)
                if value is not None and after.get(action.dest, value) != value:
                    self.error(str(argparse.ArgumentError(action, GIVEN_TWICE)))

    def error(self, message: str) -> NoReturn:
        raise answer(message, self.prog, self._shown_flags(), self._action_names())

    def _action_names(self) -> list[str]:
        groups = self._subparsers._group_actions if self._subparsers is not None else ()
        return [name for action in groups for name in action.choices or ()]

    def _shown_flags(self) -> list[str]:
        shown = (action for action in self._actions if action.help != argparse.SUPPRESS)
        return [flag for action in shown for flag in action.option_strings]


def _first_word(words: Sequence[str]) -> int | None:
    """Return the position of the first word that is not a global option."""
    place = 0
    while place < len(words) and words[place].startswith("-"):
        place += 2 if words[place] in ("--theme", "--log-file") else 1
    return place if place < len(words) else None


def new_parser(prog: str, description: str, usage: str | None = None) -> Parser:
    """Return a parser with the global options and nothing else."""
    parser = Parser(prog=prog, description=description, usage=usage)
    _add_globals(parser)
    return parser


def add_action(actions: Actions, name: str, help_text: str) -> argparse.ArgumentParser:
    """Add the parser of one action of a command and return it."""
    parser = actions.add_parser(name, help=help_text, description=f"{help_text[0].upper()}{help_text[1:]}.")
    _add_globals(parser)
    return parser


def _add_globals(parser: argparse.ArgumentParser) -> None:
    """Add the options that may come before or after the subcommand."""
    parser.add_argument(
        "--silent",
        "-s",
        action="store_true",
        default=argparse.SUPPRESS,
        help="print only errors, and what weakens the sandbox",
    )
    for option in GLOBALS:
        parser.add_argument(
            *option.flags, default=argparse.SUPPRESS, metavar=option.metavar, help=option.help
        )


def add_session(parser: argparse._ActionsContainer, nargs: Literal["?"] | None = None) -> None:
    """Add the argument that names a session. nargs: "?" if it may be left out."""
    parser.add_argument("session", metavar="SESSION", nargs=nargs, help=SESSION_HELP)


def add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def is_silent(parsed: argparse.Namespace) -> bool:
    """Return True if --silent was given, before the command or after."""
    return getattr(parsed, "silent", False)


def add_options(parser: argparse.ArgumentParser, command: str, argv: Sequence[str]) -> None:
    """Add the options of command. An option that is not available yet is added only if argv contains it."""
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


def number(text: str) -> int:
    """Parse a whole number in plain decimal, of at most nine digits."""
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(NUMBER_MAX))):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 0 to {NUMBER_MAX}")
    return int(text)


def port(text: str) -> int:
    """Parse a TCP port, from 1 to 65535, in plain decimal."""
    if not is_port(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a port: a number from 1 to 65535 is expected")
    return int(text)


def ports(text: str) -> list[int]:
    """Parse a TCP port, from 1 to 65535, in plain decimal, or a range of them."""
    found = ports_of(text)
    if found is None:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a port: a number from 1 to 65535 is expected, or a range such as 3000-3010"
        )
    return list(found)
