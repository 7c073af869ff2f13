"""Compute the differences between two snapshots."""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import dirname, join

from nono.named_tuple import NamedTuple
from nono.str_enum import StrEnum
from nono.undo.model.entry import FILE, Entry
from nono.undo.model.snapshot import Among, Snapshot, Tree, differing


class ChangeType(StrEnum):
    """What happened to a path."""

    CREATED = "created"
    MODIFIED = "modified"
    DELETED = "deleted"
    PERMISSIONS = "permissions"  # its mode, owner or extended attributes
    TOUCHED = "touched"  # only its time

    @property
    def symbol(self) -> str:
        return {"created": "+", "modified": "~", "deleted": "-", "permissions": "p", "touched": "t"}[
            self.value
        ]


class Change(NamedTuple):
    """One path that differs."""

    root: str
    path: str  # relative to root
    type: ChangeType
    before: Entry | None
    after: Entry | None

    @property
    def full_path(self) -> str:
        return join(self.root, self.path) if self.path else self.root

    @property
    def size_delta(self) -> int | None:
        if self.type not in (ChangeType.CREATED, ChangeType.MODIFIED, ChangeType.DELETED):
            return None
        sizes = [
            each.size if each is not None and each.kind == FILE else 0 for each in (self.before, self.after)
        ]
        return sizes[1] - sizes[0]


def changes(before: Snapshot, after: Snapshot, among: Among | None = None) -> list[Change]:
    """Return every path that differs, ordered by its components. among: As for differing()."""
    found = [change for tree in before.trees for change in _changes(tree, after.tree(tree.path), among)]
    return sorted(found, key=lambda change: change.full_path.split("/"))


def shown(found: list[Change]) -> list[Change]:
    """Return changes for a person, first those of the work.

    Those of times alone are dropped. The state that programs keep in hidden directories comes after that,
    and git's own files come last: a run of an agent changes a hundred of them, and lists are cut short.
    """
    told = [change for change in found if change.type is not ChangeType.TOUCHED]
    return sorted(told, key=_rank)


def _rank(change: Change) -> int:
    if ".git" in change.full_path.split("/"):
        return 2
    # Agents keep their worktrees in such a directory: /p/.claude/worktrees/NAME.
    root = change.root.rpartition("/worktrees/")[2]
    return int(any(part.startswith(".") for part in root.split("/")))


def _changes(before: Tree, after: Tree, among: Among | None) -> Iterator[Change]:
    unseen = {*before.gaps, *after.gaps}
    for path in differing(before, after, among):
        old, new = before.entries.get(path), after.entries.get(path)
        type = change_type(old, new)
        # A path that one of the two looks did not reach was neither created nor deleted.
        if type is not None and not (unseen and (old is None or new is None) and is_below(path, unseen)):
            yield Change(before.path, path, type, old, new)


def change_type(old: Entry | None, new: Entry | None) -> ChangeType | None:
    """Return what happened to a path between two looks; None: nothing."""
    if old is None or new is None:
        if old is new:
            return None
        return ChangeType.CREATED if old is None else ChangeType.DELETED
    if old.kind != new.kind or old.content != new.content:
        return ChangeType.MODIFIED
    if old.content is None and old.kind == FILE and (old.size, old.mtime_ns) != (new.size, new.mtime_ns):
        return ChangeType.MODIFIED  # both were unreadable
    if (old.mode, old.uid, old.gid) != (new.mode, new.uid, new.gid) or old.attributes != new.attributes:
        return ChangeType.PERMISSIONS
    return ChangeType.TOUCHED if old.mtime_ns != new.mtime_ns else None


def is_below(path: str, directories: set[str]) -> bool:
    """Return True if the path is in one of the directories; "" covers everything."""
    while path:
        path = dirname(path)
        if path in directories:
            return True
    return False
