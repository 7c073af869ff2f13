"""Collect the paths written in the directories of a run, so that a mark need not walk them (inotify(7))."""

from __future__ import annotations

import errno
import os
import select
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from posixpath import join
from typing import Self

from nono.kernel import inotify, open_path
from nono.kernel.uapi import inotify as uapi
from nono.kernel.uapi.open import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS
from nono.named_tuple import NamedTuple
from nono.undo.model.left_out import Sieve

MAX_DIRECTORIES = 50_000  # watched; each takes about a kilobyte of kernel memory
SHARE_OF_WATCHES = 4  # a quarter of the user's limit, because editors need some
_WATCHES_FILE = "/proc/sys/fs/inotify/max_user_watches"
_PAUSE_MS = 20  # between reads: the loop needs the interpreter too, and a walk finds what is lost
_READS_MAX = 128  # reads of the queue for one answer, twice its capacity: a command may keep writing
MAX_CHANGED = 100_000  # paths kept until they are requested; with more, a walk is as fast
_LACKS = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)  # of this process: they say nothing of the directory
_NEW = uapi.IN_CREATE | uapi.IN_MOVED_TO
_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class _Watched(NamedTuple):
    root: str
    path: str  # relative to root; "" for the root itself


class _Root(NamedTuple):
    directory: int  # open
    device: int
    sieve: Sieve


class Written:
    """The paths written since they were last requested; a context manager that stops the watch.

    Thread-safe. If events were lost, or there is too much to watch, it says so: then only a walk can tell.
    """

    def __init__(self, roots: Mapping[str, Sieve]) -> None:
        """Watch directories, given by canonical paths, from now on. Raises OSError if one cannot be read."""
        self._lock = threading.Lock()
        self._changed = set[str]()
        self._is_lost = False  # events since the last request were lost
        self._is_blind = False  # no more events will come
        self._watched: dict[int, _Watched] = {}
        self._closed = set[_Watched]()  # unreadable directories, until their mode changes
        self._roots: dict[str, _Root] = {}
        self._directories_max = min(MAX_DIRECTORIES, _watches_of_a_user() // SHARE_OF_WATCHES)
        with ExitStack() as undo:
            try:
                self._queue = inotify.new_queue()
            except OSError:  # this user has no more inotify instances
                self._queue, self._is_blind = -1, True
            undo.callback(self._close_queue)
            self._stop = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            undo.callback(os.close, self._stop)
            for root, sieve in roots.items():
                directory = open_path.open_at(0, os.fsencode(root), _FLAGS, RESOLVE_NO_SYMLINKS)
                undo.callback(os.close, directory)
                self._roots[root] = _Root(directory, os.fstat(directory).st_dev, sieve)
                self._watch_below(_Watched(root, ""), is_new=False)
            self._resources = undo.pop_all()
        self._thread = threading.Thread(target=self._read, name="written", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        self._resources.close()

    def changed(self) -> set[str] | None:
        """Return the absolute paths written since the last call; None: unknown, any may have been.

        If a directory is new or gone, everything below it may have changed; if a file has several names, the
        content under each of them.
        """
        with self._lock:
            self._drain(_READS_MAX)
            changed, self._changed = self._changed, set()
            is_lost, self._is_lost = self._is_lost, False
            return None if is_lost or self._is_blind else changed

    def _read(self) -> None:
        """Empty the queue during the run: the kernel keeps few events, and new directories need watches."""
        stopping, waiting = select.poll(), select.poll()
        for each in (stopping, waiting):
            each.register(self._stop, select.POLLIN)
        if self._queue >= 0:
            waiting.register(self._queue, select.POLLIN)
        while not any(ready == self._stop for ready, _ in waiting.poll()):
            with self._lock:
                self._drain(1)
                if self._is_blind:
                    return
            if stopping.poll(_PAUSE_MS):
                return

    def _drain(self, reads: int) -> None:
        for _ in range(reads):
            events = [] if self._is_blind else inotify.happened(self._queue)
            for event in events:
                self._take(event)
            if not events:
                return

    def _take(self, event: inotify.Happened) -> None:
        if self._is_blind:
            return
        if event.mask & uapi.IN_Q_OVERFLOW:
            self._is_lost = True
            self._changed.clear()
            self._watch_again()
            return
        if event.mask & uapi.IN_IGNORED:  # the directory is gone
            self._watched.pop(event.watch, None)
            return
        directory = self._watched.get(event.watch)
        if directory is None:
            return
        is_directory = bool(event.mask & uapi.IN_ISDIR)
        path = join(directory.path, event.name) if event.name else directory.path
        if event.name and self._roots[directory.root].sieve(path, event.name, is_directory):
            return
        self._note(directory.root, path)
        place = _Watched(directory.root, path)
        if is_directory and (event.mask & _NEW or place in self._closed):
            self._closed.discard(place)
            self._watch_below(place, is_new=True)

    def _note(self, root: str, path: str) -> None:
        if not self._is_lost:
            self._changed.add(join(root, path) if path else root)
            if len(self._changed) > MAX_CHANGED:
                self._is_lost = True
                self._changed.clear()

    def _watch_again(self) -> None:
        """Watch the directories created while events were lost."""
        for root in self._roots:
            self._watch_below(_Watched(root, ""), is_new=False)

    def _watch_below(self, directory: _Watched, *, is_new: bool) -> None:
        """Watch a directory and its subdirectories, and note everything in it if it is new."""
        root = self._roots[directory.root]
        waiting = [directory.path]
        while waiting and not self._is_blind:
            place = _Watched(directory.root, waiting.pop())
            try:
                waiting += self._entered(root, place, is_new=is_new)
            except (FileNotFoundError, NotADirectoryError):
                pass  # gone again, which is an event too
            except OSError as error:
                self._closed.add(place)  # unreadable, for a walk too
                if error.errno in _LACKS or len(self._closed) > MAX_DIRECTORIES:
                    self._go_blind()

    def _entered(self, root: _Root, directory: _Watched, *, is_new: bool) -> list[str]:
        """Watch one directory. Returns its subdirectories."""
        # Beneath the root and through no link, whatever the command places in the path.
        name = os.fsencode(directory.path or ".")
        opened = open_path.open_at(root.directory, name, _FLAGS, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)
        try:
            if os.fstat(opened).st_dev != root.device:  # undo does not cover other file systems
                return []
            if len(self._watched) >= self._directories_max:
                self._go_blind()
                return []
            try:
                number = inotify.watch_writes(self._queue, opened)
            except PermissionError:
                raise
            except OSError:  # fs.inotify.max_user_watches
                self._go_blind()
                return []
            self._watched[number] = directory
            # After adding the watch: later creations have an event.
            return self._subdirectories(root, directory, opened, is_new=is_new)
        finally:
            os.close(opened)

    def _subdirectories(self, root: _Root, directory: _Watched, opened: int, *, is_new: bool) -> list[str]:
        """Return the subdirectories of one directory, and note everything in it if it is new."""
        found = list[str]()
        with os.scandir(opened) as entries:
            for entry in entries:
                is_directory = entry.is_dir(follow_symlinks=False)
                if not is_directory and not is_new:
                    continue
                path = join(directory.path, entry.name)
                if root.sieve(path, entry.name, is_directory):
                    continue
                if is_directory:
                    found.append(path)
                if is_new:
                    self._note(directory.root, path)
        return found

    def _go_blind(self) -> None:
        """Give up, and remove the watches."""
        self._is_blind = True
        self._close_queue()
        self._watched.clear()
        self._closed.clear()
        self._changed.clear()

    def _close_queue(self) -> None:
        queue, self._queue = self._queue, -1
        if queue >= 0:
            os.close(queue)


def _watches_of_a_user() -> int:
    try:
        with open(_WATCHES_FILE, "rb") as file:
            return int(file.read())
    except (OSError, ValueError):  # unknown: the kernel reports when there are none left
        return MAX_DIRECTORIES * SHARE_OF_WATCHES
