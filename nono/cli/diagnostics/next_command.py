"""Split the options of a run into what a saved profile holds and what the next command must repeat."""

from __future__ import annotations

from collections.abc import Iterator

from nono.cli.args.options import Kind, Option
from nono.cli.args.parse import Given, Invocation
from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import PathContext
from nono.policy.ports import united
from nono.policy.why.given import entry_of, ports_of
from nono.policy.why.saving import Addition
from nono.printable import shell_word

_NOT_REPEATED = ("profile", "explain", "dry_run", "name")


class OptionsOfRun(NamedTuple):
    """The options of a run, and its command."""

    saved: tuple[Addition, ...]  # what a profile can hold
    shown: tuple[str, ...]  # the same options as typed
    again: tuple[str, ...]  # words of the options that a profile cannot hold
    command: tuple[str, ...]

    def next_command(self, profile: str, *, saves_options: bool) -> str:
        """Return the command line that repeats the run under the profile, ready to be pasted into a shell."""
        words = ["nono run --profile", shell_word(profile)]
        words += () if saves_options else self.shown
        words += map(shell_word, self.again)
        words += ("--", *map(shell_word, self.command)) if self.command else ()
        return " ".join(words)


def options_of_run(invocation: Invocation, path_context: PathContext) -> OptionsOfRun:
    given = invocation.given
    bypassed = [path_context.of_flag(path) for path in given.list("bypass_protection")]
    saved: list[Addition] = []
    shown: list[str] = []
    again: list[str] = []
    for option in given.options:
        if option.dest in _NOT_REPEATED:
            continue
        for value, words in _values(option, given):
            entry = None if value is None else entry_of(option.dest, value, path_context, bypassed)
            entries = [entry] if entry is not None else _ports(option, given)
            if entries:
                saved += entries
                shown.append(" ".join(map(shell_word, words)))
            else:
                again += words
    return OptionsOfRun(
        tuple(dict.fromkeys(saved)), tuple(dict.fromkeys(shown)), tuple(again), invocation.command
    )


def _ports(option: Option, given: Given) -> list[Addition]:
    return ports_of(option.dest, given.ports(option.dest)) if option.kind is Kind.PORT_RANGES else []


def _values(option: Option, given: Given) -> Iterator[tuple[str | None, list[str]]]:
    """Yield each value of an option (None if an entry has none) and its words on a command line."""
    name, dest = option.flags[0], option.dest
    match option.kind:
        case Kind.FLAG:
            yield None, [name]
        case Kind.COUNT:
            yield None, [name] * given.count(dest)
        case Kind.VALUE:
            value = str(given.value(dest))
            yield value, [name, value]
        case Kind.LIST:
            for value in given.list(dest):
                yield value, [name, value]
        case Kind.PORTS:
            yield None, [word for port in given.ports(dest) for word in (name, str(port))]
        case Kind.PORT_RANGES:
            yield None, [word for ports in united(given.ports(dest)) for word in (name, str(ports))]
        case Kind.PAIRS:
            yield None, [word for pair in given.pairs(dest) for word in (name, *pair)]
