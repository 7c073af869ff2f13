"""Build the help page of a command from its parser and the table of options."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping

from nono.cli.args.options import GLOBALS, PROXY, SANDBOX, SHELL, WHY, Kind, Option, own_options_of
from nono.cli.help import sections
from nono.cli.help.examples import EXAMPLES, SEE_ALSO
from nono.cli.help.page import Entry, Page, Section

LIKE_SANDBOX = frozenset({*SANDBOX, WHY, PROXY})
_LISTS = frozenset({Kind.LIST, Kind.PORT_RANGES, Kind.PAIRS})

# Known values by flag or metavar, where only nono's data contain them.
Values = Mapping[str, tuple[str, ...]]


def page_of(parser: argparse.ArgumentParser, summary: str, values: Values) -> Page:
    """Return the page of a command, or of an action of one."""
    words = tuple(parser.prog.split())
    entries, operands, actions, usage = list[Entry](), list[Entry](), list[Entry](), list[str]()
    declared = _declared(words)
    for action in parser._actions:
        if action.nargs == argparse.REMAINDER:
            if words[1] != SHELL:
                usage.append("[--] COMMAND [ARGS]...")
        elif action.help == argparse.SUPPRESS or sections.HIDDEN & {*action.option_strings}:
            continue
        elif isinstance(action, argparse._SubParsersAction):
            actions += (Entry((each.dest,), each.help or "") for each in action._choices_actions)
            usage.append(f"{action.metavar or 'ACTION'} ...")
        elif action.option_strings:
            entries.append(_option(action, declared.get(action.option_strings[0]), values))
        else:
            operands.append(_operand(action, values))
            usage.append(_placed(operands[-1].names[0], action.nargs))
    grouped = [("Actions", tuple(actions)), ("Operands", tuple(operands)), *_grouped(words[1], entries)]
    description = parser.description or f"{summary}."
    return Page(
        words,
        summary,
        description,
        " ".join((*words, "[OPTIONS]", *usage)),
        tuple(Section(title, found) for title, found in grouped if found),
        EXAMPLES.get(" ".join(words), ()),
        SEE_ALSO.get(" ".join(words), ()),
    )


def subparsers_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Yield the help and the parser of each action of a command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for each in action._choices_actions:
                yield each.help or "", action.choices[each.dest]


def _declared(words: tuple[str, ...]) -> Mapping[str, Option]:
    own = own_options_of(words[1]) if len(words) == 2 else ()
    if words[1] == WHY:  # it asks about options, and reads no environment variables for them
        own = tuple(option._replace(env="") for option in own)
    return {flag: option for option in (*own, *GLOBALS) for flag in option.flags}


def _option(action: argparse.Action, declared: Option | None, values: Values) -> Entry:
    flags = tuple(action.option_strings)
    return Entry(
        flags,
        _sentence(action.help),
        "" if action.nargs == 0 else _value(action),
        _default(action) if declared is None else sections.DEFAULTS.get(flags[0], ""),
        "" if declared is None else declared.env,
        _possible(action, values),
        isinstance(action, (argparse._AppendAction, argparse._CountAction))
        if declared is None
        else declared.kind in _LISTS or declared.kind is Kind.COUNT,
        declared is not None and declared.splits_commas,
        bool(sections.RARE & {*flags}),
    )


def _operand(action: argparse.Action, values: Values) -> Entry:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    return Entry((name,), _sentence(action.help), default=_default(action), values=_possible(action, values))


def _value(action: argparse.Action) -> str:
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    name = action.metavar or action.dest.upper().replace("_", "-")
    return f"[{name}]" if action.nargs == "?" else name


def _placed(name: str, nargs: int | str | None) -> str:
    match nargs:
        case "?":
            return f"[{name}]"
        case "*":
            return f"[{name}]..."
        case "+":
            return f"{name}..."
    return name


def _possible(action: argparse.Action, values: Values) -> tuple[str, ...]:
    keys = (*action.option_strings, str(action.metavar))
    known = next((values[key] for key in keys if key in values), None)
    return tuple(map(str, action.choices or ())) if known is None else known


def _default(action: argparse.Action) -> str:
    match action.default:
        case bool() | argparse.SUPPRESS:
            return ""
        case str(text):
            return text
        case int() | float() as number if number and action.nargs != 0:
            return f"{number:g}"
    return ""


def _sentence(text: str | None) -> str:
    return (text or "").removesuffix(".")


def _grouped(command: str, entries: list[Entry]) -> Iterator[tuple[str, tuple[Entry, ...]]]:
    headings = sections.headings(command, is_sandbox=command in LIKE_SANDBOX)
    places = {flag: place for place, flag in enumerate(headings)}
    entries = sorted(entries, key=lambda each: min(places.get(name, len(places)) for name in each.names))
    for title in sections.order(command):
        yield title, tuple(each for each in entries if _heading(each, headings) == title)


def _heading(entry: Entry, headings: Mapping[str, str]) -> str:
    return next((headings[name] for name in entry.names if name in headings), sections.OTHER)
