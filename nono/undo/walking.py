"""Walk one directory by open descriptors without following links; several threads read its files."""

from __future__ import annotations

import errno
import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import suppress
from typing import Literal

from nono.disk.descriptor import DIRECTORY_FLAGS
from nono.errors import reason_of
from nono.kernel import open_path
from nono.kernel.uapi.open import RESOLVE_NO_XDEV
from nono.named_tuple import NamedTuple
from nono.undo.contents.store import QuotaError, Store
from nono.undo.looking import Allowance, attributes_of, entry_of, look
from nono.undo.model.entry import DIRECTORY, Entry
from nono.undo.model.left_out import Sieve
from nono.undo.model.snapshot import Tree, encoded
from nono.undo.opening import SEEN, let_owner_in

DEPTH_MAX = 200  # each level holds an open descriptor
BATCH = 64  # files that a thread reads per task
AHEAD = 32  # batches that wait for a thread; each holds its directory open
PROGRESS_EVERY_S = 0.25  # while a large file is read
ELSEWHERE = "on another file system"  # the reason of a gap


TooMuch = Literal["bytes", "files", "attributes"]


class TooMuchError(OSError):
    """The walk found more than may be kept."""

    def __init__(self, what: TooMuch, largest: Sequence[str]) -> None:
        super().__init__(errno.EDQUOT if what == "bytes" else errno.EFBIG, "it holds more than undo may keep")
        self.what = what
        self.largest = largest  # the top-level names with the most below them


class Walk(NamedTuple):
    """The settings of a walk."""

    sieve: Sieve
    store: Store | None  # keeps the content; None: only digests are wanted
    before: Mapping[str, Entry]  # from an earlier look; a file with the same times is not read again
    entries_max: int
    allowance: Allowance
    progress: Callable[[int], None]  # called at intervals with the count of files seen; may raise to end it
    opened: list[str] | None = None  # directories closed to their owner are opened, and listed here
    is_later: bool = False  # what was mounted since `before` is not looked into


class _Frame(NamedTuple):
    directory: int
    path: str
    names: list[str]  # directories still to be walked


class Walker:
    """One walk; what it finds becomes a Tree. pool: The threads that read files."""

    def __init__(self, walk: Walk, pool: ThreadPoolExecutor) -> None:
        self._walk, self._pool = walk, pool
        self._entries: dict[str, Entry] = {}
        self._gaps: dict[str, str] = {}
        self._seen = 0  # files that are being read
        self.left_out: list[str] = []  # directories
        self._partly: list[str] = []  # directories in which some files are left out
        self._taken_over: set[str] = set()  # paths whose earlier entry is reused unread
        self._reading: deque[Future[list[tuple[str, Entry]]]] = deque()

    def tree(self, root: str, directory: int, start: str = "") -> Tree:
        """Walk everything below an open directory, whose path in the tree is `start`."""
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
                path = _join(frame.path, name)
                child = self._opened(frame.directory, name, path, device, len(frames))
                if child is not None:
                    frames.append(_Frame(child, path, []))
                    self._list(frames[-1])
            while self._reading:
                self._gather()
        finally:
            # Each reader closes the directory it was given, so none may be cancelled.
            for future in self._reading:
                future.exception()
            for frame in frames:
                os.close(frame.directory)
        return Tree(
            root,
            self._entries,
            self._gaps,
            tuple(sorted(self.left_out)),
            tuple(self._partly),
            self._taken_over,
        )

    def named(self, root: str, directory: int, names: Sequence[str]) -> Tree:
        """Look only at the given names in an open directory."""
        wanted: list[tuple[str, str]] = []
        for name in names:
            with suppress(FileNotFoundError):
                status = os.stat(name, dir_fd=directory, follow_symlinks=False)
                known = self._walk.before.get(name)
                if known is not None and _is_unchanged(known, status):
                    self._entries[name] = known
                else:
                    wanted.append((name, name))
        self._seen += len(wanted)
        try:
            self._read(directory, wanted)
            while self._reading:
                self._gather()
        finally:
            for future in self._reading:
                future.exception()
        return Tree(root, self._entries, only=tuple(names))

    def largest(self, weight: Callable[[Entry], int], beyond: QuotaError | None = None) -> list[str]:
        """Return the top-level names with the most below them.

        beyond: Names the file that did not fit, which is no entry.
        """
        counts = Counter[str]()
        for path, entry in self._entries.items():
            counts[path.partition("/")[0]] += weight(entry)
        if beyond is not None:
            counts[beyond.path.partition("/")[0]] += beyond.size
        return [name for name, count in counts.most_common(3) if name and count]

    def _opened(self, parent: int, name: str, path: str, device: int, depth: int) -> int | None:
        """Open a directory to walk it. Returns None if it cannot be walked, with a gap noted if it exists."""
        opened, known = self._walk.opened, self._walk.before.get(path)
        try:
            # The command did not close a directory that was closed before the run.
            was_closed = known is not None and known.kind == DIRECTORY and known.mode & SEEN != SEEN
            is_closed = self._entries[path].mode & SEEN != SEEN and not was_closed
            if opened is not None and is_closed and let_owner_in(name, parent):
                opened.append(path)
            if self._walk.is_later and (known is None or known.inode != self._entries[path].inode):
                # A directory of the same file system may be mounted over it.
                child = open_path.open_at(parent, encoded(name), DIRECTORY_FLAGS, RESOLVE_NO_XDEV)
            else:
                child = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
        except FileNotFoundError:
            del self._entries[path]
            return None
        except OSError as error:
            if error.errno == errno.EXDEV:
                self._pass_over_mount(path, known)
            else:
                self._gaps[path] = reason_of(error)
            return None
        if os.fstat(child).st_dev != device:
            self._pass_over_mount(path, known)
        elif depth >= DEPTH_MAX:
            self._gaps[path] = f"more than {DEPTH_MAX} directories deep"
        else:
            return child
        os.close(child)
        return None

    def _pass_over_mount(self, path: str, known: Entry | None) -> None:
        self._gaps[path] = ELSEWHERE
        if known is not None and self._walk.is_later:
            self._entries[path] = known  # the directory below it, which cannot be seen

    def _list(self, frame: _Frame) -> None:
        """List a directory, and hand its files to the readers."""
        directory, path = frame.directory, frame.path
        self._entries[path] = entry_of(
            os.fstat(directory), None, attributes_of(directory, self._walk.allowance)
        )
        wanted: list[tuple[str, str]] = []
        try:
            with os.scandir(directory) as listed:
                for each in listed:
                    if not self._is_left_out(each, path):
                        with suppress(FileNotFoundError):  # it is gone
                            self._note(each, frame, wanted)
                    self._count(len(wanted))  # before the rest of a directory with any number of names
        except TooMuchError:
            raise
        except OSError as error:
            self._gaps[path] = reason_of(error)
        self._seen += len(wanted)
        self._walk.progress(len(self._entries))
        self._read(directory, wanted)

    def _count(self, waiting: int) -> None:
        """Raise TooMuchError if the walk has found too much. waiting: Files not handed to the readers."""
        if len(self._entries) + self._seen + waiting > self._walk.entries_max:
            raise TooMuchError("files", self.largest(lambda entry: 1))

    def _is_left_out(self, each: os.DirEntry[str], path: str) -> bool:
        """Check an entry of the directory at `path`, and remember that something was left out."""
        below, is_directory = _join(path, each.name), each.is_dir(follow_symlinks=False)
        if not self._walk.sieve(below, each.name, is_directory):
            return False
        if is_directory:
            self.left_out.append(below)
        elif self._partly[-1:] != [path]:
            self._partly.append(path)
        return True

    def _note(self, each: os.DirEntry[str], frame: _Frame, wanted: list[tuple[str, str]]) -> None:
        """Have a directory walked later, take a file over from an earlier look, or add it to `wanted`."""
        below, status = _join(frame.path, each.name), each.stat(follow_symlinks=False)
        # Something of another kind may have taken its place since it was listed.
        if each.is_dir(follow_symlinks=False) and stat.S_ISDIR(status.st_mode):
            frame.names.append(each.name)
            self._entries[below] = entry_of(status, None)
            return
        known = self._walk.before.get(below)
        if known is not None and _is_unchanged(known, status):
            self._entries[below] = known
            self._taken_over.add(below)
        else:
            wanted.append((each.name, below))

    def _read(self, directory: int, wanted: Sequence[tuple[str, str]]) -> None:
        """Hand files to the readers, each given by its name in an open directory and its path."""
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
        while wait_for((reading,), PROGRESS_EVERY_S).not_done:  # one file can be large
            self._walk.progress(len(self._entries))
        found = reading.result()
        self._seen -= len(found)
        self._entries.update(found)


def _join(directory: str, name: str) -> str:
    """Return a path in the tree, whose root is ""."""
    return f"{directory}/{name}" if directory else name


def _is_unchanged(known: Entry, status: os.stat_result) -> bool:
    """Compare as Entry.same_times() does, without making an entry: any other change also changes ctime."""
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
    """Read files and links of a directory, and close its descriptor."""
    try:
        found = []
        for name, path in wanted:
            try:
                entry = look(directory, name, store, None, allowance)
            except QuotaError as error:
                error.path = path
                with suppress(OSError):  # it is gone
                    error.size = os.stat(name, dir_fd=directory, follow_symlinks=False).st_size
                raise
            if entry is not None:
                found.append((path, entry))
        return found
    finally:
        os.close(directory)
