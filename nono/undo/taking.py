"""Takes a snapshot of one granted directory: walks and reads it by open descriptors, and follows no link."""

from __future__ import annotations

import errno
import os
import stat
import threading
import time
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager, contextmanager, suppress
from posixpath import basename, dirname

from nono.kernel import open_path
from nono.kernel.uapi.open import AT_FDCWD, RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS
from nono.named_tuple import NamedTuple
from nono.undo.model.entry import DIRECTORY, FILE, LINK, OTHER, Entry
from nono.undo.model.left_out import Sieve, is_left_out
from nono.undo.model.snapshot import Tree, encoded
from nono.undo.opening import SEEN, let_owner_in
from nono.undo.store import LARGE_BYTES, QuotaError, Store

DEPTH_MAX = 200  # a descriptor is open for each level
TRIES = 4
BATCH = 64  # files that a thread reads before it asks for more
AHEAD = 32  # batches that wait for a thread, each with its directory open
TOLD_EVERY_S = 0.25
RACY_NS = 50_000_000  # coarser than the tick of any clock a file system stamps with
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class TooMuchError(OSError):
    """The walk has met more than may be kept."""

    def __init__(self, is_size: bool, largest: Sequence[str]) -> None:
        super().__init__(errno.EDQUOT if is_size else errno.EFBIG, "it holds more than undo may keep")
        self.is_size = is_size  # or else a number of files
        self.largest = largest  # the names at the top of the tree below which most was met


class Allowance:
    """How many bytes a walk may still read. A command can make a file of a terabyte that takes no room."""

    def __init__(self, left_bytes: int, *, is_strict: bool) -> None:
        """is_strict: Raise QuotaError at what exceeds it, rather than pass it over."""
        self._left_bytes, self._is_strict = left_bytes, is_strict
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        with self._lock:
            if size <= self._left_bytes:
                self._left_bytes -= size
                return True
        if self._is_strict:
            raise QuotaError
        return False


class Walk(NamedTuple):
    """How a walk goes."""

    sieve: Sieve
    store: Store | None  # keeps what is read; None: only digests are wanted
    before: Mapping[str, Entry]  # an earlier look: what shows the same times is not read again
    entries_max: int
    allowance: Allowance
    progress: Callable[[int], None]  # told now and then how many files were seen; may raise to end the walk
    opened: list[str] | None = None  # directories closed to their owner are opened, and listed here


def take(root: str, walk: Walk) -> Tree:
    """Return the tree of a directory given by its canonical path.

    Raises OSError if it cannot be opened, TooMuchError.
    """
    if walk.opened is not None and let_owner_in(root):
        walk.opened.append("")
    with opened_root(root) as directory, ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        taking = _Taking(walk, pool)
        try:
            return taking.tree(root, directory)
        except QuotaError as error:
            raise TooMuchError(True, taking.largest(lambda entry: entry.size)) from error
        except OSError:
            raise  # the next walk may do better
        except BaseException:
            # Somebody interrupts. The pool waits for its threads, and one file can be large.
            if walk.store is not None:
                walk.store.give_up()
            raise


def take_below(tree: Tree, paths: Iterable[str], walk: Walk) -> tuple[Tree, set[str]]:
    """Return the tree after another look at these paths, with all below them, and what was looked at.

    paths: Relative. The directories in which they lie are looked at as well, but not walked.
    Raises as take() does.
    """
    entries, looked, wanted = dict(tree.entries), set[str](), set(paths)
    gaps = {path: reason for path, reason in tree.gaps.items() if path not in wanted}
    directories = tuple(f"{path}/" for path in wanted if path in entries and entries[path].kind == DIRECTORY)
    gone = wanted & entries.keys()
    if directories:
        gone |= {path for path in entries if path.startswith(directories)}
    for path in gone:
        del entries[path]
    with opened_root(tree.path) as root, ThreadPoolExecutor(1) as pool:
        for path in wanted:
            found = _below(root, path, walk, pool)
            entries |= found.entries
            gaps |= found.gaps
            looked |= found.entries.keys()
        parents = {dirname(path) for path in wanted} - wanted
        for parent in parents:
            with suppress(OSError), opened_directory(root, parent) as directory:
                entries[parent] = entry_of(os.fstat(directory), None, _attributes(directory))
    return Tree(tree.path, entries, gaps), looked | gone | parents


def _below(root: int, path: str, walk: Walk, pool: ThreadPoolExecutor) -> Tree:
    if is_left_out(path, walk.sieve):
        return Tree("", {})
    try:
        with opened_parent(root, path) as parent:
            entry = look(parent, basename(path) or ".", walk.store, None, walk.allowance)
            if entry is None:
                return Tree("", {})
            if entry.kind != DIRECTORY:
                return Tree("", {path: entry})
            try:
                directory = os.open(basename(path) or ".", _DIRECTORY_FLAGS, dir_fd=parent)
            except PermissionError:
                return Tree("", {path: entry}, {path: os.strerror(errno.EACCES)})
            try:
                return _Taking(walk, pool).tree("", directory, path)
            finally:
                os.close(directory)
    except (QuotaError, TooMuchError):
        raise
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EXDEV):
            return Tree("", {})  # a part of the path is gone, or has become a link
        if error.errno == errno.EACCES:  # as a walk would find it
            return Tree("", {}, {dirname(path): os.strerror(error.errno)})
        raise


@contextmanager
def opened_root(root: str) -> Iterator[int]:
    """Open a granted directory. Raises OSError, ELOOP if a link has taken the place of a part of its path."""
    directory = open_path.open_at(
        AT_FDCWD, encoded(root), _DIRECTORY_FLAGS & ~os.O_NOFOLLOW, RESOLVE_NO_SYMLINKS
    )
    try:
        yield directory
    finally:
        os.close(directory)


def opened_parent(root: int, path: str) -> AbstractContextManager[int]:
    """Open the directory in which a relative path lies. Raises OSError, ELOOP or EXDEV if it leads out."""
    return opened_directory(root, dirname(path))


@contextmanager
def opened_directory(root: int, path: str) -> Iterator[int]:
    """Open a directory by its relative path. Raises as opened_parent() does."""
    flags = _DIRECTORY_FLAGS & ~os.O_NOFOLLOW
    directory = open_path.open_at(root, encoded(path) or b".", flags, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
    try:
        yield directory
    finally:
        os.close(directory)


class _Frame(NamedTuple):
    directory: int
    path: str
    names: list[str]  # of directories that are still to be walked


class _Taking:
    def __init__(self, walk: Walk, pool: ThreadPoolExecutor) -> None:
        self._walk, self._pool = walk, pool
        self._entries: dict[str, Entry] = {}
        self._gaps: dict[str, str] = {}
        self._seen = 0  # files that are being read
        self.left_out: list[str] = []  # directories
        self._reading: deque[Future[list[tuple[str, Entry]]]] = deque()

    def tree(self, root: str, directory: int, start: str = "") -> Tree:
        """Walk all below an open directory, whose path in the tree is `start`."""
        device = os.fstat(directory).st_dev
        frames: list[_Frame] = []
        try:
            frames.append(_Frame(os.dup(directory), start, []))
            self._list(frames[-1])
            while frames:
                frame = frames[-1]
                if not frame.names:
                    os.close(frames.pop().directory)
                    continue
                name = frame.names.pop()
                path = f"{frame.path}/{name}" if frame.path else name
                child = self._opened(frame.directory, name, path, device, len(frames))
                if child is not None:
                    frames.append(_Frame(child, path, []))
                    self._list(frames[-1])
            while self._reading:
                self._gather()
        finally:
            # Each reader closes the directory that it was given, so none may be cancelled.
            for future in self._reading:
                future.exception()
            for frame in frames:
                os.close(frame.directory)
        return Tree(root, self._entries, self._gaps, tuple(sorted(self.left_out)))

    def largest(self, weight: Callable[[Entry], int]) -> list[str]:
        """Return the names at the top of the tree below which most was met."""
        counts = Counter[str]()
        for path, entry in self._entries.items():
            counts[path.partition("/")[0]] += weight(entry)
        return [name for name, _ in counts.most_common(3) if name]

    def _opened(self, parent: int, name: str, path: str, device: int, depth: int) -> int | None:
        """Open a directory that is to be walked; None: it is not, which is noted as a gap."""
        opened, known = self._walk.opened, self._walk.before.get(path)
        try:
            # One that was closed before the run is no doing of the command.
            was_closed = known is not None and known.kind == DIRECTORY and known.mode & SEEN != SEEN
            is_closed = self._entries[path].mode & SEEN != SEEN and not was_closed
            if opened is not None and is_closed and let_owner_in(name, parent):
                opened.append(path)
            child = os.open(name, _DIRECTORY_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            del self._entries[path]
            return None
        except OSError as error:
            self._gaps[path] = error.strerror or str(error)
            return None
        if os.fstat(child).st_dev != device:
            self._gaps[path] = "on another file system"
        elif depth >= DEPTH_MAX:
            self._gaps[path] = f"more than {DEPTH_MAX} directories deep"
        else:
            return child
        os.close(child)
        return None

    def _list(self, frame: _Frame) -> None:
        """Note what is in a directory, and have its files read."""
        directory, path = frame.directory, frame.path
        self._entries[path] = entry_of(os.fstat(directory), None, _attributes(directory))
        wanted: list[tuple[str, str]] = []
        before, sieve, entries = self._walk.before, self._walk.sieve, self._entries
        try:
            with os.scandir(directory) as listed:
                for each in listed:
                    below = f"{path}/{each.name}" if path else each.name
                    is_directory = each.is_dir(follow_symlinks=False)
                    if sieve(below, each.name, is_directory):
                        if is_directory:
                            self.left_out.append(below)
                        continue
                    with suppress(FileNotFoundError):  # it is gone
                        status = each.stat(follow_symlinks=False)
                        if is_directory:
                            frame.names.append(each.name)
                            entries[below] = entry_of(status, None)
                            continue
                        known = before.get(below)
                        if known is not None and _is_unchanged(known, status):
                            entries[below] = known
                        else:
                            wanted.append((each.name, below))
        except OSError as error:
            self._gaps[path] = error.strerror or str(error)
        self._seen += len(wanted)
        if len(entries) + self._seen > self._walk.entries_max:
            raise TooMuchError(False, self.largest(lambda entry: 1))
        self._walk.progress(len(entries))
        walk = self._walk
        for start in range(0, len(wanted), BATCH):
            if len(self._reading) >= AHEAD:
                self._gather()
            part = wanted[start : start + BATCH]
            self._reading.append(
                self._pool.submit(_read_all, os.dup(directory), part, walk.store, walk.allowance)
            )

    def _gather(self) -> None:
        reading = self._reading.popleft()
        while wait_for((reading,), TOLD_EVERY_S).not_done:  # one file can be large
            self._walk.progress(len(self._entries))
        found = reading.result()
        self._seen -= len(found)
        self._entries.update(found)


def _is_unchanged(known: Entry, status: os.stat_result) -> bool:
    """Do what Entry.same_times() does, without making an entry: whatever changes the others changes ctime."""
    return (
        known.ctime_ns == status.st_ctime_ns
        and known.mtime_ns == status.st_mtime_ns
        and known.inode == status.st_ino
        and known.size == status.st_size
        and not known.is_racy
    )


def _read_all(
    directory: int, wanted: Sequence[tuple[str, str]], store: Store | None, allowance: Allowance
) -> list[tuple[str, Entry]]:
    """Read files and links of a directory, whose descriptor is closed then."""
    try:
        found = []
        for name, path in wanted:
            entry = look(directory, name, store, None, allowance)
            if entry is not None:
                found.append((path, entry))
        return found
    finally:
        os.close(directory)


def look(
    directory: int,
    name: str,
    store: Store | None,
    known: Entry | None = None,
    allowance: Allowance | None = None,
) -> Entry | None:
    """Return what is at a name in an open directory, read; None if nothing is.

    store: Keeps the content; None: only its digest is wanted.
    known: An earlier look; a file that shows the same times is not read again.
    allowance: How much may still be read; None: any number of bytes.
    Raises QuotaError, and OSError if the content cannot be written.
    """
    for _ in range(TRIES):
        try:
            return _look(directory, name, store, known, allowance)
        except FileNotFoundError:
            return None
        except OSError as error:
            # Something of another kind has just taken its place.
            if error.errno not in (errno.EINVAL, errno.ENOTDIR, errno.ELOOP):
                raise
    return None


def _look(
    directory: int, name: str, store: Store | None, known: Entry | None, allowance: Allowance | None
) -> Entry | None:
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    if stat.S_ISLNK(status.st_mode):
        return entry_of(status, os.readlink(name, dir_fd=directory))
    if stat.S_ISREG(status.st_mode):
        seen = entry_of(status, None)
        if known is not None and known.same_times(seen):
            return known
        return _file(directory, name, store, seen, allowance)
    if stat.S_ISDIR(status.st_mode):
        try:
            child = os.open(name, _DIRECTORY_FLAGS, dir_fd=directory)
        except PermissionError:
            return entry_of(status, None)
        try:
            return entry_of(os.fstat(child), None, _attributes(child))
        finally:
            os.close(child)
    return entry_of(status, None)


def _file(
    directory: int, name: str, store: Store | None, seen: Entry, allowance: Allowance | None
) -> Entry | None:
    """Read a file; without its content if it cannot be read, keeps changing, or exceeds the allowance."""
    if allowance is not None and not allowance.take(seen.size):
        return seen
    for _ in range(TRIES):
        try:
            file = os.open(name, _FILE_FLAGS, dir_fd=directory)
        except FileNotFoundError:
            return None
        except OSError:
            return seen  # no permission to read it, or a link has just taken its place
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                return entry_of(status, None)
            now_ns = time.time_ns()
            content = _content(file, status, store)
            if content is not None:
                is_racy = status.st_ctime_ns > now_ns - RACY_NS
                is_sparse = status.st_blocks * 512 < status.st_size
                entry = entry_of(status, content, _attributes(file))
                return entry._replace(is_sparse=is_sparse, is_racy=is_racy)
            seen = entry_of(os.fstat(file), None)
        except QuotaError:
            raise
        except OSError as error:
            if store is not None and not _is_of_reading(file):
                raise error
            return entry_of(status, None)
        finally:
            os.close(file)
    return seen


def _is_of_reading(file: int) -> bool:
    """Return True if a file cannot be read: what failed was not the store."""
    try:
        os.pread(file, 1, 0)
        return False
    except OSError:
        return True


def _content(file: int, status: os.stat_result, store: Store | None) -> str | None:
    """Return the digest of a file; None if it changed while it was read."""

    def is_unchanged() -> bool:
        now = os.fstat(file)
        return (now.st_size, now.st_mtime_ns, now.st_ctime_ns) == (
            status.st_size,
            status.st_mtime_ns,
            status.st_ctime_ns,
        )

    if status.st_size > LARGE_BYTES:
        return _digest(file, is_unchanged) if store is None else store.add_file(file, is_unchanged)
    content = os.read(file, LARGE_BYTES + 1)
    while 0 < len(content) < status.st_size and (more := os.read(file, LARGE_BYTES + 1)):
        content += more
    if len(content) != status.st_size or not is_unchanged():
        return None
    # Imported here: hashing by OpenSSL, whose library the first import loads.
    from hashlib import sha256

    return sha256(content).hexdigest() if store is None else store.add(content)


def _digest(file: int, is_unchanged: Callable[[], bool]) -> str | None:
    from hashlib import file_digest

    with open(os.dup(file), "rb") as copy:
        digest = file_digest(copy, "sha256").hexdigest()
    return digest if is_unchanged() else None


def entry_of(status: os.stat_result, content: str | None, attributes: Mapping[str, str] = {}) -> Entry:
    mode = status.st_mode
    if stat.S_ISREG(mode):
        kind = FILE
    elif stat.S_ISDIR(mode):
        kind = DIRECTORY
    else:
        kind = LINK if stat.S_ISLNK(mode) else OTHER
    return Entry(
        kind,
        stat.S_IMODE(mode),
        status.st_uid,
        status.st_gid,
        0 if kind == DIRECTORY else status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
        status.st_ino,
        0 if kind == DIRECTORY else status.st_nlink,
        content,
        attributes,
    )


def _attributes(file: int) -> dict[str, str]:
    """Return the extended attributes of an open file; none where there cannot be any."""
    found: dict[str, str] = {}
    with suppress(OSError):
        for name in os.listxattr(file):
            # Set by a security module, or by root: nobody else can put them back.
            if not name.startswith("security."):
                found[name] = b64encode(os.getxattr(file, name)).decode("ascii")
    return found
