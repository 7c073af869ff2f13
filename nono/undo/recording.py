"""Take the snapshots of a run in progress: marks between its turns, and its end."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from posixpath import join

from nono.clock import rfc3339, unix_ms
from nono.disk import durable
from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.named_tuple import NamedTuple
from nono.printable import shell_word
from nono.undo import kept
from nono.undo.contents import packs
from nono.undo.contents.store import Store
from nono.undo.looking import Allowance
from nono.undo.model.changes import Change, changes, shown
from nono.undo.model.left_out import but_for
from nono.undo.model.session import Info, overlap
from nono.undo.model.snapshot import END, MARK, Among, Snapshot, Tree, sealed, to_json
from nono.undo.taking import take, take_below
from nono.undo.walking import Walk

ENTRIES_MAX = 300_000
SNAPSHOTS_MAX = 2000  # a command can claim any number of turns
READ_TIMES = 8  # as many bytes as may be kept are read at most: text is a fifth when compressed
RESERVE = ".reserve"  # a file that is dropped for the end of a run that fills the disk

Progress = Callable[[int], None]


class Limits(NamedTuple):
    """How much may be kept."""

    sessions_max: int
    bytes_max: int
    entries_max: int = ENTRIES_MAX
    snapshots_max: int = SNAPSHOTS_MAX


class Mark(NamedTuple):
    """A snapshot between the baseline and the end."""

    number: int
    changes: tuple[Change, ...]  # since the snapshot before


class Recording:
    """The snapshots of a run in progress. Call finish() for the last one, then close()."""

    def __init__(
        self, directory: int, lock: int, info: Info, baseline: Snapshot, store: Store, limits: Limits
    ) -> None:
        self.info = info
        self._directory, self._lock_file, self._store = directory, lock, store
        self._baseline = self._last = baseline
        self._limits = limits
        self._turn = threading.Lock()

    @property
    def baseline(self) -> Snapshot:
        return self._baseline

    @property
    def last(self) -> Snapshot:
        return self._last

    @property
    def marks_left(self) -> int:
        """The number of marks that may still be taken: the end of the run is always kept."""
        return max(0, self._limits.snapshots_max - self._last.number - 2)

    @property
    def snapshots_max(self) -> int:
        return self._limits.snapshots_max

    def close(self) -> None:
        self._store.close()
        os.close(self._lock_file)
        os.close(self._directory)

    def mark(self, label: str, changed: Collection[str] | None = None) -> Mark:
        """Take a snapshot between two turns. May be called from a worker thread.

        label: Its name in lists, such as "before turn 12".
        changed: Absolute paths that may have changed since the last snapshot, including everything below
          them; None: every path whose times differ.

        Raises OSError if it cannot be kept.
        """
        with self._turn:
            try:
                return self._mark(label, changed)
            except BaseException:
                self._store.abandon()
                raise

    def _mark(self, label: str, changed: Collection[str] | None) -> Mark:
        last, among = self._last, None
        if changed is None:
            trees = self._taken(last)
        else:
            self._store.begin(f"{last.number + 1:03}")
            looks = [
                take_below(tree, _relative(tree.path, changed), self._walk(tree, self._store))
                for tree in last.trees
            ]
            trees = tuple(tree for tree, _ in looks)
            among = {tree.path: paths for tree, paths in looks}
        snapshot = Snapshot(last.number + 1, MARK, label, unix_ms(), trees)
        self._commit(snapshot, among)
        return Mark(snapshot.number, tuple(changes(last, snapshot, among)))

    def finish(self, exit_code: int, progress: Progress = lambda count: None) -> list[Change]:
        """Take the last snapshot. Returns what the run has changed. Raises OSError or NonoError.

        progress: Told now and then how many files of a directory were seen.
        """
        with self._turn:
            with suppress(FileNotFoundError):
                os.unlink(RESERVE, dir_fd=self._directory)
            notes, opened = list(self.info.notes), list[str]()
            # Compared with the baseline, not with a mark: a file that was mapped into memory at the time of
            # the mark may have changed since without a new time.
            try:
                trees = self._taken(self._baseline, opened=opened, progress=progress)
                snapshot = sealed(Snapshot(self._last.number + 1, END, "", unix_ms(), trees))
                self._commit(snapshot)
            except OSError as error:
                if error.errno not in durable.FULL:
                    raise
                self._store.abandon()
                notes.append("What the run wrote did not fit; only its digests are kept.")
                trees = self._taken(self._baseline, keeps=False, opened=opened, progress=progress)
                snapshot = sealed(Snapshot(self._last.number + 1, END, "", unix_ms(), trees))
                self._commit(snapshot)
            notes += _opened_note(opened)
            found = changes(self._baseline, snapshot)
            self.info = self.info._replace(
                ended=rfc3339(),
                ended_unix_ms=unix_ms(),
                exit_code=exit_code,
                snapshot_count=snapshot.number + 1,
                changed=len(shown(found)),
                notes=tuple(notes),
            )
            kept.write_info(self._directory, self.info)
            return found

    def note(self, sentence: str) -> None:
        """Add a note that a person must know before a restore; finish() writes it."""
        self.info = self.info._replace(notes=(*self.info.notes, sentence))

    def _taken(
        self,
        before: Snapshot,
        *,
        keeps: bool = True,
        opened: list[str] | None = None,
        progress: Progress = lambda count: None,
    ) -> tuple[Tree, ...]:
        """Take all trees. opened: As in Walk, with absolute paths."""
        self._store.begin(f"{self._last.number + 1:03}")
        trees = []
        for tree in before.trees:
            walk = self._walk(tree, self._store if keeps else None)._replace(progress=progress)
            walk = walk if opened is None else walk._replace(opened=[])
            trees.append(_taken_or_gone(tree, walk))
            if opened is not None and walk.opened:
                opened += (join(tree.path, path) for path in walk.opened)
        return tuple(trees)

    def _walk(self, before: Tree, store: Store | None) -> Walk:
        sieve = but_for(before.scope.sieve(self.info.left_out), before.entries)
        allowance = Allowance(READ_TIMES * self._limits.bytes_max, is_strict=False)
        entries_max = 2 * self._limits.entries_max
        return Walk(sieve, store, before.entries, entries_max, allowance, lambda count: None, is_later=True)

    def _commit(self, snapshot: Snapshot, among: Among | None = None) -> None:
        try:
            self._store.commit()
            write_snapshot(self._directory, snapshot, self._last, among)
        except BaseException:
            self._store.abandon()
            raise
        self._last = snapshot


def _taken_or_gone(before: Tree, walk: Walk) -> Tree:
    try:
        return take(before.path, walk, before.only)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            raise
        # Somebody outside has removed or replaced it.
        return Tree(before.path, {}, only=before.only)


def _opened_note(opened: Sequence[str]) -> list[str]:
    if not opened:
        return []
    several = "directory" if len(opened) == 1 else "directories"
    return [
        f"The run made {len(opened):,} {several} unreadable to you, such as {shell_word(opened[0])}: "
        "opened again, so that undo sees what is inside."
    ]


def _relative(root: str, changed: Iterable[str]) -> Iterable[str]:
    below = root.rstrip("/") + "/"
    return (path.removeprefix(below) for path in changed if path.startswith(below))


def write_snapshot(
    directory: int, snapshot: Snapshot, before: Snapshot | None, among: Among | None = None
) -> None:
    """Write a snapshot, synced, after its contents. Raises OSError."""
    name, content = f"{snapshot.number:03}.json", to_json(snapshot, before, among)
    if len(content) > packs.FILE_BYTES_MAX:  # which nobody could read
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG), name)
    snapshots = os.open(kept.SNAPSHOTS, DIRECTORY_FLAGS, dir_fd=directory)
    try:
        durable.write(snapshots, name, content)
    finally:
        os.close(snapshots)


def beside(environ: Mapping[str, str], info: Info) -> list[str]:
    """Return the ids of other runs that can write to the same directories at the same time."""
    with kept.every(environ) as others:
        return [
            each.info.session_id
            for each in others
            if each.info.session_id != info.session_id
            and overlap(each.info.tracked_paths, info.tracked_paths)
            and (each.is_running or (each.info.ended_unix_ms or 0) > info.started_unix_ms)
        ]
