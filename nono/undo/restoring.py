"""Brings directories back to a snapshot: keeps the present, refuses what changed since, acts, verifies."""

from __future__ import annotations

import errno
import os
from base64 import b64decode
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from posixpath import basename, dirname, join

from nono.clock import unix_ms
from nono.errors import NonoError
from nono.named_tuple import NamedTuple
from nono.undo.kept import Kept, write_info
from nono.undo.model.changes import ChangeType, change_type, changes
from nono.undo.model.entry import DIRECTORY, FILE, LINK, Entry
from nono.undo.model.restore_plan import BEHIND_LINK, Plan, Present, Refused, Step, plan
from nono.undo.model.snapshot import END, RESTORED, SAFETY, Snapshot, sealed
from nono.undo.recording import write_snapshot
from nono.undo.rename import RENAME_EXCHANGE, RENAME_NOREPLACE, rename_at
from nono.undo.store import Store
from nono.undo.taking import look, opened_directory, opened_parent, opened_root

TRASH = "trash"
_TEMPORARY = ".nono-restore-"
_BLOCK_BYTES = 4096


class Restored(NamedTuple):
    """What a restore has done."""

    done: tuple[Step, ...]
    left: tuple[Refused, ...]  # paths that could not be brought back, each with the reason
    safety: int | None  # the snapshot to restore to undo this one; None: nothing had to be done


class Prepared(NamedTuple):
    """A restore that could begin."""

    target: Snapshot
    last: Snapshot  # how everything was left
    plan: Plan
    number: int  # of the next snapshot


def prepare(kept: Kept, number: int, only: Collection[str] = ()) -> Prepared:
    """Compare a snapshot with the present. Raises NonoError, OSError or ValueError.

    only: Absolute paths; nothing outside them is restored.
    """
    snapshots = kept.snapshots()
    if not snapshots:
        raise NonoError(f"session {kept.info.session_id} has no snapshot.")
    if not 0 <= number < len(snapshots):
        raise NonoError(
            f"session {kept.info.session_id} has no snapshot {number}.",
            hint=f"it has 0 to {len(snapshots) - 1}; nono rollback show {kept.info.session_id} lists them",
        )
    target, last = snapshots[number], snapshots[-1]
    # Without an end of the run, what differs from its last snapshot is its work, or somebody else's.
    ended = last.kind in (END, SAFETY, RESTORED)
    if not ended:
        last = _present_whole(kept, last)
    wanted = _only(target, last, only) if only else last
    found = plan(target, wanted, _present(target, wanted), kept.store.has, ended=ended)
    return Prepared(target, last, found, len(snapshots))


def _only(target: Snapshot, last: Snapshot, only: Collection[str]) -> Snapshot:
    """Return `last` with all that lies outside some paths as it is in `target`."""
    trees = []
    for tree in last.trees:
        wanted = dict(target.tree(tree.path).entries)
        for path in wanted.keys() | tree.entries.keys():
            full = join(tree.path, path)
            if any(full == each or full.startswith(each.rstrip("/") + "/") for each in only):
                wanted.pop(path, None)
                if path in tree.entries:
                    wanted[path] = tree.entries[path]
        trees.append(tree._replace(entries=wanted))
    return last._replace(trees=tuple(trees))


def _present_whole(kept: Kept, last: Snapshot) -> Snapshot:
    # Imported here: most runs have an end.
    from nono.undo.recording import ENTRIES_MAX
    from nono.undo.taking import Walk, take

    trees = tuple(
        take(
            tree.path,
            Walk(
                kept.info.left_out.sieve(tree.path), None, tree.entries, 2 * ENTRIES_MAX, lambda count: None
            ),
        )
        for tree in last.trees
    )
    return last._replace(trees=trees)


def _present(target: Snapshot, last: Snapshot, store: Store | None = None) -> Present:
    """Look at every path that differs between two snapshots."""
    found: dict[tuple[str, str], Entry | str | None] = {}
    by_root: dict[str, list[tuple[str, Entry | None]]] = {}
    for change in changes(target, last):
        by_root.setdefault(change.root, []).append((change.path, change.after))
    for root, paths in by_root.items():
        try:
            with opened_root(root) as directory:
                for path, known in paths:
                    found[root, path] = _look(directory, path, store, known if store is None else None)
        except OSError as error:
            reason = f"{root}: {error.strerror or error}"
            found.update({(root, path): reason for path, _ in paths})
    return found


def _look(root: int, path: str, store: Store | None, known: Entry | None) -> Entry | str | None:
    try:
        with opened_parent(root, path) as parent:
            return look(parent, basename(path) or ".", store, known)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        if error.errno in (errno.ELOOP, errno.EXDEV):
            return BEHIND_LINK
        if error.errno == errno.ENOTDIR:
            return None
        return error.strerror or str(error)


def restore(kept: Kept, prepared: Prepared, *, force: bool = False) -> Restored:
    """Carry out a plan, after a snapshot of the present. The caller has locked the session.

    force: Restore what somebody else changed as well.
    Raises OSError or ValueError before anything is changed; afterwards it says what was left.
    """
    steps = [*prepared.plan.steps, *(prepared.plan.forced if force else ())]
    left = [*prepared.plan.impossible, *(() if force else prepared.plan.conflicts)]
    if not steps:
        return Restored((), tuple(left), None)
    safety = _keep_present(kept, prepared, steps)
    acting = _Acting(kept, safety.number)
    done = acting.carry_out(steps)
    left += acting.failed
    after = _updated(safety._replace(number=safety.number + 1, kind=RESTORED), steps, None)
    left += [
        Refused(step.full_path, "it is not as it was, after all")
        for step in done
        if not _is_brought_back(step, after.tree(step.root).entries.get(step.path))
    ]
    write_snapshot(kept.directory, after, safety)
    kept.info = kept.info._replace(snapshot_count=after.number + 1)
    write_info(kept.directory, kept.info)
    return Restored(tuple(done), tuple(left), safety.number)


def _is_brought_back(step: Step, now: Entry | None) -> bool:
    found = change_type(now, step.was)
    # A directory's time changes again with what is brought back beside it by somebody else.
    return found is None or (
        found is ChangeType.TOUCHED and step.was is not None and step.was.kind == DIRECTORY
    )


def _keep_present(kept: Kept, prepared: Prepared, steps: list[Step]) -> Snapshot:
    """Take the snapshot of all that is about to be changed. Raises OSError; nothing was changed then."""
    number = prepared.number
    store = kept.store
    store.left_bytes = 1 << 62  # nothing of the person's is given up for want of a quota
    store.begin(f"{number:03}")
    try:
        safety = _updated(prepared.last._replace(number=number, kind=SAFETY, label=""), steps, store)
        store.commit()
    except BaseException:
        store.abandon()
        raise
    snapshots = kept.snapshots()
    write_snapshot(kept.directory, safety, snapshots[-1])
    return safety


def _updated(snapshot: Snapshot, steps: list[Step], store: Store | None) -> Snapshot:
    """Return the snapshot with another look at the path of each step, and at the directory that it is in."""
    trees = []
    for tree in snapshot.trees:
        entries = dict(tree.entries)
        paths = {step.path for step in steps if step.root == tree.path}
        with opened_root(tree.path) as directory:
            for path in paths:
                now = _look(directory, path, store, None)
                entries.pop(path, None)
                if isinstance(now, Entry):
                    entries[path] = now
        trees.append(tree._replace(entries=entries))
    return sealed(snapshot._replace(taken_unix_ms=unix_ms(), trees=tuple(trees)))


class _Acting:
    """The acts of one restore. What each replaces is moved to the trash of the session."""

    def __init__(self, kept: Kept, number: int) -> None:
        self._kept, self._store = kept, kept.store
        self._trash_name = f"{TRASH}/{number:03}"
        self._temporary = f"{_TEMPORARY}{kept.info.session_id}-"
        self._trashed = 0
        self.failed: list[Refused] = []

    def carry_out(self, steps: list[Step]) -> list[Step]:
        """Take the steps, and return those that could be: away first, the deepest before their parents."""
        deepest = sorted(steps, key=lambda step: -len(step.path.split("/")) if step.path else 0)
        times = self._prepared_parents(steps)
        with self._trash() as trash:
            self._sweep(steps, trash)
            done = [
                step
                for step in deepest
                if not _is_replaced(step)
                or self._tried(step, lambda root, step: self._away(root, step, trash))
            ]
            done = [
                step
                for step in reversed(done)
                if step.was is None or self._tried(step, lambda root, step: self._back(root, step, trash))
            ]
        done = [step for step in reversed(done) if step.was is None or self._tried(step, self._finish)]
        for (root, path), ns in times.items():
            with (
                suppress(OSError),
                opened_root(root) as directory,
                opened_directory(directory, path) as parent,
            ):
                os.utime(parent, ns=(ns, ns))
        return done

    def _tried(self, step: Step, act: Callable[[int, Step], None]) -> bool:
        try:
            with opened_root(step.root) as root:
                act(root, step)
            return True
        except (OSError, ValueError, KeyError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            self.failed.append(Refused(step.full_path, reason))
            return False

    def _prepared_parents(self, steps: list[Step]) -> dict[tuple[str, str], int]:
        """Make directories writable whose mode is restored anyway. Returns the times of the others."""
        times: dict[tuple[str, str], int] = {}
        directories = {(step.root, step.path): step for step in steps if _is_directory(step)}
        for step in steps:
            at = (step.root, dirname(step.path))
            if at in times or not step.path:
                continue
            with suppress(OSError), opened_root(step.root) as root, opened_parent(root, step.path) as parent:
                status = os.fstat(parent)
                if at in directories and status.st_uid == os.geteuid():
                    os.fchmod(parent, status.st_mode & 0o7777 | 0o700)
                elif at not in directories:
                    times[at] = status.st_mtime_ns
        return times

    def _sweep(self, steps: list[Step], trash: int) -> None:
        """Move away what a killed restore of this session left: what it had replaced, or half a file."""
        for root_path, path in {(step.root, dirname(step.path)) for step in steps}:
            with (
                suppress(OSError),
                opened_root(root_path) as root,
                opened_directory(root, path) as parent,
            ):
                for name in os.listdir(parent):
                    if name.startswith(self._temporary):
                        os.rename(name, name, src_dir_fd=parent, dst_dir_fd=trash)

    @contextmanager
    def _trash(self) -> Iterator[int]:
        for name in (TRASH, self._trash_name):
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self._kept.directory)
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        trash = os.open(self._trash_name, flags, dir_fd=self._kept.directory)
        try:
            yield trash
        finally:
            os.close(trash)
            for name in (self._trash_name, TRASH):
                with suppress(OSError):  # it is not empty
                    os.rmdir(name, dir_fd=self._kept.directory)

    def _away(self, root: int, step: Step, trash: int) -> None:
        """Take away what is at a path."""
        assert step.now is not None
        with opened_parent(root, step.path) as parent:
            name = basename(step.path)
            if step.now.kind == DIRECTORY:
                try:
                    os.rmdir(name, dir_fd=parent)
                except OSError as error:
                    if error.errno != errno.ENOTEMPTY:
                        raise
                    raise OSError(errno.ENOTEMPTY, "it holds something that is not of the run") from error
            else:
                self._discard(parent, name, name, step.now, trash)

    def _discard(self, parent: int, name: str, label: str, expected: Entry, trash: int) -> None:
        """Move a file to the trash. Raises OSError if it has changed since it was kept."""
        self._refuse_changed(parent, name, expected)
        self._trashed += 1
        try:
            os.rename(name, f"{self._trashed}-{label[:100]}", src_dir_fd=parent, dst_dir_fd=trash)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENAMETOOLONG):
                raise
            # Its content is in the snapshot that was taken first.
            if expected.kind != LINK and expected.content is None:
                raise OSError(errno.EXDEV, "it cannot be kept, so it is not removed") from error
            os.unlink(name, dir_fd=parent)

    def _refuse_changed(self, parent: int, name: str, expected: Entry) -> None:
        status = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if (status.st_ino, status.st_size, status.st_mtime_ns) != (
            expected.inode,
            expected.size,
            expected.mtime_ns,
        ):
            raise OSError(errno.EBUSY, "it changed during the restore")

    def _back(self, root: int, step: Step, trash: int) -> None:
        """Bring back what was at a path."""
        was, now = step.was, step.now
        assert was is not None
        if now is not None and not _is_replaced(step) and (was.kind, was.content) == (now.kind, now.content):
            return  # only its metadata differs
        with opened_parent(root, step.path) as parent:
            name = basename(step.path)
            if was.kind == DIRECTORY:
                os.mkdir(name, 0o700, dir_fd=parent)
                return
            temporary = self._temporary + os.urandom(8).hex()
            if was.kind == LINK:
                assert was.content is not None
                os.symlink(was.content, temporary, dir_fd=parent)
            else:
                self._write(parent, temporary, was)
            try:
                if now is not None and not _is_replaced(step):
                    self._refuse_changed(parent, name, now)
                    if not _exchanged(parent, temporary, name):
                        self._discard(parent, name, name, now, trash)
                        now = None
                if now is None or _is_replaced(step):
                    _placed(parent, temporary, name)
                    return
            except BaseException:
                os.unlink(temporary, dir_fd=parent)
                raise
            self._discard(parent, temporary, name, now, trash)

    def _write(self, parent: int, name: str, was: Entry) -> None:
        """Write a file with all that it had, durably. Raises OSError; ValueError: its content is damaged."""
        assert was.content is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            for chunk in self._store.chunks(was.content):
                _write_sparse(file, chunk) if was.is_sparse else _write_all(file, chunk)
            os.ftruncate(file, was.size)
            _set_metadata(file, was)
            os.fsync(file)
        except BaseException:
            os.unlink(name, dir_fd=parent)
            raise
        finally:
            os.close(file)

    def _finish(self, root: int, step: Step) -> None:
        """Set the metadata of what was brought back, or of what had lost nothing else."""
        was = step.was
        assert was is not None
        with opened_parent(root, step.path) as parent:
            name = basename(step.path) or "."
            if was.kind == LINK:
                if os.geteuid() == 0:
                    os.chown(name, was.uid, was.gid, dir_fd=parent, follow_symlinks=False)
                os.utime(name, ns=(was.mtime_ns, was.mtime_ns), dir_fd=parent, follow_symlinks=False)
            elif was.kind in (FILE, DIRECTORY):
                flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
                file = os.open(name, flags, dir_fd=parent)
                try:
                    _set_metadata(file, was)
                finally:
                    os.close(file)


def _exchanged(parent: int, temporary: str, name: str) -> bool:
    """Exchange two names; False if the file system cannot."""
    try:
        rename_at(parent, temporary, parent, name, RENAME_EXCHANGE)
        return True
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        return False


def _placed(parent: int, temporary: str, name: str) -> None:
    """Give a file its name, which nobody may have taken meanwhile."""
    try:
        rename_at(parent, temporary, parent, name, RENAME_NOREPLACE)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS):
            raise
        os.link(temporary, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
        os.unlink(temporary, dir_fd=parent)


def _is_directory(step: Step) -> bool:
    return all(each is not None and each.kind == DIRECTORY for each in (step.was, step.now))


def _is_replaced(step: Step) -> bool:
    """Return True if what is there must go first: nothing was there, or something of another kind."""
    now, was = step.now, step.was
    return now is not None and (was is None or (was.kind != now.kind and DIRECTORY in (was.kind, now.kind)))


def _write_all(file: int, content: bytes) -> None:
    left = memoryview(content)
    while left:
        left = left[os.write(file, left) :]


def _write_sparse(file: int, content: bytes) -> None:
    """Write a content, and seek over its blocks of zeroes."""
    zeroes = bytes(_BLOCK_BYTES)
    for start in range(0, len(content), _BLOCK_BYTES):
        block = content[start : start + _BLOCK_BYTES]
        if block == zeroes[: len(block)]:
            os.lseek(file, len(block), os.SEEK_CUR)
        else:
            _write_all(file, block)


def _set_metadata(file: int, was: Entry) -> None:
    """Give an open file its owner, attributes, mode and times, in an order in which none undoes another."""
    status = os.fstat(file)
    if (status.st_uid, status.st_gid) != (was.uid, was.gid):
        with suppress(PermissionError):  # the look afterwards tells
            os.fchown(file, was.uid, was.gid)
    present = {name for name in _names(file) if not name.startswith("security.")}
    for name in present - was.attributes.keys():
        os.removexattr(file, name)
    for name, value in was.attributes.items():
        content = b64decode(value)
        if name not in present or os.getxattr(file, name) != content:
            os.setxattr(file, name, content)
    os.fchmod(file, was.mode)
    os.utime(file, ns=(was.mtime_ns, was.mtime_ns))


def _names(file: int) -> list[str]:
    try:
        return os.listxattr(file)
    except OSError:
        return []
