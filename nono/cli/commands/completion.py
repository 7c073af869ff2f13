"""`nono completion`: print a script that completes nono's command line in a shell."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence

from nono.cli.args import argparse_parser
from nono.cli.completion import bash, fish, zsh
from nono.cli.completion.choices import choices, groups
from nono.cli.completion.tree import Choice, Node, node_of
from nono.errors import UsageError
from nono.policy.builtin import shipped

DESCRIPTION = "Prints a completion script for a shell."
SCRIPTS = {
    "bash": bash.script,
    "zsh": zsh.script,
    "fish": fish.script,
}

# The name, help and parser of each command to complete.
Commands = Iterable[tuple[str, str, argparse.ArgumentParser]]


def run(argv: Sequence[str], commands: Commands) -> int:
    if "powershell" in argv:
        raise UsageError("there is no completion for powershell, only for bash, zsh and fish.")
    shell = parser().parse_args(list(argv)).shell
    print(SCRIPTS[shell](tree(commands), shipped.profile_names()), end="")
    return 0


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono completion", DESCRIPTION)
    parser.add_argument("shell", metavar="SHELL", choices=tuple(SCRIPTS), help="bash, zsh or fish")
    return parser


def tree(commands: Commands) -> Node:
    """Build the tree of everything that can be typed on the command line of nono."""
    known = groups()
    words = {**choices(), "--groups": known, "GROUP": known}
    nodes = [node_of(parser, (name,), about, words) for name, about, parser in commands]
    root = argparse_parser.new_parser("nono", "")
    own = node_of(root, (), "", words)
    version = Choice(("--version", "-V"), "print the version and exit")
    return own._replace(nodes=tuple(nodes), options=(*own.options, version))
