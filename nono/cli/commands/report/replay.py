"""`nono replay`: say what another profile would have decided differently in past sessions."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from posixpath import dirname

from nono.cli.args import argparse_parser, options
from nono.cli.args.parse import Given, collect
from nono.cli.args.period import PERIOD_HELP
from nono.cli.args.recorded import laid_over
from nono.cli.commands.report.changed import changed
from nono.cli.commands.report.command import plain
from nono.cli.commands.report.log import log_of, options_of
from nono.cli.commands.report.period import started_within
from nono.cli.commands.report.rules import under
from nono.cli.commands.sessions.chosen import caller_environ, chosen
from nono.cli.shapes.printed import printed
from nono.cli.text.report.replay import text_of_result
from nono.errors import NonoError, ProfileError, UsageError
from nono.policy.profile.store import load
from nono.report.integrity import integrity_of
from nono.report.later import DELETED
from nono.report.replay.compare import Comparison
from nono.report.replay.judge import Judging
from nono.report.replay.tried import Log
from nono.sessions.record import Record

BROKEN = 1  # the exit code if something that was allowed would be refused

DESCRIPTION = (
    "Judges what sessions did by another profile: what that would have refused, and what it would have "
    "allowed. Each option replaces the run's own, and the others stay; without any, the run is judged by its "
    "own options and by its profile as it is now. Paths are read in the directory of each session. Exits 1 "
    "if something that was allowed would be refused (with --against, if the other profile would allow it)."
)


def parser(argv: Sequence[str] = ()) -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion. argv: as for add_options."""
    parser = argparse_parser.new_parser("nono replay", DESCRIPTION)
    argparse_parser.add_session(parser, nargs="?")
    parser.add_argument("--last", metavar="PERIOD", help=f"judge the {PERIOD_HELP} instead")
    parser.add_argument(
        "--against", metavar="PROFILE", help="show where --profile and this one differ, not the record"
    )
    parser.add_argument(
        "--alone", action="store_true", help="judge by the options named here, without those of the run"
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    argparse_parser.add_options(parser, options.WHY, argv)
    return parser


def run(argv: Sequence[str]) -> int:
    environ = caller_environ()
    parsed = parser(argv).parse_args(list(argv))
    if (parsed.session is None) == (parsed.last is None):
        raise UsageError(
            "name one session, or a period with --last.", hint="nono replay latest, or nono replay --last 7d"
        )
    given = collect(options.WHY, vars(parsed), argv, environ)
    if parsed.alone and not given.values:
        raise UsageError("--alone needs options to judge by.", hint="--profile names a profile")
    for each in filter(None, (given.value("profile"), parsed.against, *given.list("extends"))):
        load(each, environ)  # raises for one that no session could be judged by
    comparison, skipped = Comparison(), list[tuple[str, str]]()
    rules = dict[str, tuple[Judging, Judging | None]]()  # by options and the directory in which they are read
    for record in _records(parsed, environ):
        try:
            log = _log(record, environ)
            judged = given if parsed.alone else _options(record, given, environ)
            key = repr((record.workdir, sorted(judged.values.items())))
            if key not in rules:
                rules[key] = _rules(record, judged, parsed.against, environ)
        except ProfileError:
            if parsed.session is not None:
                raise
            skipped.append((record.session_id, "its profile cannot be read any more"))
            continue
        except NonoError as error:
            if parsed.session is not None:
                raise
            skipped.append((record.session_id, error.message))
            continue
        comparison.add(log, *rules[key])
    result = comparison.result()
    if parsed.json:
        about = {"profile": given.value("profile"), "against": parsed.against}
        print(printed({**about, **plain(result), "skipped": plain(skipped), "breaks": result.breaks}))
    else:
        own = "its own options" if parsed.session is not None else "their own options"
        usual = "these options" if given.values else own
        names = (given.value("profile") or usual, parsed.against)
        sys.stdout.write(text_of_result(result, names, skipped))
    return BROKEN if result.breaks else 0


def _records(parsed: argparse.Namespace, environ: Mapping[str, str]) -> Iterator[Record]:
    if parsed.session is not None:
        with chosen(parsed.session, environ) as session:
            yield session.record
        return
    yield from started_within(parsed.last, environ)


def _log(record: Record, environ: Mapping[str, str]) -> Log:
    """Read a log. Raises NonoError if it was changed, because nothing can be concluded from it then."""
    log = Log()
    with log_of(record, environ) as reading:
        log.feed(each.event for each in reading)
        integrity = integrity_of(reading, is_ended=record.is_ended)
    if not integrity.is_intact:
        raise NonoError(f"the log of session {record.session_id} is not intact: {integrity.what}.")
    for change in changed(record, environ) or ():
        # Removing a file changes the directory that contained it.
        log.wrote(dirname(change.path) if change.change == DELETED else change.path)
    return log


def _options(record: Record, given: Given, environ: Mapping[str, str]) -> Given:
    """Return the options of a session, and the given ones in their place. Raises UsageError if none."""
    ran_with = options_of(record, environ)
    if ran_with is None:
        if not given.values:
            raise UsageError(
                f"the log of session {record.session_id} does not hold its options.",
                hint="--profile names what to judge it by",
            )
        return given
    for flag in ran_with.left_out:
        if flag.removeprefix("--").replace("-", "_") not in given.values:
            print(f"note: {record.session_id} had {flag}, whose value its log does not hold", file=sys.stderr)
    return laid_over(ran_with.given, given)


def _rules(
    record: Record, given: Given, against: str | None, environ: Mapping[str, str]
) -> tuple[Judging, Judging | None]:
    judging = under(given, record.workdir, environ)
    if against is None:
        return judging, None
    values = {name: value for name, value in given.values.items() if name != "config"}
    other = given._replace(values={**values, "profile": against})
    return judging, under(other, record.workdir, environ)
