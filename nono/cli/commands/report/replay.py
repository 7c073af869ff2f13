"""`nono replay`: says what another profile would have decided otherwise in sessions of the past."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from posixpath import dirname

from nono.cli.args import argparse_parser, options
from nono.cli.args.options import Given
from nono.cli.commands.report.changed import changed
from nono.cli.commands.report.command import WIDTH, plain
from nono.cli.commands.report.rules import under
from nono.cli.commands.report.session import DELETED, log_of
from nono.cli.commands.sessions.chosen import caller_environ, chosen
from nono.cli.text import session_text
from nono.cli.text.report.replay import text_of_result
from nono.errors import NonoError, ProfileError, UsageError
from nono.report.integrity import integrity_of
from nono.report.replay.compare import Comparison
from nono.report.replay.judge import Judging
from nono.report.replay.tried import Log
from nono.sessions.listing import open_registry, records
from nono.sessions.record import Record

BROKEN = 1  # the exit code if something that was allowed would be refused
SESSIONS_MAX = 10_000

DESCRIPTION = (
    "Judges what sessions did by another profile: what that would have refused, and what it would have "
    "allowed. Options beside --profile add to it as in `nono run`; paths among them are read in the "
    "directory of each session. Exits 1 if something that was allowed would be refused (with --against, if "
    "the other profile would allow it)."
)


def parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion. argv: as for add_options."""
    parser = argparse_parser.new_parser("nono replay", DESCRIPTION)
    argparse_parser.add_globals(parser)
    parser.add_argument("session", metavar="SESSION", nargs="?", help=session_text.SESSION_HELP)
    parser.add_argument("--last", type=_count, metavar="N", help="judge the last N sessions instead")
    parser.add_argument(
        "--against", metavar="PROFILE", help="show where --profile and this one differ, not the record"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    argparse_parser.add_options(parser, options.WHY, argv)
    return parser


def run(argv: Sequence[str]) -> int:
    environ = caller_environ()
    parsed = parser(argv).parse_args(list(argv))
    if (parsed.session is None) == (parsed.last is None):
        raise UsageError(
            "name one session, or how many with --last.", hint="nono replay latest --profile NAME"
        )
    given = options.collect(options.WHY, vars(parsed), argv, environ)
    if not given.values:
        raise UsageError("--profile names what to judge the session by.", hint="nono profile list")
    against = None
    if parsed.against is not None:
        against = Given({**given.values, "profile": parsed.against}, ())
    comparison, skipped = Comparison(), list[tuple[str, str]]()
    rules = dict[str, tuple[Judging, Judging | None]]()  # by working directory, as they are read in one
    for record in _records(parsed, environ):
        try:
            log = _log(record, environ)
            if record.workdir not in rules:
                rules[record.workdir] = _rules(record, given, against, environ)
        except ProfileError:
            raise  # it is the same for all
        except NonoError as error:
            if parsed.session is not None:
                raise
            skipped.append((record.session_id, error.message))
            continue
        comparison.add(log, *rules[record.workdir])
    result = comparison.result()
    if parsed.json:
        about = {"version": 1, "profile": given.value("profile"), "against": parsed.against}
        print(
            json.dumps(
                {**about, **plain(result), "skipped": plain(skipped), "breaks": result.breaks}, indent=2
            )
        )
    else:
        names = (given.value("profile") or "these options", parsed.against)
        sys.stdout.write(text_of_result(result, names, skipped, WIDTH))
    return BROKEN if result.breaks else 0


def _records(parsed: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[Record]:
    if parsed.session is not None:
        with chosen(parsed.session, environ) as session:
            yield session.record
        return
    registry = open_registry(environ)
    if registry is not None:
        with registry:
            yield from records(registry)[: parsed.last]


def _log(record: Record, environ: Mapping[str, str]) -> Log:
    """Read a log. Raises NonoError if it is not as it was written: nothing can be concluded from it then."""
    log = Log()
    with log_of(record, environ) as reading:
        log.feed(each.event for each in reading)
        integrity = integrity_of(reading, is_ended=record.is_ended)
    if not integrity.is_intact:
        raise NonoError(f"the log of session {record.session_id} is not intact: {integrity.what}.")
    for change in changed(record, environ) or ():
        # Removing a file is a change of the directory that it was in.
        log.wrote(dirname(change.path) if change.change == DELETED else change.path)
    return log


def _rules(
    record: Record, given: Given, against: Given | None, environ: Mapping[str, str]
) -> tuple[Judging, Judging | None]:
    judging = under(given, record.workdir, environ)
    return judging, None if against is None else under(against, record.workdir, environ)


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:6]) <= SESSIONS_MAX):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of sessions")
    return int(text)
