"""What can stand on nono's command line, read off the parsers of its commands, for a shell to complete."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from enum import StrEnum

from nono.named_tuple import NamedTuple


class Kind(StrEnum):
    """What a value is, as far as a shell can complete it."""

    ANYTHING = "anything"
    DIRECTORY = "directory"
    FILE = "file"
    PROFILE = "profile"  # of the user too, so it is looked up when it is completed
    WORD = "word"  # one of a few
    COMMAND = "command"  # and what follows are its own arguments


class Value(NamedTuple):
    """What stands behind an option, or alone."""

    kind: Kind
    words: tuple[str, ...] = ()
    name: str = ""  # for a person


class Choice(NamedTuple):
    """An option. Its values each take a word."""

    flags: tuple[str, ...]
    help: str
    values: tuple[Value, ...] = ()
    repeats: bool = False


class Node(NamedTuple):
    """nono itself, a command or an action of one."""

    path: tuple[str, ...]
    help: str
    options: tuple[Choice, ...]
    nodes: tuple[Node, ...] = ()
    operands: tuple[Value, ...] = ()

    @property
    def words(self) -> str:
        """How it is typed."""
        return " ".join(("nono", *self.path))

    def all(self) -> Iterator[Node]:
        """It and everything below."""
        yield self
        for node in self.nodes:
            yield from node.all()


def filled(frame: str, parts: Mapping[str, str]) -> str:
    """A script whose @NAME@ are what parts has under that name."""
    for name, part in parts.items():
        frame = frame.replace(f"@{name}@", part)
    return frame


_KINDS = {
    "DIR": Kind.DIRECTORY,
    "FILE": Kind.FILE,
    "PATH": Kind.FILE,
    "SOCKET": Kind.FILE,
    "PROFILE": Kind.PROFILE,
}


Words = Mapping[str, tuple[str, ...]]


def node_of(parser: argparse.ArgumentParser, path: tuple[str, ...], help_text: str, words: Words) -> Node:
    """words: the values of an option, or of an operand by its metavar, that only data can tell."""
    options, nodes, operands = [], list[Node](), list[Value]()
    for action in parser._actions:
        if action.nargs == argparse.REMAINDER:
            operands.append(Value(Kind.COMMAND, name="command"))
        elif action.help == argparse.SUPPRESS:
            continue
        elif isinstance(action, argparse._SubParsersAction):
            helps = {each.dest: each.help or "" for each in action._choices_actions}
            named = action.choices.items()
            nodes += (node_of(each, (*path, name), helps[name], words) for name, each in named)
        elif action.option_strings:
            options.append(_option(action, words))
        else:
            operands.append(_value(action, action.metavar, words))
    return Node(path, help_text, tuple(options), tuple(nodes), tuple(operands))


def _option(action: argparse.Action, words: Words) -> Choice:
    count = action.nargs if isinstance(action.nargs, int) else 0 if action.nargs == "?" else 1
    names = action.metavar if isinstance(action.metavar, tuple) else (action.metavar,) * count
    repeats = isinstance(action, (argparse._AppendAction, argparse._CountAction))
    values = tuple(_value(action, name, words) for name in names)
    return Choice(tuple(action.option_strings), action.help or "", values, repeats)


def _value(action: argparse.Action, name: str | tuple[str, ...] | None, words: Words) -> Value:
    title = str(name or action.dest)
    known = next((words[key] for key in (*action.option_strings, title) if key in words), None)
    if known is None and action.choices is not None:
        known = tuple(map(str, action.choices))
    if known is not None:
        return Value(Kind.WORD, known, title)
    is_profile = "--profile" in action.option_strings
    return Value(Kind.PROFILE if is_profile else _KINDS.get(title, Kind.ANYTHING), name=title)
