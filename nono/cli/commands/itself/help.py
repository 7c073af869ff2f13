"""`nono help`: print the help of nono, of a command or of a topic, as wide as the terminal."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TextIO

from nono.cli.args import argparse_parser
from nono.cli.completion.choices import choices
from nono.cli.console import columns, is_coloured
from nono.cli.help.overview import overview
from nono.cli.help.page import Page
from nono.cli.help.page_of import page_of, subparsers_of
from nono.cli.help.terminal import Look, lines_of
from nono.cli.help.topics import TOPICS
from nono.errors import UsageError
from nono.policy.suggestions import did_you_mean

DESCRIPTION = f"Prints the help of a command, or of a topic: {', '.join(TOPICS)}."


class Row(Protocol):
    """A row of nono.cli.command_table, which itself imports this module."""

    @property
    def help(self) -> str: ...
    @property
    def is_hidden(self) -> bool: ...
    @property
    def load(self) -> Callable[[], Any]: ...


Commands = Mapping[str, Row]


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono help", DESCRIPTION)
    parser.add_argument(
        "words", metavar="COMMAND", nargs="*", help="a command, a command and its action, or a topic"
    )
    return parser


def run(argv: Sequence[str], commands: Commands) -> int:
    words = parser().parse_args(list(argv)).words
    if words and words[0] in TOPICS:
        show(TOPICS[words[0]](), sys.stdout, is_long=True)
    elif words:
        show_parser(_parser_of(words, commands), sys.stdout, commands, is_long=True)
    else:
        show_overview(sys.stdout, commands)
    return 0


def show_overview(stream: TextIO, commands: Commands) -> None:
    """Print the page of nono itself."""
    show(
        overview({name: each.help for name, each in commands.items() if not each.is_hidden}),
        stream,
        is_long=True,
    )


def show_parser(
    parser: argparse.ArgumentParser, stream: TextIO, commands: Commands, *, is_long: bool
) -> None:
    """Print the page of a command."""
    name = parser.prog.split()[1]
    show(page_of(parser, commands[name].help, choices()), stream, is_long=is_long)


def show(page: Page, stream: TextIO, *, is_long: bool) -> None:
    """Print a page in the width and colours that suit the stream."""
    look = Look(columns(stream, os.environ), is_coloured(stream, os.environ))
    for line in lines_of(page, look, is_long=is_long):
        print(line, file=stream)


def _parser_of(words: Sequence[str], commands: Commands) -> argparse.ArgumentParser:
    load = commands[words[0]].load if words[0] in commands else None
    made = None if load is None else load().parser
    if made is None:
        raise UsageError(
            f"nono help: no such command or topic: '{words[0]}'",
            hint=did_you_mean(words[0], [*commands, *TOPICS]) or "nono help lists them",
        )
    found: argparse.ArgumentParser = made()
    for word in words[1:]:
        known = {each.prog.split()[-1]: each for _, each in subparsers_of(found)}
        if word not in known:
            hint = did_you_mean(word, known) or f"{found.prog} --help"
            raise UsageError(f"{found.prog} has no action '{word}'", hint=hint)
        found = known[word]
    return found
