"""`nono report`: say on one page what a session did, or what many sessions did together."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from nono.cli import atomic_write
from nono.cli.args import argparse_parser
from nono.cli.args.period import PERIOD_HELP
from nono.cli.commands.sessions.chosen import caller_environ, chosen
from nono.cli.shapes.printed import printed
from nono.cli.text.report.page import text_of
from nono.errors import NonoError, UsageError
from nono.report.model import Page

DESCRIPTION = (
    "Says what a session did: hosts and requests, credentials, tokens and cost by turn, what was denied and "
    "which option would allow it, answers, changed rules and files, and which of these run outside later."
)


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono report", DESCRIPTION)
    argparse_parser.add_session(parser, nargs="?")
    parser.add_argument("--last", metavar="PERIOD", help=f"add up the {PERIOD_HELP} instead")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument("--html", metavar="FILE", help="write it as a page; - is standard output")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    if (parsed.session is None) == (parsed.last is None):
        raise UsageError("name one session, or a period with --last.", hint="nono report latest")
    if parsed.last is not None:
        return _of_period(parsed, environ)
    with chosen(parsed.session, environ) as session:
        record = session.record
    # Imported here: the help needs only the parser, and must work without any third-party package.
    from nono.cli.commands.report.session import read

    page = read(record, environ)
    if parsed.html is not None:
        _write(parsed.html, page)
    elif parsed.json:
        document = plain(page)
        print(printed({**document.pop("report"), **document}))
    else:
        sys.stdout.write(text_of(page))
    return 0


def _of_period(parsed: argparse.Namespace, environ: Mapping[str, str]) -> int:
    # Imported here: a report about one session does not need it.
    from nono.cli.commands.report.period import started_within, totals
    from nono.cli.text.report.totals import text_of_totals

    if parsed.html is not None:
        raise UsageError("--html is for the report about one session.", hint="--json prints the totals")
    found = totals(started_within(parsed.last, environ), environ)
    if parsed.json:
        print(printed({**plain(found), "cost_usd": found.cost_usd}))
    else:
        sys.stdout.write(text_of_totals(found, parsed.last))
    return 0


def _write(path: str, page: Page) -> None:
    # Imported here: it needs the template engine.
    from nono.cli.commands.report.html import page_of

    # Paths that are not UTF-8 were escaped when they were recorded, so a lone surrogate is an attack.
    content = page_of(page).encode("utf-8", "backslashreplace")
    if path == "-":
        sys.stdout.buffer.write(content)
        return
    try:
        atomic_write.replace_name(os.path.abspath(path), content)
    except OSError as error:
        raise NonoError(f"the page cannot be written: {path}: {error.strerror}") from error


def plain(value: Any) -> Any:
    """Return named tuples as objects for JSON."""
    if hasattr(value, "_asdict"):
        return {name: plain(each) for name, each in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [plain(each) for each in value]
    return value
