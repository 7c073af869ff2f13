"""`nono logs`: print what a session did, from its audit log, or what its terminal showed."""

from __future__ import annotations

import argparse
import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from posixpath import basename, join
from typing import Any

from nono import paths
from nono.audit.reading import Reading
from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import Chosen, caller_environ, chosen
from nono.cli.commands.sessions.following import complete, following, open_log
from nono.cli.console import line_columns
from nono.cli.shapes.printed import printed_line, printed_list
from nono.cli.text.event_table import HEADER_LINE, Table
from nono.errors import NonoError, UsageError
from nono.sessions.registry import CAST, OLDER_CAST
from nono.supervisor.relay import cast

DESCRIPTION = (
    "Prints the events of a session: what was allowed, refused and asked, and how requests ended. With "
    "--screen, what its terminal showed, as asciicast v2 for `asciinema play`. That is recorded with "
    "screen_recording = true in [sessions] of config.toml."
)

Numbered = tuple[int | None, Mapping[str, Any]]  # the number of a record, and its event


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono logs", DESCRIPTION)
    argparse_parser.add_session(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="follow until the session ends")
    parser.add_argument("--tail", type=_count, metavar="N", help="print the last N events")
    parser.add_argument("--json", action="store_true", help="print a JSON array, or with -f a line for each")
    parser.add_argument("--screen", action="store_true", help="print the recording of the terminal instead")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    if parsed.screen and (parsed.follow or parsed.json or parsed.tail is not None):
        raise UsageError("--screen cannot be combined with --follow, --tail or --json.")
    with chosen(parsed.session, environ) as session:
        record = session.record
        if parsed.screen:
            _show_screen(session)
            return 0
        if record.rollback_session is None:
            raise NonoError(f"No event log recorded for session {record.session_id}: it ran with --no-audit.")
        directory = join(paths.state_root(environ), "audit", record.rollback_session)
        if parsed.follow:
            with suppress(KeyboardInterrupt):
                _follow(session, directory, parsed.tail, as_json=parsed.json)
        else:
            _print(directory, parsed.tail, as_json=parsed.json)
    return 0


def _show_screen(session: Chosen) -> None:
    """Print the recording. Raises NonoError if there is none."""
    session_id = session.record.session_id
    names = (session_id + OLDER_CAST, session_id + CAST)
    files = [file for file in map(session.registry.open, names) if file is not None]
    if not files:
        raise NonoError(
            f"The terminal of session {session_id} was not recorded.",
            hint="screen_recording = true in [sessions] of config.toml records sessions that have a terminal",
        )
    with ExitStack() as stack:
        for line in cast.whole([stack.enter_context(open(file, "rb")) for file in files]):
            sys.stdout.buffer.write(line)
        sys.stdout.buffer.flush()


def _print(directory: str, tail: int | None, *, as_json: bool) -> None:
    with open_log(directory) as file:
        chain = Reading(())
        events = map(partial(_numbered, chain), complete(file))
        if as_json:
            print(printed_list(map(_document, deque(events, tail))))
        else:
            width = line_columns(sys.stdout, caller_environ())
            print(HEADER_LINE[:width])
            rows = _rows(Table(), events)
            for row in rows if tail is None else deque(rows, tail):
                print(row[:width])
    _warn(chain, directory)


def _rows(table: Table, events: Iterable[Numbered]) -> Iterator[str]:
    for number, event in events:
        yield from map(str, table.feed(number, event))
    yield from map(str, table.rest())


def _follow(session: Chosen, directory: str, tail: int | None, *, as_json: bool) -> None:
    with following(session, directory) as follower, follower.opened() as file:
        if not as_json:
            print(HEADER_LINE[: line_columns(sys.stdout, caller_environ())], flush=True)
        chain, table, rest = Reading(()), Table(), tail
        for batch in follower.batches(file):
            was_whole = chain.damage is None
            events = map(partial(_numbered, chain), batch)
            # The end of a request that began in an earlier batch has a row of its own.
            lines = [printed_line(_document(each)) for each in events] if as_json else [*_rows(table, events)]
            # Asked each time: the window may have another size by now.
            width = None if as_json else line_columns(sys.stdout, caller_environ())
            for each in lines if rest is None else lines[len(lines) - min(rest, len(lines)) :]:
                print(each[:width])
            rest = None
            # Flushed at once: the reader may be waiting for this very line.
            print(end="", flush=True)
            if was_whole:
                _warn(chain, directory)


def _warn(chain: Reading, directory: str) -> None:
    """Say where the records that were read stop following from those before them."""
    if chain.damage is not None:
        more = f"nono audit verify {basename(directory)} says more"
        print(f"nono: the log is damaged: {chain.damage}; {more}", file=sys.stderr, flush=True)


def _numbered(chain: Reading, line: bytes) -> Numbered:
    """Return the event in one line; the line itself if it cannot be read. `chain` checks it."""
    record = chain.record_of(line) if chain.damage is None else None
    if record is not None:
        return record.sequence, record.event
    try:
        document = json.loads(line)
        number, event = document["sequence"], document["event"]
        if isinstance(number, int) and isinstance(event, dict):
            return number, event
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    return None, {"type": "damaged", "line": line.decode("utf-8", "backslashreplace").rstrip("\n")}


def _document(each: Numbered) -> dict[str, Any]:
    number, event = each
    return {**event} if number is None else {"sequence": number, **event}


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of events")
    return int(text)
