"""Hash the files of the writable directories, for a proof of whether a run changed any of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from posixpath import basename, dirname, join

from nono.named_tuple import NamedTuple
from nono.undo.looking import ALL_ATTRIBUTES_BYTES_MAX, Allowance
from nono.undo.model.entry import FILE, Entry
from nono.undo.model.left_out import Sieve
from nono.undo.model.snapshot import Tree, root_over
from nono.undo.taking import take
from nono.undo.walking import ELSEWHERE, TooMuch, TooMuchError, Walk

# What version control and package managers write by themselves, and a build writes anew.
PASSED_OVER = frozenset(
    (".git", ".hg", ".svn", "target", "node_modules", "__pycache__", ".venv", ".DS_Store")
)
ENTRIES_MAX = 300_000
BYTES_MAX = 2 * 1024 * 1024 * 1024


class TreeRoot(NamedTuple):
    """The Merkle root of some directories."""

    root: str  # 64 lower-case hex digits
    unreadable: int  # files and directories that are not in it


_MOST: Mapping[TooMuch, str] = {
    "bytes": f"{BYTES_MAX >> 30} GiB",
    "files": f"{ENTRIES_MAX:,} files and directories",
    "attributes": f"{ALL_ATTRIBUTES_BYTES_MAX >> 20} MiB of extended attributes",
}


class TooLargeError(Exception):
    """The directories hold more than is hashed."""


def tree_root(directories: Sequence[str], seen: Iterable[Tree] = ()) -> TreeRoot:
    """Hash the regular files below some directories, following no link. Raises TooLargeError.

    seen: What undo has just seen of some of them: these are not walked again, and what it has read is not
        read again. What it left out is walked here, as the root is to cover it.
    """
    hashing, known = _Hashing(), {tree.path: tree for tree in seen if tree.only is None}
    try:
        for directory in directories:
            hashing.add(directory, known.get(directory))
    except TooMuchError as error:
        raise TooLargeError(f"more than {_MOST[error.what]}") from error
    return TreeRoot(root_over(hashing.files.items()), hashing.unreadable)


class _Hashing:
    """Collects the digests of files by their paths, up to a number of entries and of bytes read."""

    def __init__(self) -> None:
        self.files: dict[bytes, str] = {}
        self.unreadable = 0
        self._entries = 0
        self._allowance = Allowance(BYTES_MAX, is_strict=True)

    def add(self, directory: str, seen: Tree | None) -> None:
        if seen is None:
            waiting = [directory]
        else:
            self._note(seen)
            waiting = [*self._beyond(seen)]
            self._read_again(seen)
            self._files_left_out(seen)
        while waiting:
            tree = self._taken(waiting.pop(), _passes_over)
            self._add_read(tree)
            waiting += [] if tree is None else self._beyond(tree)

    def _taken(self, path: str, sieve: Sieve, only: Sequence[str] | None = None) -> Tree | None:
        walk = Walk(sieve, None, {}, ENTRIES_MAX - self._entries, self._allowance, lambda count: None)
        try:
            tree = take(path, walk, only)
        except TooMuchError:
            raise
        except FileNotFoundError:
            return None  # it is gone again
        except OSError:
            self.unreadable += 1
            return None
        self._entries += len(tree.entries)
        return tree

    def _note(self, tree: Tree) -> None:
        for path, entry in tree.entries.items():
            is_read = entry.kind == FILE and not _must_be_read(path, entry, tree)
            if is_read and entry.content is not None and not _is_passed_over(path):
                self.files[os.fsencode(join(tree.path, path))] = entry.content

    def _beyond(self, tree: Tree) -> Iterator[str]:
        """Yield the directories that belong to the proof, and that the walk of a tree did not enter."""
        for path, reason in tree.gaps.items():
            if not _is_passed_over(path):
                if reason == ELSEWHERE:
                    yield join(tree.path, path)
                else:
                    self.unreadable += 1
        yield from (join(tree.path, path) for path in tree.left_out if not _is_passed_over(path))

    def _read_again(self, tree: Tree) -> None:
        """Read what undo has not: it was too large for it, or showed the times of an earlier look.

        A restore may trust these times. A proof is about contents.
        """
        names: dict[str, list[str]] = {}
        for path, entry in tree.entries.items():
            if entry.kind == FILE and _must_be_read(path, entry, tree) and not _is_passed_over(path):
                names.setdefault(dirname(path), []).append(basename(path))
        for directory, some in names.items():
            self._add_read(self._taken(join(tree.path, directory), _passes_over, some))

    def _files_left_out(self, tree: Tree) -> None:
        """Read the files that undo left out by their names."""
        for directory in tree.left_out_files_in:
            if _is_passed_over(directory):
                continue

            def leaves_out(name: str, _: str, is_directory: bool, within: str = directory) -> bool:
                return is_directory or name in PASSED_OVER or join(within, name) in tree.entries

            self._add_read(self._taken(join(tree.path, directory), leaves_out))

    def _add_read(self, tree: Tree | None) -> None:
        if tree is not None:
            self._note(tree)
            self.unreadable += sum(map(_is_unread, tree.entries.values()))


def _must_be_read(path: str, entry: Entry, tree: Tree) -> bool:
    return entry.content is None or path in tree.taken_over


def _is_unread(entry: Entry) -> bool:
    return entry.kind == FILE and entry.content is None


def _passes_over(path: str, name: str, is_directory: bool) -> bool:
    return name in PASSED_OVER


def _is_passed_over(path: str) -> bool:
    """Return True if a component of a relative path is passed over."""
    return not PASSED_OVER.isdisjoint(path.split("/"))
