"""Takes the snapshots of one run: the baseline before it, marks meanwhile, and its end."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from posixpath import join

from nono.clock import rfc3339, unix_ms
from nono.disk import durable
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.printable import shell_word
from nono.private_dir import open_private_dir
from nono.undo import kept
from nono.undo.kept import Kept
from nono.undo.looking import Allowance
from nono.undo.model.changes import Change, changes, shown
from nono.undo.model.entry import FILE, Entry
from nono.undo.model.left_out import but_for
from nono.undo.model.scope import Scope, scopes
from nono.undo.model.session import Info, overlap
from nono.undo.model.snapshot import BASELINE, END, MARK, Among, Snapshot, Tree, sealed, to_json
from nono.undo.store import Store
from nono.undo.taking import take, take_below
from nono.undo.walking import TooMuchError, Walk

ENTRIES_MAX = 300_000
SNAPSHOTS_MAX = 2000  # a command can claim any number of turns
SHARE_OF_DISK = 20  # a twentieth
READ_TIMES = 8  # as many bytes as may be kept are read at most: text is a fifth when compressed
_RESERVE, RESERVE_BYTES = ".reserve", 4 << 20  # for the end of a run that fills the disk
_FREE = "free space there, or drop old runs by nono rollback cleanup; "
FULL = (errno.ENOSPC, errno.EDQUOT)

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
    """The snapshots of a run that goes on. close() releases it; finish() takes the last one before."""

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
        """How many marks may still be taken: the end of the run is always kept."""
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

        label: Names it in lists, such as "before turn 12".
        changed: Absolute paths that may have changed since the last snapshot, with all below them; None: all
            whose times differ are read.
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
                os.unlink(_RESERVE, dir_fd=self._directory)
            notes, opened = list(self.info.notes), list[str]()
            # Compared with the baseline, not with a mark: a file that was mapped into memory then can have
            # changed since without another time.
            try:
                trees = self._taken(self._baseline, opened=opened, progress=progress)
                snapshot = sealed(Snapshot(self._last.number + 1, END, "", unix_ms(), trees))
                self._commit(snapshot)
            except OSError as error:
                if error.errno not in FULL:
                    raise
                self._store.abandon()
                notes.append("There was no room for what the run wrote; of that, digests alone are kept.")
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
        """Add what a person must know before a restore; finish() writes it."""
        self.info = self.info._replace(notes=(*self.info.notes, sentence))

    def _taken(
        self,
        before: Snapshot,
        *,
        keeps: bool = True,
        opened: list[str] | None = None,
        progress: Progress = lambda count: None,
    ) -> tuple[Tree, ...]:
        """Take all trees. opened: As of Walk, with absolute paths."""
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
        return Walk(sieve, store, before.entries, entries_max, allowance, lambda count: None)

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
        f"The run has closed {len(opened):,} {several} to you, such as {shell_word(opened[0])}: "
        "opened again, for undo to see what is inside."
    ]


def _relative(root: str, changed: Iterable[str]) -> Iterable[str]:
    below = root.rstrip("/") + "/"
    return (path.removeprefix(below) for path in changed if path.startswith(below))


def write_snapshot(
    directory: int, snapshot: Snapshot, before: Snapshot | None, among: Among | None = None
) -> None:
    """Write a snapshot durably, after its contents. Raises OSError."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    snapshots = os.open(kept.SNAPSHOTS, flags, dir_fd=directory)
    try:
        durable.write(snapshots, f"{snapshot.number:03}.json", to_json(snapshot, before, among))
    finally:
        os.close(snapshots)


def begin(
    environ: Mapping[str, str],
    info: Info,
    limits: Limits,
    progress: Progress,
    elsewhere: str | None = None,
    optional: Collection[str] = (),
    files: Collection[str] = (),
) -> Recording:
    """Take the baseline of a run. The caller closes the recording.

    optional: Tracked paths of it that are not covered if they hold too much, which a note says then.
    files: Tracked paths of it that are files.
    elsewhere: Directory in which its snapshots are to be, instead of the state directory.
    progress: Told now and then how many files were seen; what it raises ends the walk.
    Raises NonoError if the baseline cannot be kept; nothing is left of it then.
    """
    root = kept.root_of(environ)
    path = join(root, info.session_id)
    try:
        with ExitStack() as undone:
            with kept.all_locked(root):
                used = kept.sweep(root, limits.sessions_max, limits.bytes_max)
                directory, lock = _created(root, info.session_id, elsewhere)
            undone.callback(kept.remove, root, info.session_id)
            undone.callback(os.close, lock)
            undone.callback(os.close, directory)
            quota = _quota(directory, limits)
            store = Store(directory, max(0, quota - used))
            undone.callback(store.close)
            room = _room(quota, used, limits)
            wanted = scopes(info.tracked_paths, files)
            baseline, info = _baseline(environ, info, wanted, limits, room, progress, store, optional)
            write_snapshot(directory, baseline, None)
            _reserve(directory)
            info = info._replace(snapshot_count=1)
            kept.write_info(directory, info)
            undone.pop_all()
            return Recording(directory, lock, info, baseline, store, limits)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        is_full = isinstance(error, OSError) and error.errno in FULL
        raise NonoError(
            f"what the run may change cannot be kept for undo: {path}: {reason}",
            hint=f"{_FREE if is_full else ''}--no-rollback starts the command all the same",
        ) from error


def _room(quota: int, used: int, limits: Limits) -> str:
    """Word how much there is room for, and why not for more."""
    source = "max_storage_gb of config.toml" if quota == limits.bytes_max else "a twentieth of the disk"
    less = f", less {_amount(used)} that earlier runs take" if used else ""
    return f"{_amount(max(0, quota - used))} ({source}{less})"


def _amount(count: int) -> str:
    for shift, unit in ((30, "GiB"), (20, "MiB")):
        if count >> shift:
            return f"{count / (1 << shift):.1f} {unit}"
    return f"{count / 1024:.1f} KiB"


def _limit(error: TooMuchError, limits: Limits, room: str) -> str:
    return f"more than {room}" if error.is_size else f"more than {limits.entries_max:,} files"


def _too_much(error: TooMuchError, limits: Limits, room: str) -> NonoError:
    where = f", most of it in {', '.join(map(shell_word, error.largest))}" if error.largest else ""
    return NonoError(
        f"undo would have to keep {_limit(error, limits, room)}{where}, so nothing was started.",
        hint="--rollback-exclude DIR leaves a directory out; without --rollback there is no undo",
    )


def _created(root: str, session_id: str, elsewhere: str | None) -> tuple[int, int]:
    """Make the directory of a session, locked. Returns descriptors of it and of its lock."""
    path = join(root, session_id)
    if elsewhere is not None:
        os.close(open_private_dir(elsewhere, create=True))
        os.mkdir(join(elsewhere, session_id), 0o700)
        os.symlink(join(elsewhere, session_id), path)
        path = join(elsewhere, session_id)
    directory = open_private_dir(path, create=True)
    try:
        os.mkdir(kept.SNAPSHOTS, 0o700, dir_fd=directory)
        lock = kept.locked(directory)
        if lock is None:
            raise OSError(errno.EBUSY, "somebody else uses it", path)
    except BaseException:
        os.close(directory)
        raise
    return directory, lock


def _quota(directory: int, limits: Limits) -> int:
    disk = os.fstatvfs(directory)
    return min(limits.bytes_max, disk.f_blocks * disk.f_frsize // SHARE_OF_DISK)


def _reserve(directory: int) -> None:
    """Keep room for the record of the end, which must be written even if the run fills the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(_RESERVE, flags, 0o600, dir_fd=directory)
    try:
        with suppress(OSError):  # a file system that cannot, and then has none
            os.posix_fallocate(file, 0, RESERVE_BYTES)
    finally:
        os.close(file)


def _baseline(
    environ: Mapping[str, str],
    info: Info,
    wanted: Iterable[Scope],
    limits: Limits,
    room: str,
    progress: Progress,
    store: Store,
    optional: Collection[str],
) -> tuple[Snapshot, Info]:
    """Take the trees, those that must be covered first. The record returned lists those that are."""
    trees: list[Tree] = []
    with kept.every(environ) as earlier:
        for is_optional, scope in sorted(
            (all(path in optional for path in each.covered), each) for each in wanted
        ):
            store.begin(f"000.{len(trees)}" if trees else "000")
            try:
                trees.append(_tree(scope, info, limits, progress, store, earlier))
                store.commit()
            except TooMuchError as error:
                store.abandon()
                if not is_optional:
                    raise _too_much(error, limits, room) from error
                holds, path = _limit(error, limits, room), ", ".join(scope.covered)
                sentence = f"undo does not cover {path}, which the profile grants: it holds {holds}."
                info = info._replace(notes=(*info.notes, sentence))
            except BaseException:
                store.abandon()
                raise
    info = info._replace(tracked_paths=tuple(path for tree in trees for path in tree.scope.covered))
    return sealed(Snapshot(0, BASELINE, "", unix_ms(), tuple(trees))), info


def _tree(
    scope: Scope, info: Info, limits: Limits, progress: Progress, store: Store, earlier: Sequence[Kept]
) -> Tree:
    """Take the tree of one directory; what an earlier session has seen of it is taken over."""
    found = _last_look(scope, earlier)
    before: Mapping[str, Entry] = {}
    if found is not None:
        has = found[0].store.has
        before = {
            name: each
            for name, each in found[1].entries.items()
            if each.kind != FILE or (each.content is not None and has(each.content))
        }
    allowance = Allowance(READ_TIMES * limits.bytes_max, is_strict=True)
    walk = Walk(scope.sieve(info.left_out), store, before, limits.entries_max, allowance, progress)
    tree = take(scope.path, walk, scope.only)
    if found is not None:
        reused = (
            each.content
            for name, each in tree.entries.items()
            if each.kind == FILE and before.get(name) is each
        )
        wanted = [content for content in reused if content is not None]
        store.inherit(found[0].store, found[0].info.session_id, wanted)
    return tree


def _last_look(scope: Scope, earlier: Sequence[Kept]) -> tuple[Kept, Tree] | None:
    """Return the last tree of a directory that an earlier session has kept."""
    for each in earlier:
        if set(scope.covered) <= set(each.info.tracked_paths):
            with suppress(OSError, ValueError):
                snapshots = each.snapshots()
                if snapshots:
                    return each, snapshots[-1].tree(scope.path)
    return None


def beside(environ: Mapping[str, str], info: Info) -> list[str]:
    """Return the ids of other runs that could write to the same directories at the same time."""
    with kept.every(environ) as others:
        return [
            each.info.session_id
            for each in others
            if each.info.session_id != info.session_id
            and overlap(each.info.tracked_paths, info.tracked_paths)
            and (each.is_running or (each.info.ended_unix_ms or 0) > info.started_unix_ms)
        ]
