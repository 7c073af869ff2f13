"""Read everything that is known of one session for its report."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from posixpath import join

from nono import paths
from nono.audit.proof.check import check
from nono.audit.reading import Reading
from nono.cli.commands.report.changed import changed
from nono.cli.commands.report.log import log_of
from nono.cli.commands.report.rules import judging
from nono.cli.text import footer
from nono.cli.text.session_text import reason, status
from nono.errors import NonoError
from nono.launch.denials import Denials, Denied
from nono.policy.host_filesystem import HostFilesystem
from nono.policy.learning.steering import steering_paths
from nono.policy.path_expansion import PathContext
from nono.policy.why.extent import extent
from nono.policy.why.remedy import in_hint
from nono.printable import shell_word
from nono.proxy.usage.prices import shipped_prices
from nono.report.gather import Gathered, Numbered
from nono.report.integrity import integrity_of, proved
from nono.report.later import LOOKED_AT, left, runs_later
from nono.report.model import FILES_MAX, Denial, Integrity, Page, Session
from nono.report.replay.judge import Judging
from nono.sessions.record import Record

LISTED_MAX = 200  # files of one directory that are examined


def read(record: Record, environ: Mapping[str, str]) -> Page:
    """Return the page of a session. Raises NonoError if its log cannot be read."""
    found, _ = gathered(record, environ)
    report = found.report()
    integrity = _verified(record, environ)
    files = changed(record, environ)
    judged = judging(record, environ)
    places = PathContext(paths.home(environ), record.workdir, record.workdir, environ, os.getuid())
    candidates = [*_newer(record)] if files is None else left(files)
    steering = steering_paths(places, HostFilesystem())
    return Page(
        session_of(record),
        report,
        _denials(found.denials, judged),
        None if files is None else files[:FILES_MAX],
        runs_later(candidates, steering, record.workdir, report.later),
        integrity,
    )


def numbered(reading: Reading) -> Iterator[Numbered]:
    """Yield the events of a log up to its end or its first damage."""
    return ((each.sequence, each.event) for each in reading)


def gathered(record: Record, environ: Mapping[str, str]) -> tuple[Gathered, Integrity]:
    """Sum up the log of a session. Raises NonoError if there is no readable log."""
    found = Gathered(shipped_prices())
    with log_of(record, environ) as reading:
        found.feed(numbered(reading))
        return found, integrity_of(reading, is_ended=record.is_ended)


def _verified(record: Record, environ: Mapping[str, str]) -> Integrity:
    """Verify a log against its summary and the ledger, as `nono audit verify` does. Raises NonoError."""
    session_id = record.rollback_session or ""
    try:
        verdict = check(paths.state_root(environ), session_id, is_running=not record.is_ended)
        return proved(verdict, is_running=not record.is_ended)
    except OSError as error:
        raise NonoError(f"the log cannot be verified: {error.filename}: {error.strerror}") from error


def session_of(record: Record) -> Session:
    """Word the record of a session."""
    return Session(
        record.session_id,
        record.name or "-",
        " ".join(map(shell_word, record.command)),
        record.workdir,
        record.profile or "-",
        record.network,
        status(record),
        "" if record.end is None else reason(record.end),
        record.started_unix_ms,
        record.ended_unix_ms if record.is_ended else None,
    )


def _denials(denials: Denials, judged: Judging | None) -> tuple[Denial, ...]:
    """Return the denials with the option that would allow each, under options and profile as they are now."""
    if judged is None:
        plain = [_as_recorded(each) for each in denials.listed()]
    else:
        plain = footer.findings(denials, judged.rules, judged.path_context, judged.fs)
    return tuple(
        Denial(
            footer.what(each.denied),
            footer.why(each.denied),
            denials.times(each.denied),
            each.flag,
            each.grants or each.note,
        )
        for each in plain
    )


def _as_recorded(denied: Denied) -> footer.Finding:
    """Return the finding with the option that the refusal itself named, if it named one."""
    flag = None if denied.hint is None or not denied.is_authentic else in_hint(denied.hint)
    return footer.Finding(denied, flag, None if flag is None else extent(flag))


def _newer(record: Record) -> Iterator[str]:
    """Yield the files of the working directory that are examined and have changed since the start.

    Compares the time of the inode, which no program can set. A link counts for itself: the command may have
    laid it, and it may lead anywhere, to a mount that never answers too.
    """
    for name in LOOKED_AT:
        place = _link_on(record.workdir, name)
        below = [join(record.workdir, name)] if place is not None else _below(join(record.workdir, name))
        for path in below:
            with suppress(OSError):
                if os.lstat(place or path).st_ctime_ns // 1_000_000 >= record.started_unix_ms:
                    yield path


def _link_on(workdir: str, name: str) -> str | None:
    """Return the first link on the way to a path in `workdir`."""
    path = workdir
    for part in name.split("/"):
        path = join(path, part)
        if os.path.islink(path):
            return path
    return None


def _below(path: str) -> Sequence[str]:
    """Return the file itself, or the files in the directory and its subdirectories."""
    if not os.path.isdir(path):
        return [path] if os.path.lexists(path) else []
    found, directories = _listed(path)
    for directory in directories:
        found += _listed(directory)[0] if len(found) < LISTED_MAX else []
    return found[:LISTED_MAX]


def _listed(directory: str) -> tuple[list[str], list[str]]:
    """Return the files and links in a directory, and its subdirectories. Nothing if it cannot be read."""
    files: list[str] = []
    directories: list[str] = []
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            (directories if entry.is_dir(follow_symlinks=False) else files).append(entry.path)
    return files, directories
