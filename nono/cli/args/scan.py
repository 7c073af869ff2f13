"""Read the options of an ordinary command line without argparse, which takes 5 ms to import and fill.

A command line with a mistake or a rare spelling is passed on to nono.cli.args.argparse_parser as a whole, so
that only one module reports errors.
"""

from collections.abc import Sequence

from nono.cli.args.options import Kind, Option, is_port, options_of, ports_of
from nono.named_tuple import NamedTuple


class Scanned(NamedTuple):
    """The values of options by name, as argparse would return them, and the words after them."""

    values: dict[str, object]
    silent: bool
    rest: list[str]  # from the first word that is not an option, or from `--`


def scan(command: str, argv: Sequence[str]) -> Scanned | None:
    """Scan argv: options, then the command to run. Returns None if argparse has to read it instead."""
    known = {flag: option for option in options_of(command) for flag in (*option.flags, *option.deprecated)}
    values: dict[str, object] = {}
    silent = False
    words = [*argv]
    while words and words[0] != "--" and words[0].startswith("-") and words[0] != "-":
        word = words.pop(0)
        if word in ("-s", "--silent"):
            silent = True
            continue
        name, is_attached, text = word.partition("=") if word.startswith("--") else (word, "", "")
        option = known.get(name)
        if option is None or not option.available or option.kind is Kind.PAIRS:
            return None
        if option.kind in (Kind.FLAG, Kind.COUNT):
            if is_attached:
                return None
        elif not is_attached:
            if not words or words[0].startswith("-"):
                return None
            text = words.pop(0)
        if not text and option.kind not in (Kind.FLAG, Kind.COUNT):
            return None
        if option.kind is Kind.PORTS and not is_port(text):
            return None
        if option.kind is Kind.PORT_RANGES and ports_of(text) is None:
            return None
        if option.kind is Kind.VALUE and values.get(option.dest, text) != text:
            return None
        _put(values, option, text)
    return Scanned(values, silent, words)


def _put(values: dict[str, object], option: Option, text: str) -> None:
    known = values.get(option.dest)
    match option.kind:
        case Kind.FLAG:
            values[option.dest] = True
        case Kind.COUNT:
            values[option.dest] = known + 1 if isinstance(known, int) else 1
        case Kind.VALUE:
            values[option.dest] = text
        case Kind.PORTS | Kind.PORT_RANGES:
            values[option.dest] = [*(known if isinstance(known, list) else ()), *(ports_of(text) or ())]
        case Kind.LIST | Kind.PAIRS:
            values[option.dest] = [*known, text] if isinstance(known, list) else [text]
