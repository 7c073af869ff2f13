"""Carry out the steps of a restore, moving what each replaces to the session's trash."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from posixpath import basename, dirname, join

from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.errors import reason_of
from nono.undo.beneath import opened_directory, opened_parent, opened_root
from nono.undo.kept import Kept
from nono.undo.looking import look
from nono.undo.making import exchange, fill, place, set_metadata
from nono.undo.model.changes import change_type
from nono.undo.model.entry import DIRECTORY, FILE, LINK, Entry
from nono.undo.model.restore_plan import BEHIND_LINK, Refused, Step
from nono.undo.model.snapshot import Snapshot

TRASH = "trash"
_TEMPORARY = ".nono-restore-"
_NO_NEIGHBOUR = (errno.EACCES, errno.EPERM, errno.EROFS)  # when a file is made in a directory
_CUT_OFF = "an interrupted restore left it, and it may be the only copy of what was there; move it away"
_UNKEPT = "it cannot be kept, so it stays; move it away, and restore with --force"


class Acting:
    """The actions of one restore. Replaced files are moved to the session's trash."""

    def __init__(self, kept: Kept, number: int, target: Snapshot, progress: Callable[[int], None]) -> None:
        self._kept, self._store = kept, kept.store
        self._names = _names_of(target)
        self._trash_name = f"{TRASH}/{number:03}"
        self._temporary = f"{_TEMPORARY}{kept.info.session_id}-"
        self._progress, self._tries = progress, 0
        self._trashed = 0
        self.failed: list[Refused] = []

    def carry_out(self, steps: list[Step]) -> list[Step]:
        """Take the steps, and return those that succeeded.

        Removals come first, children before their parents.
        """
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
        # Once for all files: waiting for the disk after each takes five times as long as everything else.
        os.sync()
        return done

    def _tried(self, step: Step, act: Callable[[int, Step], None]) -> bool:
        self._tries += 1
        self._progress(self._tries)
        try:
            with opened_root(step.root) as root:
                act(root, step)
            return True
        except (OSError, ValueError, KeyError) as error:
            is_behind_link = isinstance(error, OSError) and error.errno == errno.ELOOP
            reason = BEHIND_LINK if is_behind_link else reason_of(error)
            self.failed.append(Refused(step.full_path, reason))
            return False

    def _prepared_parents(self, steps: list[Step]) -> dict[tuple[str, str], int]:
        """Make writable the directories in which paths are restored or removed.

        Returns the times of the others.
        """
        times: dict[tuple[str, str], int] = {}
        directories = {
            (step.root, step.path) for step in steps if step.now is not None and step.now.kind == DIRECTORY
        }
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
        """Move away what a killed restore of this session left: replaced files, and half-written ones."""
        for root_path, path in {(step.root, dirname(step.path)) for step in steps}:
            with (
                suppress(OSError),
                opened_root(root_path) as root,
                opened_directory(root, path) as parent,
            ):
                self._sweep_directory(parent, join(root_path, path), trash)

    def _sweep_directory(self, parent: int, path: str, trash: int) -> None:
        for name in os.listdir(parent):
            if not name.startswith(self._temporary):
                continue
            try:
                os.rename(name, name, src_dir_fd=parent, dst_dir_fd=trash)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self.failed.append(Refused(join(path, name), _CUT_OFF))

    @contextmanager
    def _trash(self) -> Iterator[int]:
        for name in (TRASH, self._trash_name):
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self._kept.directory)
        trash = os.open(self._trash_name, DIRECTORY_FLAGS, dir_fd=self._kept.directory)
        try:
            yield trash
        finally:
            os.close(trash)
            for name in (self._trash_name, TRASH):
                with suppress(OSError):  # not empty
                    os.rmdir(name, dir_fd=self._kept.directory)

    def _away(self, root: int, step: Step, trash: int) -> None:
        """Remove the file at a path."""
        assert step.now is not None
        with opened_parent(root, step.path) as parent:
            name = basename(step.path)
            if step.now.kind == DIRECTORY:
                try:
                    os.rmdir(name, dir_fd=parent)
                except OSError as error:
                    if error.errno != errno.ENOTEMPTY:
                        raise
                    why = "it holds what the run did not make, or undo left out"
                    raise OSError(errno.ENOTEMPTY, why) from error
            else:
                self._discard(parent, name, name, step.now, trash)

    def _discard(self, parent: int, name: str, label: str, expected: Entry, trash: int) -> None:
        """Move a file to the trash. Raises OSError if it has changed since it was kept."""
        _refuse_other(os.stat(name, dir_fd=parent, follow_symlinks=False), expected)
        self._trashed += 1
        label = os.fsdecode(os.fsencode(label)[:100])  # a name has 255 bytes, which may be 64 characters
        try:
            os.rename(name, f"{self._trashed}-{label}", src_dir_fd=parent, dst_dir_fd=trash)
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.ENAMETOOLONG):
                raise
            # Its content is in the snapshot taken first.
            if expected.kind != LINK and expected.content is None:
                raise OSError(errno.EXDEV, _UNKEPT) from error
            os.unlink(name, dir_fd=parent)

    def _back(self, root: int, step: Step, trash: int) -> None:
        """Restore the file of a step."""
        was, now = step.was, step.now
        assert was is not None
        if now is not None and not _is_replaced(step) and _is_same_file(was, now):
            return
        with opened_parent(root, step.path) as parent:
            name = basename(step.path)
            if was.kind == DIRECTORY:
                os.mkdir(name, 0o700, dir_fd=parent)
                return
            try:
                temporary = self._made(root, step, was, parent)
            except OSError as error:
                if now is None or not _fits_in_place(error, was, now):
                    raise
                self._overwrite(parent, name, was, now)
                return
            self._put(parent, temporary, name, None if _is_replaced(step) else now, trash)

    def _put(self, parent: int, temporary: str, name: str, now: Entry | None, trash: int) -> None:
        """Give a recreated file its name, and move the file that has the name to the trash.

        now: The file that has it; None if there is none. Raises OSError if it is another, which is left.
        """
        made = _inode(parent, temporary)
        try:
            if now is not None:
                _refuse_other(os.stat(name, dir_fd=parent, follow_symlinks=False), now)
                if not exchange(parent, temporary, name):
                    self._discard(parent, name, name, now, trash)
                    now = None
            if now is None:
                place(parent, temporary, name)
                return
        except BaseException:
            os.unlink(temporary, dir_fd=parent)
            raise
        try:
            self._discard(parent, temporary, name, now, trash)
        except OSError:
            # It is neither kept nor expected, so it gets its name back.
            if exchange(parent, temporary, name):
                if _inode(parent, temporary) == made:
                    os.unlink(temporary, dir_fd=parent)
                else:  # another program has put something else in its place
                    exchange(parent, temporary, name)
            raise

    def _made(self, root: int, step: Step, was: Entry, parent: int) -> str:
        """Recreate the file beside its place. Returns its temporary name."""
        temporary = self._temporary + os.urandom(8).hex()
        if was.kind == LINK:
            assert was.content is not None
            os.symlink(was.content, temporary, dir_fd=parent)
        elif not self._linked(root, step, parent, temporary):
            self._write(parent, temporary, was)
        return temporary

    def _linked(self, root: int, step: Step, parent: int, temporary: str) -> bool:
        """Restore the file as a hard link to one that had the same inode, if that one is already restored."""
        was = step.was
        assert was is not None
        for path in self._names.get((step.root, was.inode), ()):
            if path == step.path:
                continue
            with suppress(OSError), opened_parent(root, path) as beside:
                name = basename(path)
                other = look(beside, name, None)
                if other is None or change_type(other, was) is not None:
                    continue  # not restored yet, or another file
                os.link(name, temporary, src_dir_fd=beside, dst_dir_fd=parent, follow_symlinks=False)
                return True
        return False

    def _write(self, parent: int, name: str, was: Entry) -> None:
        """Write a file with content and metadata. Raises OSError, or ValueError if its content is damaged."""
        assert was.content is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        file = os.open(name, flags, 0o600, dir_fd=parent)
        try:
            fill(file, self._store.chunks(was.content), was)
            set_metadata(file, was)
        except BaseException:
            os.unlink(name, dir_fd=parent)
            raise
        finally:
            os.close(file)

    def _overwrite(self, parent: int, name: str, was: Entry, now: Entry) -> None:
        """Rewrite a file in place. Raises as _write() does, and if that would lose anything."""
        assert was.content is not None
        if now.content is None:
            raise OSError(errno.EACCES, _UNKEPT)
        if now.links > 1:
            raise OSError(errno.EMLINK, "it has a name elsewhere, and its directory is not yours to write")
        for _ in self._store.chunks(was.content):
            pass  # raises if it is damaged, before anything is gone
        file = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        try:
            _refuse_other(os.fstat(file), now)
            os.ftruncate(file, 0)
            fill(file, self._store.chunks(was.content), was)
        finally:
            os.close(file)

    def _finish(self, root: int, step: Step) -> None:
        """Set the metadata of a restored path, or of one that only lost metadata."""
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
                    set_metadata(file, was)
                finally:
                    os.close(file)


def _names_of(target: Snapshot) -> dict[tuple[str, int], list[str]]:
    """Return the paths of each file with several names, by its tree and inode."""
    names: dict[tuple[str, int], list[str]] = {}
    for tree in target.trees:
        for path, entry in tree.entries.items():
            if entry.kind == FILE and entry.links > 1:
                names.setdefault((tree.path, entry.inode), []).append(path)
    return names


def _fits_in_place(error: OSError, was: Entry, now: Entry) -> bool:
    """Return True if nothing can be made beside a file: it was granted in a directory of somebody else."""
    return error.errno in _NO_NEIGHBOUR and (was.kind, now.kind) == (FILE, FILE)


def _refuse_other(status: os.stat_result, expected: Entry) -> None:
    """Raise OSError if a file has changed since it was looked at."""
    if (status.st_ino, status.st_size, status.st_mtime_ns) != (
        expected.inode,
        expected.size,
        expected.mtime_ns,
    ):
        raise OSError(errno.EBUSY, "it changed during the restore")


def _inode(parent: int, name: str) -> int:
    return os.stat(name, dir_fd=parent, follow_symlinks=False).st_ino


def _is_same_file(was: Entry, now: Entry) -> bool:
    """Return True if only metadata differs, and changing it affects no name elsewhere."""
    is_alone = now.links <= 1 or now.inode == was.inode
    return (was.kind, was.content) == (now.kind, now.content) and is_alone


def _is_replaced(step: Step) -> bool:
    """Return True if the present file must be removed first: nothing, or another kind, was there."""
    now, was = step.now, step.was
    return now is not None and (was is None or (was.kind != now.kind and DIRECTORY in (was.kind, now.kind)))
