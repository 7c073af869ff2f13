"""`nono flows`: open the recorded exchanges of a session in mitmweb or mitmproxy."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import BinaryIO

from nono.cli.args import argparse_parser
from nono.cli.commands.report.log import log_of
from nono.cli.commands.sessions.chosen import Chosen, caller_environ, chosen, refuse_inside
from nono.errors import NonoError
from nono.paths import state_root
from nono.sessions.listing import look
from nono.sessions.record import Record

DESCRIPTION = (
    "Opens the exchanges that `nono run --record-flows FILE` has recorded, without keys and placeholders, in "
    "mitmweb: a page on 127.0.0.1 at a link with a token. With --live it shows further ones until the "
    "session ends."
)
PORT = 8081
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono flows", DESCRIPTION)
    argparse_parser.add_session(parser)
    parser.add_argument("--live", action="store_true", help="show what is recorded from now on, too")
    parser.add_argument("--terminal", action="store_true", help="open mitmproxy in this terminal instead")
    parser.add_argument(
        "--port", type=argparse_parser.port, default=PORT, metavar="N", help="port of the page"
    )
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    refuse_inside("flows", environ)
    with chosen(parsed.session, environ) as session:
        if parsed.terminal and not os.isatty(0):
            raise NonoError("--terminal needs a terminal.", hint="without it a page shows the exchanges")
        file = open_recording(recorded_to(session.record, environ))
        # Imported here: it takes a second.
        from nono.cli.commands.report.viewer import view

        with file:
            is_living = _is_living(session) if parsed.live else lambda: False
            place = state_root(environ)
            return view(file, is_living, place, port=parsed.port, in_terminal=parsed.terminal)


def recorded_to(record: Record, environ: Mapping[str, str]) -> str:
    """Return the file to which a session recorded its exchanges. Raises NonoError if it recorded none."""
    with log_of(record, environ) as reading:
        for each in reading:
            if each.event.get("type") == "flows_recorded":
                return str(each.event.get("path"))
    raise NonoError(
        f"Session {record.session_id} recorded no exchanges.",
        hint="nono run --record-flows FILE records them; the log has hosts, paths and times: "
        f"nono report {record.session_id}",
    )


def open_recording(path: str) -> BinaryIO:
    """Open a recording. Raises NonoError if it is not a file of this user.

    The command may have been able to write to the directory that contains it.
    """
    try:
        descriptor = os.open(path, _READ)
    except OSError as error:
        raise NonoError(f"the recording cannot be read: {path}: {error.strerror}") from error
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
        return open(descriptor, "rb")
    os.close(descriptor)
    raise NonoError(f"the recording cannot be read: {path}: it is not a file of yours")


def _is_living(session: Chosen) -> Callable[[], bool]:
    def is_living() -> bool:
        record = look(session.registry, session.record.session_id)
        return record is not None and not record.is_ended

    return is_living
