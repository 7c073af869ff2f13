"""Define the session of a run: its log and its ways to reach the user, shared by every part of the run."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping

from nono import paths
from nono.audit.event import Event, Recorder
from nono.audit.ledger import BUDGET_BYTES, AuditLog
from nono.audit.redact import USUAL, Redaction
from nono.errors import NonoError, reason_of
from nono.named_tuple import NamedTuple
from nono.printable import shell_word
from nono.private_dir import OTHERS_MAY_WRITE

Warn = Callable[[str], None]
Say = Callable[[list[str]], None]
Observer = Callable[[Event], None]


class Proving(NamedTuple):
    """How a session is proved once it has ended; the defaults apply unless a person says otherwise."""

    has_integrity: bool = True  # sum up the log
    hashes_trees: bool = False  # hash the files of the writable directories, before and after
    sign_key: str | None = None  # reference of the key that signs the summary


USUAL_PROVING = Proving()


class Session(NamedTuple):
    """One run, or one standalone proxy. Created once and passed on as a whole."""

    environ: Mapping[str, str]
    log: AuditLog | None  # None: --no-audit
    record: Recorder
    warn: Warn  # takes a sentence that a person must hear before or while the command has the terminal
    say: Say  # takes the lines of a summary after it has ended
    redaction: Redaction = USUAL
    run_id: str = ""  # id of a supervised run's record, with or without a log; "" for a standalone proxy
    insist: Warn | None = None  # takes a sentence that a person must hear even with --silent; None: `warn`

    def tell_failure(self, sentence: str) -> None:
        """Say, even with --silent, why nono's exit code is not that of its command."""
        (self.insist or self.warn)(sentence)

    @property
    def session_id(self) -> str:
        """The id of the audit log; "" without one."""
        return self.log.session_id if self.log is not None else ""


def open_log(
    environ: Mapping[str, str], session_id: str, *, hint: str, warn: Warn, budget_bytes: int = BUDGET_BYTES
) -> AuditLog:
    """Open the audit log of a new session. Raises NonoError, with hint, when it cannot be opened.

    Warns if every user can move nono's state away, which they can neither read nor replace.
    """
    root = paths.state_root(environ)
    try:
        log = AuditLog(root, session_id, budget_bytes=budget_bytes, warn=warn)
    except OSError as error:
        where = root if error.filename is None else os.path.join(root, "audit", error.filename)
        if error.strerror == OTHERS_MAY_WRITE:
            hint = f"chmod 700 {shell_word(where)}"
        raise NonoError(f"the audit log cannot be opened: {where}: {reason_of(error)}", hint=hint) from error
    parent = os.path.dirname(root)
    mode = os.stat(parent).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        warn(f"everybody can write to {parent}, and so take away what nono has recorded and stored there.")
    return log


def recorder_of(
    log: AuditLog | None, *observers: Observer, written: Observer = lambda event: None
) -> Recorder:
    """Return the recorder of a run: observers hear of an event before it is written, `written` afterwards."""

    def record(event: Event, /) -> None:
        for observe in observers:
            observe(event)
        if log is not None:
            log.record(event)
        written(event)

    return record
