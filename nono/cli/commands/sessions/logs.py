"""`nono logs`: prints what a session did, from its audit log."""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from posixpath import join
from typing import Any

from nono import paths
from nono.audit.ledger import EVENT_FILE
from nono.cli.args import argparse_parser
from nono.cli.commands.sessions.chosen import Chosen, caller_environ, chosen
from nono.cli.commands.sessions.talk import events
from nono.cli.text import session_text
from nono.errors import NonoError
from nono.private_dir import open_private_dir
from nono.sessions.listing import records

DESCRIPTION = "Prints the events of a session: what was allowed, refused and asked."
LOOK_EVERY_S = 0.25  # at a session that tells of no events
SILENCE_S = 5.0
READ_BYTES = 1 << 16


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    parser = argparse_parser.new_parser("nono logs", DESCRIPTION)
    argparse_parser.add_globals(parser)
    parser.add_argument("session", metavar="SESSION", help=session_text.SESSION_HELP)
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the session ends")
    parser.add_argument("--tail", type=_count, metavar="N", help="begin with the last N events")
    parser.add_argument("--json", action="store_true", help="print a JSON array, or with -f a line for each")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = parser().parse_args(list(argv)), caller_environ()
    with chosen(parsed.session, environ) as session:
        record = session.record
        if record.rollback_session is None:
            raise NonoError(f"No event log recorded for session {record.session_id}: it ran with --no-audit.")
        descriptor = _open(record.rollback_session, environ)
        with open(descriptor, "rb", buffering=READ_BYTES) as file:
            lines: Iterator[bytes] = iter(deque(_complete(file), maxlen=parsed.tail))
            _show(lines, as_json=parsed.json, as_array=parsed.json and not parsed.follow)
            if parsed.follow:
                _show(_followed(file, session), as_json=parsed.json, as_array=False, headed=False)
    return 0


def _open(session_id: str, environ: Mapping[str, str]) -> int:
    directory = join(paths.state_root(environ), "audit", session_id)
    try:
        directory_fd = open_private_dir(directory, create=False)
        try:
            return os.open(EVENT_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory_fd)
        finally:
            os.close(directory_fd)
    except OSError as error:
        raise NonoError(f"the events cannot be read: {directory}: {error.strerror}") from error


def _complete(file: Any) -> Iterator[bytes]:
    """Yield the lines that are whole by now; the next call goes on with the rest."""
    while line := file.readline():
        if not line.endswith(b"\n"):
            file.seek(-len(line), os.SEEK_CUR)
            return
        yield line


def _followed(file: Any, session: Chosen) -> Iterator[bytes]:
    """Yield lines as they are written, until the session has ended."""
    session_id = session.record.session_id
    stream = events(session)
    try:
        while True:
            living = any(
                record.session_id == session_id and not record.is_ended
                for record in records(session.registry)
            )
            yield from _complete(file)  # after the look: what was written before its end is not missed
            if not living:
                return
            if stream is None:
                time.sleep(LOOK_EVERY_S)
            elif not _waited(stream):
                stream.close()
                stream = None
    except KeyboardInterrupt:
        return
    finally:
        if stream is not None:
            stream.close()


def _waited(stream: socket.socket) -> bool:
    """Wait for an event. Return False once the session sends no more."""
    if not select.select([stream], [], [], SILENCE_S)[0]:
        return True  # its supervisor may be stopped, or was killed without a word
    try:
        return bool(stream.recv(READ_BYTES))
    except OSError:
        return False


def _show(lines: Iterator[bytes], *, as_json: bool, as_array: bool, headed: bool = True) -> None:
    shown = (_event(line) for line in lines)
    if as_array:
        print(json.dumps([*shown], indent=2))
    elif as_json:
        for event in shown:
            print(json.dumps(event), flush=True)
    else:
        if headed:
            print(session_text.EVENTS_HEADER)
        for event in shown:
            print(session_text.event_line(event), flush=True)


def _event(line: bytes) -> Any:
    """Return the event of one line; the line itself if it is damaged."""
    try:
        return json.loads(line)["event"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"type": "damaged", "line": line.decode("utf-8", "backslashreplace").rstrip("\n")}


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of events")
    return int(text)
