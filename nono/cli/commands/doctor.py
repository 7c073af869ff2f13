"""`nono doctor`: says what works on this machine and what is missing, each with its remedy."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence

from nono import __version__
from nono.cli.args import argparse_parser
from nono.cli.doctor.finding import Finding, finding_entry, finding_lines, is_well
from nono.cli.doctor.look import look
from nono.cli.doctor.machine import machine

DESCRIPTION = (
    "Says what works on this machine and what is missing, each with its remedy. Exits with 1 if something "
    "needed is missing."
)
FORMAT = 1  # of the JSON document


def run(argv: Sequence[str]) -> int:
    parsed = parser().parse_args(list(argv))
    sections: dict[str, list[Finding]] = {}
    for title, findings in _sections(parsed):
        if parsed.json:
            sections[title] = list(findings)
        else:
            sections[title] = list(_printed(title, findings))
    is_good = all(map(is_well, sections.values()))
    if parsed.json:
        print(json.dumps(_document(sections, is_good), indent=2))
    else:
        print("Nothing needed is missing." if is_good else "Something needed is missing; see 'fix' above.")
    return 0 if is_good else 1


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono doctor", DESCRIPTION)
    argparse_parser.add_globals(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of lines")
    return parser


def _sections(parsed: argparse.Namespace) -> Iterator[tuple[str, Iterable[Finding]]]:
    yield "machine", machine(look())


def _printed(title: str, findings: Iterable[Finding]) -> Iterator[Finding]:
    """Print each finding once it is there, for some take seconds."""
    print(f"{title}:")
    for finding in findings:
        for line in finding_lines(finding):
            print(line, flush=True)
        yield finding
    print()


def _document(sections: dict[str, list[Finding]], is_good: bool) -> dict[str, object]:
    return {
        "format": FORMAT,
        "nono": __version__,
        "ok": is_good,
        **{title: list(map(finding_entry, findings)) for title, findings in sections.items()},
    }
