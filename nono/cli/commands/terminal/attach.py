"""`nono attach`: show the terminal of a session in this one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from nono.cli.commands.sessions.chosen import (
    Chosen,
    caller_environ,
    chosen,
    ended_error,
    paused_error,
    refuse_inside,
)
from nono.cli.commands.terminal.guard import fork_viewer, pass_on, wait_for_viewer
from nono.cli.commands.terminal.own_terminal import Lent
from nono.cli.commands.terminal.viewer import Viewer, report_end, terminal_size
from nono.cli.commands.terminal.visit import ask, unreachable
from nono.cli.text import session_text
from nono.disk.descriptor import is_readable
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.sessions import wire
from nono.sessions.listing import records
from nono.sessions.record import PAUSED, Record
from nono.settings.file import user_config
from nono.settings.keys import parse_keys

if TYPE_CHECKING:
    import _socket
    import argparse

DESCRIPTION = (
    "Shows the terminal of a session that was left, or that was started with --detached. Ctrl-] d "
    "(ui.detach_sequence in config.toml) leaves it, as does closing this terminal; the session goes on."
)

ENDING_S = 1.0


class Asked(NamedTuple):
    """The arguments of this command."""

    session: str
    read_only: bool


def parser() -> argparse.ArgumentParser:
    """Return the parser of this command, for its arguments, help and completion."""
    # Imported here: it takes a tenth of the time that a person waits for the screen.
    from nono.cli.args import argparse_parser

    parser = argparse_parser.new_parser("nono attach", DESCRIPTION)
    argparse_parser.add_session(parser)
    parser.add_argument("--read-only", action="store_true", help="show it, and type nothing into it")
    return parser


def run(argv: Sequence[str]) -> int:
    parsed, environ = _parsed(argv), caller_environ()
    refuse_inside("attach", environ)
    keys = parse_keys(user_config(environ).ui.detach_sequence)
    with chosen(parsed.session, environ) as session:
        record = session.record
        if record.is_ended:
            raise ended_error(record)
        if record.status == PAUSED:
            raise paused_error(record)
        if not (os.isatty(0) and os.isatty(1)):
            raise NonoError("nono attach needs a terminal on standard input and output.")
        words = wire.READ_ONLY if parsed.read_only else wire.ASKS
        connection, status, received = ask(session, wire.ATTACH, terminal_size(), (words,))
        with closing(connection):
            if status == wire.BUSY:
                raise NonoError(f"session {record.session_id} is shown in as many terminals as it can be.")
            if status != wire.SWITCHED:
                raise unreachable(record)
            end = _view(connection, received, keys, is_read_only=parsed.read_only)
        _say_end(session, end)
    return 0


def _parsed(argv: Sequence[str]) -> Asked:
    """Parse the arguments; unusual ones, and wrong ones, by the parser."""
    words = [word for word in argv if word != "--read-only"]
    if len(words) == 1 and words[0] and not words[0].startswith("-"):
        return Asked(words[0], read_only=len(words) < len(argv))
    parsed = parser().parse_args(list(argv))
    return Asked(parsed.session, parsed.read_only)


def _view(
    connection: _socket.socket, received: bytes, keys: bytes, *, is_read_only: bool
) -> Mapping[str, object]:
    """Show the session. Returns why it stopped being shown."""
    reader, report = os.pipe()
    lent = Lent()

    def show() -> int:
        viewer = Viewer(connection, lent, keys=keys, received=received, is_read_only=is_read_only)
        report_end(report, viewer.view())
        return 0

    pid = fork_viewer(lent, show)
    os.close(report)
    pass_on(pid)
    wait_for_viewer(pid, lent)
    with open(reader, "rb") as file:
        content = file.read()
    end: Mapping[str, object] = json.loads(content) if content else {"end": "killed"}
    return end


def _say_end(session: Chosen, end: Mapping[str, object]) -> None:
    session_id = session.record.session_id
    print("\r", file=sys.stderr)
    match end.get("end"):
        case "ended":
            _say(f"Session {session_id} has exited (exit code {end.get('exit_code')}).")
            return
        case "slow":
            _say("Session detached: this terminal took no output for too long.")
        case "detached":
            _say("Session detached.")
        case "killed":
            _say("Session detached: the process that showed it was killed.")
        case _:
            now = _now(session)
            if now.end is not None:
                _say(f"Session {session_id} is gone: {session_text.reason(now.end)}.")
                return
            _say("Session detached: its supervisor closed the connection.")
    print(f"\nResume this session with:\n  nono attach {session_id}", file=sys.stderr)
    print(f"End it with:\n  nono stop {session_id}", file=sys.stderr)


def _now(session: Chosen) -> Record:
    """Return the record of a session whose connection was lost, as it is once its supervisor has ended."""
    with suppress(OSError):
        # The connections of a killed process are closed a moment before it has ended.
        supervisor = os.pidfd_open(session.record.supervisor_pid)
        is_readable(supervisor, within_s=ENDING_S)
        os.close(supervisor)
    found = (each for each in records(session.registry) if each.session_id == session.record.session_id)
    return next(found, session.record)


def _say(text: str) -> None:
    print(f"[nono] {text}", file=sys.stderr, flush=True)
