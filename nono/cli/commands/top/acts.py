"""Act on one session for `nono top`: stop it, answer its questions, or lend it the terminal."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Literal

from nono.approval.listing import Listed
from nono.cli.commands.sessions.chosen import Chosen, chosen, ended_error
from nono.cli.commands.sessions.stop import TIMEOUT_S
from nono.cli.commands.sessions.talk import call
from nono.cli.text import approvals_text
from nono.errors import NonoError
from nono.printable import printable
from nono.sessions.stopping import stop as stop_session

Word = Literal["allow", "deny"]
SAID_BYTES_MAX = 4096


def stop(session_id: str, environ: Mapping[str, str]) -> str:
    """Stop a session, as `nono stop` does. Returns the outcome. Raises NonoError."""
    with _session(session_id, environ) as (registry, record):
        if record.is_ended:
            raise ended_error(record)
        is_forced = stop_session(registry, record, force=False, timeout_s=TIMEOUT_S)
    return f"Stopped session {session_id}{' (forced)' if is_forced else ''}."


def answer(session_id: str, question: Listed, word: Word, environ: Mapping[str, str]) -> str:
    """Answer this question and no other. Returns the outcome. Raises NonoError."""
    with _session(session_id, environ) as session:
        told = call(session, "POST", f"/v1/approvals/{question.id}", {"answer": word})
    return approvals_text.outcome(question, told.status, told.document)


@contextmanager
def _session(session_id: str, environ: Mapping[str, str]) -> Iterator[Chosen]:
    with chosen(session_id, environ) as session:
        if session.record.session_id != session_id:  # another session of that name
            raise NonoError(f"Session not found: {session_id}")
        yield session


def attach(session_id: str, environ: Mapping[str, str]) -> str:
    """Run `nono attach` on this terminal until it is left. Returns its last words."""
    with tempfile.TemporaryFile() as said:
        # Before the terminal is raw, Ctrl-C is meant for `nono attach`, not for us; a handler is not
        # inherited.
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            subprocess.run(
                (sys.executable, "-P", "-m", "nono", "attach", "--", session_id),
                env=dict(environ),
                stderr=said,
                check=False,
            )
        finally:
            signal.signal(signal.SIGINT, before)
        said.seek(0)
        return printable(said.read(SAID_BYTES_MAX).decode("utf-8", "replace").strip())
