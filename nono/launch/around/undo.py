"""Keep the state of a run's directories before it, and report afterwards what it changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress

from nono import paths
from nono.audit import event
from nono.clock import rfc3339, unix_ms
from nono.errors import ConfigError, NonoError, reason_of
from nono.launch.session import Session
from nono.named_tuple import NamedTuple
from nono.policy.capability import CapabilitySet, Grant
from nono.policy.host_filesystem import way_to
from nono.policy.path_expansion import is_within
from nono.printable import enumerated, shell_word
from nono.supervisor.child import Child
from nono.undo import baseline, recording
from nono.undo.model.changes import Change
from nono.undo.model.entry import FILE
from nono.undo.model.left_out import VERSION_CONTROL, LeftOut
from nono.undo.model.session import Info
from nono.undo.recording import Limits, Progress, Recording

NAMED_MAX = 6


class UndoRequest(NamedTuple):
    """How a person wants a run to be kept for undo."""

    left_out: LeftOut
    limits: Limits
    shows: Callable[[str], AbstractContextManager[Progress]]  # says what is being done, once it takes long
    elsewhere: str | None = None  # the directory for its snapshots; None: the state directory


class Covered(NamedTuple):
    """What undo covers in a run."""

    directories: tuple[str, ...]  # none of them in another
    files: tuple[str, ...]  # that are granted by themselves
    left_out: LeftOut

    @property
    def paths(self) -> tuple[str, ...]:
        return (*self.directories, *self.files)


def tracked(grants: Sequence[Grant], left_out: LeftOut) -> Covered:
    """Return what a person has granted for writing. A file in such a directory counts as a part of it."""
    written = [each for each in grants if each.is_users and each.access.writes]
    directories = sorted({each.path for each in written if each.is_dir})
    outer: list[str] = []
    for path in directories:
        if not left_out.covers(path) and not any(is_within(path, each) for each in outer):
            outer.append(path)
    files = sorted({each.path for each in written if not each.is_dir})
    alone = (
        path
        for path in files
        if not left_out.covers_file(path) and not any(is_within(path, each) for each in directories)
    )
    return Covered(tuple(outer), tuple(alone), left_out)


def refuse_writable_place(elsewhere: str, grants: Iterable[Grant]) -> str:
    """Return the canonical path of --rollback-dest.

    Raises ConfigError if the command could access it, or has chosen it by a link.
    """
    place, way = os.path.realpath(elsewhere), [*way_to(elsewhere)]
    for grant in grants:
        is_led = grant.access.writes and any(is_within(each, grant.path) for each in way)
        if is_led or is_within(place, grant.path) or is_within(grant.path, place):
            raise ConfigError(
                f"--rollback-dest '{elsewhere}': the command may use {grant.original}, so it could change "
                "what undo restores.",
                hint="choose a directory outside all grants",
            )
    return place


def covered(request: UndoRequest, session: Session, grants: Sequence[Grant]) -> Covered:
    """Return what undo covers in a run."""
    own = tuple(os.path.realpath(each) for each in paths.protected_roots(session.environ))
    left_out = request.left_out._replace(absolute=(*request.left_out.absolute, *own))
    found = tracked(grants, left_out)
    return found._replace(files=tuple(filter(_is_kept, found.files)))


def _is_kept(path: str) -> bool:
    """Return True for a file with a content of its own: no device, and nothing that the kernel makes up."""
    try:
        return stat.S_ISREG(os.lstat(path).st_mode) and not path.startswith(("/proc/", "/sys/"))
    except OSError:
        return False


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
    found = covered(request, session, grants)
    if not found.paths:
        session.warn("--rollback: the command may write to no file or directory: there is nothing to undo.")
        return None
    elsewhere = request.elsewhere
    if elsewhere is not None:
        elsewhere = refuse_writable_place(elsewhere, grants)
    info = Info(
        session.run_id, rfc3339(), unix_ms(), tuple(argv), found.paths, found.left_out, name=name or None
    )
    with request.shows("keeping files for undo") as shown:

        def progress(count: int) -> None:
            child.serve_signals()
            if child.exit_code is not None:
                raise NonoError("interrupted before the command was started.")
            shown(count)

        optional = _of_profiles(grants, found.paths, workdir)
        taken = baseline.begin(
            session.environ, info, request.limits, progress, elsewhere, optional, found.files
        )
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
    """Return the paths that only a profile grants, and in which the command does not start.

    Profiles grant whole caches: failing to cover one is no reason to refuse a run.
    """
    sources = {grant.path: grant.source for grant in grants}
    return [path for path in found if sources.get(path) == "profile" and not is_within(workdir, path)]


def uncovered(taken: Recording) -> Iterator[str]:
    """Yield what undo does not cover, one line each: an earlier command may have chosen the names."""
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
    """Return a line that names directories left out by default, except those of version control."""
    names = sorted({os.path.basename(path) for tree in taken.baseline.trees for path in tree.left_out})
    names = [name for name in names if name not in VERSION_CONTROL]
    if not names:
        return []
    return [f"  undo leaves out {enumerated(names, NAMED_MAX)}; see --rollback-include"]


def end(request: UndoRequest, taken: Recording, session: Session, exit_code: int) -> list[Change]:
    """Take the last snapshot. Returns what the run has changed. Raises NonoError if that cannot be kept."""
    told = taken.info.notes
    for other in _beside(session.environ, taken.info):
        taken.note(
            f"session {other} used the same directories at the same time: its changes are here as well."
        )
    try:
        with request.shows("looking at what the run changed") as shown:
            found = taken.finish(exit_code, shown)
        _record(session, taken)
    except OSError as error:
        raise NonoError(
            f"the end of the run cannot be kept for undo: {reason_of(error)}",
            hint=f"To go back to before the run: nono rollback restore {taken.info.session_id} --force",
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
