"""Keeps what the directories of a run held before it, and says afterwards what it changed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress

from nono import paths
from nono.audit import event
from nono.clock import rfc3339, unix_ms
from nono.errors import ConfigError, NonoError
from nono.launch.session import Session
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet, Grant
from nono.printable import shell_word
from nono.supervisor.child import Child
from nono.undo import recording
from nono.undo.model.changes import Change
from nono.undo.model.entry import FILE
from nono.undo.model.left_out import VERSION_CONTROL, LeftOut
from nono.undo.model.session import Info
from nono.undo.recording import Limits, Progress, Recording

NAMED_MAX = 6


class UndoRequest(NamedTuple):
    """How a person wants a run kept for undo."""

    left_out: LeftOut
    limits: Limits
    progress: AbstractContextManager[Progress]
    elsewhere: str | None = None  # the directory for its snapshots; None: the state directory


def tracked(grants: Sequence[Grant], left_out: LeftOut) -> list[str]:
    """Return the directories that a person has granted for writing, none of them in another."""
    found = sorted({each.path for each in grants if each.is_users and each.is_dir and each.access.writes})
    outer: list[str] = []
    for path in found:
        if not left_out.covers(path) and not any(_is_in(path, each) for each in outer):
            outer.append(path)
    return outer


def refuse_writable_place(elsewhere: str, grants: Iterable[Grant]) -> str:
    """Return the canonical path of --rollback-dest. Raises ConfigError if the command could reach it."""
    place = os.path.realpath(elsewhere)
    for grant in grants:
        if _is_in(place, grant.path) or _is_in(grant.path, place):
            raise ConfigError(
                f"--rollback-dest '{elsewhere}': the command may use {grant.original}, so it could change "
                "what undo restores.",
                hint="choose a directory outside all grants",
            )
    return place


def _is_in(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


def covered(request: UndoRequest, session: Session, grants: Sequence[Grant]) -> tuple[list[str], LeftOut]:
    """Return the directories that undo covers in a run, and what it leaves out in them."""
    own = tuple(os.path.realpath(each) for each in paths.protected_roots(session.environ))
    left_out = request.left_out._replace(absolute=(*request.left_out.absolute, *own))
    return tracked(grants, left_out), left_out


def begin(
    request: UndoRequest,
    session: Session,
    child: Child,
    capabilities: CapabilitySet,
    argv: Sequence[str],
    name: str,
) -> Recording | None:
    """Take the baseline; None if the run may write to no directory. Raises NonoError."""
    grants, workdir = capabilities.grants, capabilities.workdir
    found, left_out = covered(request, session, grants)
    if not found:
        session.warn("--rollback: the command may write to no directory, so there is nothing to undo.")
        return None
    elsewhere = request.elsewhere
    if elsewhere is not None:
        elsewhere = refuse_writable_place(elsewhere, grants)
    info = Info(session.run_id, rfc3339(), unix_ms(), tuple(argv), tuple(found), left_out, name=name or None)
    with request.progress as shown:

        def progress(count: int) -> None:
            child.serve_signals()
            if child.exit_code is not None:
                raise NonoError("interrupted before the command was started.")
            shown(count)

        optional = _of_profiles(grants, found, workdir)
        taken = recording.begin(session.environ, info, request.limits, progress, elsewhere, optional)
    try:
        _record(session, taken)
        for sentence in (*taken.info.notes, *uncovered(taken)):
            session.warn(sentence)
        session.say(_left_out(taken))
    except BaseException:
        taken.close()
        raise
    return taken


def _of_profiles(grants: Sequence[Grant], found: Sequence[str], workdir: str) -> list[str]:
    """Return the directories that only a profile grants, and in which the command does not start.

    Profiles grant whole caches: such a one is not worth refusing a run for.
    """
    sources = {grant.path: grant.source for grant in grants}
    return [path for path in found if sources.get(path) == "profile" and not _is_in(workdir, path)]


def uncovered(taken: Recording) -> Iterator[str]:
    """Yield what undo does not cover, in a line each: the names may be those of an earlier command."""
    for tree in taken.baseline.trees:
        for path, reason in tree.gaps.items():
            yield f"undo does not cover {shell_word(os.path.join(tree.path, path))}: {reason}"
        unread = [
            path for path, entry in tree.entries.items() if entry.kind == FILE and entry.content is None
        ]
        if unread:
            some = shell_word(unread[0])
            yield f"undo does not cover {len(unread)} file(s) that could not be read, such as {some}"


def _left_out(taken: Recording) -> list[str]:
    """Return a line that names directories which are left out as usual, but for those of version control."""
    names = sorted({os.path.basename(path) for tree in taken.baseline.trees for path in tree.left_out})
    names = [name for name in names if name not in VERSION_CONTROL]
    if not names:
        return []
    more = f" and {len(names) - NAMED_MAX} more" if len(names) > NAMED_MAX else ""
    return [f"  undo leaves out {', '.join(names[:NAMED_MAX])}{more}; see --rollback-include"]


def end(taken: Recording, session: Session, exit_code: int) -> list[Change]:
    """Take the last snapshot. Returns what the run has changed. Raises NonoError if that cannot be kept."""
    told = taken.info.notes
    for other in _beside(session.environ, taken.info):
        taken.note(
            f"session {other} used the same directories at the same time: its changes are here as well."
        )
    try:
        found = taken.finish(exit_code)
        _record(session, taken)
    except OSError as error:
        raise NonoError(
            f"the end of the run cannot be kept for undo: {error.strerror or error}",
            hint=f"nono rollback restore {taken.info.session_id} --force goes back to before the run",
        ) from error
    for sentence in taken.info.notes:
        if sentence not in told:
            session.warn(sentence)
    return found


def _beside(environ: Mapping[str, str], info: Info) -> list[str]:
    with suppress(OSError, ValueError):
        return recording.beside(environ, info)
    return []


def _record(session: Session, taken: Recording) -> None:
    last = taken.last
    files = sum(len(tree.entries) for tree in last.trees)
    session.record(event.snapshot_taken(last.number, last.kind, files, last.merkle_root or ""))
