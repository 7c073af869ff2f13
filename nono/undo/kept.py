"""Find, open, measure and remove what undo keeps of runs, each in a directory named after its session."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from posixpath import join, split
from typing import overload

from nono import paths
from nono.disk import durable
from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.disk.tree import remove_tree
from nono.errors import ConfigError, NonoError, in_words
from nono.policy.suggestions import did_you_mean
from nono.private_dir import open_private_dir
from nono.undo.beneath import opened_root
from nono.undo.contents.packs import read_file
from nono.undo.contents.store import Store
from nono.undo.model import session, snapshot
from nono.undo.model.session import Info, Weighed, outdated
from nono.undo.model.snapshot import Snapshot

SESSION_FILE, LOCK, SNAPSHOTS = "session.json", "lock", "snapshots"
LATEST = "latest"
SESSION_BYTES_MAX = 64 << 20


def root_of(environ: Mapping[str, str]) -> str:
    """Return the directory of everything that undo keeps; no sandbox grants access to it."""
    return join(paths.state_root(environ), "rollbacks")


class Kept:
    """What is kept of one run. A context manager."""

    def __init__(self, path: str) -> None:
        """Raises OSError if the directory is missing or not private to this user; ValueError if damaged."""
        self.path = path
        self.directory = open_private_dir(_place(path), create=False)
        try:
            self.info = session.parse(read_file(self.directory, SESSION_FILE, SESSION_BYTES_MAX))
        except BaseException:
            os.close(self.directory)
            raise
        self._lock: int | None = None
        self._store: Store | None = None

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *_: object) -> None:
        if self._store is not None:
            self._store.close()
        if self._lock is not None:
            os.close(self._lock)
        os.close(self.directory)

    @property
    def store(self) -> Store:
        """The contents. Raises OSError or ValueError."""
        if self._store is None:
            self._store = Store(self.directory)
        return self._store

    @property
    def is_running(self) -> bool:
        return self._lock is None and is_locked(self.directory)

    def lock(self) -> None:
        """Keep other processes from writing here until this is closed. Raises NonoError if one does."""
        self._lock = locked(self.directory)
        if self._lock is None:
            raise NonoError(
                f"session {self.info.session_id} is still running, or is being restored.",
                hint=f"nono stop {self.info.session_id}",
            )

    def snapshots(self) -> Sequence[Snapshot]:
        """Return all snapshots, the baseline first. Raises OSError; ValueError for a damaged one."""
        names = (f"{SNAPSHOTS}/{number:03}.json" for number in range(self.count()))
        return _Snapshots([read_file(self.directory, name) for name in names])

    def count(self) -> int:
        """Return the number of snapshots; those after a gap do not count."""
        below = os.open(SNAPSHOTS, DIRECTORY_FLAGS, dir_fd=self.directory)
        try:
            number, found = 0, set(os.listdir(below))
        finally:
            os.close(below)
        while f"{number:03}.json" in found:
            number += 1
        return number


class _Snapshots(Sequence[Snapshot]):
    """Builds snapshots on access and caches few, because each holds an entry for every file."""

    def __init__(self, contents: list[bytes]) -> None:
        self._contents = contents
        self._found: list[Snapshot] = []  # the baseline, and the snapshot accessed last

    def __len__(self) -> int:
        return len(self._contents)

    @overload
    def __getitem__(self, index: int) -> Snapshot: ...
    @overload
    def __getitem__(self, index: slice) -> list[Snapshot]: ...
    def __getitem__(self, index: int | slice) -> Snapshot | list[Snapshot]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        wanted = range(len(self))[index]
        before = next((each for each in reversed(self._found) if each.number <= wanted), None)
        for number in range(0 if before is None else before.number + 1, wanted + 1):
            try:
                before = snapshot.parse(self._contents[number], before)
            except ValueError as error:
                raise ValueError(f"snapshot {number:03}: {error}") from error
            if before.number != number:
                raise ValueError(f"snapshot {number:03}: it says it is {before.number}")
            self._found = [*self._found[:1], before]
        assert before is not None  # otherwise there is no snapshot at that index
        return before


def _place(path: str) -> str:
    """Return where a session's directory is: --rollback-dest leaves a link to it at `path`.

    This link only this user can have made. A command may have laid another behind it, which leads nowhere.
    """
    return os.readlink(path) if os.path.islink(path) else path


def is_locked(directory: int) -> bool:
    """Return True if a running session, or a restore, holds the directory of a session."""
    try:
        lock = locked(directory)
    except OSError:  # nobody can write here, so nobody holds it
        return False
    if lock is None:
        return True
    os.close(lock)
    return False


def locked(directory: int) -> int | None:
    """Lock the directory of a session until the returned descriptor is closed; None: it is locked."""
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600, dir_fd=directory)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return lock
    except OSError:
        os.close(lock)
        return None


@contextmanager
def all_locked(root: str) -> Iterator[int]:
    """Lock the directory of all sessions, so that none is created or removed meanwhile. Raises OSError."""
    directory = open_private_dir(root, create=True)
    try:
        with open(
            os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600, dir_fd=directory), "wb"
        ) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield directory
    finally:
        os.close(directory)


def write_info(directory: int, info: Info) -> None:
    durable.write(directory, SESSION_FILE, session.to_json(info))


def names(root: str) -> list[str]:
    """Return the ids of all sessions, complete or not."""
    with suppress(FileNotFoundError):
        return sorted(name for name in os.listdir(root) if not name.startswith((".", LOCK)))
    return []


@contextmanager
def every(environ: Mapping[str, str]) -> Iterator[list[Kept]]:
    """Open all readable sessions, newest first."""
    root, found = root_of(environ), list[Kept]()
    with ExitStack() as stack:
        for name in names(root):
            with suppress(OSError, ValueError):
                found.append(stack.enter_context(Kept(join(root, name))))
        yield sorted(found, key=lambda kept: -kept.info.started_unix_ms)


def check_root(environ: Mapping[str, str]) -> None:
    """Raise NonoError if what is kept is somebody else's or cannot be read; there need not be anything."""
    try:
        os.close(open_private_dir(root_of(environ), create=False))
    except FileNotFoundError:
        return
    except OSError as error:
        raise NonoError(f"what is kept for undo cannot be used: {in_words(error)}") from error


@contextmanager
def chosen(query: str, environ: Mapping[str, str]) -> Iterator[Kept]:
    """Open the session that a person means: by id, the beginning of an id, a name, or `latest`.

    Raises NonoError if there is no such session, or it is damaged.
    """
    with every(environ) as found:
        exact = [kept for kept in found if kept.info.session_id == query]
        some = exact or [
            kept
            for kept in found
            if query and (kept.info.session_id.startswith(query) or kept.info.name == query)
        ]
        if query == LATEST:
            some = found[:1]
        if not some:
            check_root(environ)
            _refuse_damaged(root_of(environ), query)
            names = [LATEST, *(kept.info.name for kept in found if kept.info.name)] if found else []
            hint = did_you_mean(query, names) or "nono rollback list shows what can be undone"
            raise NonoError(f"Nothing is kept of session {query}.", hint=hint)
        if len(some) > 1:
            raise ConfigError(
                f"Ambiguous query '{query}': matches {len(some)} sessions. Use the session ID instead."
            )
        yield some[0]


def _refuse_damaged(root: str, query: str) -> None:
    """Raise NonoError if the session exists but its record cannot be read."""
    for name in names(root):
        if query and name.startswith(query):
            try:
                with Kept(join(root, name)):
                    pass
            except (OSError, ValueError) as error:
                raise NonoError(
                    f"what is kept of session {name} cannot be read: {in_words(error)}"
                ) from error


def size_of(path: str, seen: set[tuple[int, int]] | None = None) -> int:
    """Return the disk usage of a session in bytes; files shared with those in `seen` count once.

    What lies behind a link that somebody has put on the way to another directory is not removed, nor counted.
    """
    seen = set() if seen is None else seen
    place, total = _place(path), 0
    if place != path and os.path.realpath(place) != place:
        return total
    for where, _, files in os.walk(place):
        for name in files:
            with suppress(OSError):
                status = os.lstat(join(where, name))
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
    return total


def weighed(root: str) -> list[Weighed]:
    """Return all sessions, including those without a readable record."""
    found, seen = list[Weighed](), set[tuple[int, int]]()
    for name in names(root):
        path = join(root, name)
        size = size_of(path, seen)
        try:
            with Kept(path) as kept:
                has_changes = kept.info.changed is None or kept.info.changed > 0
                info, runs = kept.info, kept.is_running
                has_end = info.ended is not None
                found.append(Weighed(name, info.started_unix_ms, size, has_changes, runs, has_end=has_end))
        except (OSError, ValueError) as error:
            # A session with an unreadable record may still be useful; one without a record was never
            # completed.
            is_away = os.path.islink(path) and not os.path.exists(path)  # its disk is not mounted
            is_complete = is_away or not isinstance(error, FileNotFoundError)
            found.append(Weighed(name, 0, size, is_complete, _is_being_made(path), is_complete))
    return found


def _is_being_made(path: str) -> bool:
    try:
        directory = os.open(_place(path), DIRECTORY_FLAGS)
    except OSError:
        return False
    try:
        return is_locked(directory)
    finally:
        os.close(directory)


def sweep(root: str, sessions_max: int, bytes_max: int) -> int:
    """Remove sessions beyond the limits, and incomplete ones. Returns how many bytes are left.

    The caller holds all_locked(). Raises OSError.
    """
    found = weighed(root)
    broken = [each for each in found if not each.is_complete and not each.is_running]
    sound = [each for each in found if each not in broken]
    dropped = outdated(sound, sessions_max, bytes_max)
    for each in (*broken, *dropped):
        remove(root, each.session_id)
    return sum(each.size_bytes for each in sound if each not in dropped)


def remove(root: str, session_id: str) -> None:
    """Remove what is kept of a session. Raises OSError."""
    path = join(root, session_id)
    place = _place(path)
    if place == path:
        remove_tree(path)
        return
    above, name = split(place)
    try:
        # A link on the way could lead to the audit logs, for instance: their directories have the same names.
        with opened_root(above, lists=False) as parent:
            remove_tree(name, parent)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):  # nothing of it is left there
            raise
    os.unlink(path)
