"""Build the tree of nono's command line from the parsers of its commands, for shell completion."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from nono.named_tuple import NamedTuple
from nono.str_enum import StrEnum


class Kind(StrEnum):
    """The kinds of values that a shell completes in different ways."""

    ANYTHING = "anything"
    DIRECTORY = "directory"
    FILE = "file"
    PROFILE = "profile"  # may be a user's own, so it is looked up at completion time
    WORD = "word"  # one of a fixed list
    COMMAND = "command"  # followed by its own arguments


class Value(NamedTuple):
    """The value of an option or of an operand."""

    kind: Kind
    words: tuple[str, ...] = ()
    name: str = ""  # shown to a person


class Choice(NamedTuple):
    """An option. Each of its values is one word."""

    flags: tuple[str, ...]
    help: str
    values: tuple[Value, ...] = ()
    repeats: bool = False


class Node(NamedTuple):
    """nono itself, a command, or an action of a command."""

    path: tuple[str, ...]
    help: str
    options: tuple[Choice, ...]
    nodes: tuple[Node, ...] = ()
    operands: tuple[Value, ...] = ()

    @property
    def words(self) -> str:
        """Return the words as typed, starting with `nono`."""
        return " ".join(("nono", *self.path))

    def all(self) -> Iterator[Node]:
        """Iterate over this node and everything below it."""
        yield self
        for node in self.nodes:
            yield from node.all()


def filled(frame: str, parts: Mapping[str, str]) -> str:
    """Replace each @NAME@ in frame with the part of that name."""
    for name, part in parts.items():
        frame = frame.replace(f"@{name}@", part)
    return frame


_KINDS = {
    "DIR": Kind.DIRECTORY,
    "FILE": Kind.FILE,
    "PATH": Kind.FILE,
    "PATH|HOST": Kind.FILE,
    "SOCKET": Kind.FILE,
    "PROFILE": Kind.PROFILE,
}


Words = Mapping[str, tuple[str, ...]]


def node_of(parser: argparse.ArgumentParser, path: tuple[str, ...], help_text: str, words: Words) -> Node:
    """Build the node of a parser. words: values known only from data, by option or by operand metavar."""
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
