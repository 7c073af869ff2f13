"""Decide what a restore does, and what it must leave alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from posixpath import join

from nono.named_tuple import NamedTuple
from nono.undo.model.changes import Change, ChangeType, change_type, changes
from nono.undo.model.entry import FILE, LINK, OTHER, Entry
from nono.undo.model.snapshot import Snapshot, is_relative

# What is at a path now: an entry, nothing, or why that is unknown.
Present = Mapping[tuple[str, str], "Entry | str | None"]
BEHIND_LINK = "a directory above it is a link now"


class Step(NamedTuple):
    """One path to be restored to its earlier state."""

    root: str
    path: str
    was: Entry | None  # None: it did not exist, so what is there is moved away
    now: Entry | None

    @property
    def full_path(self) -> str:
        return join(self.root, self.path) if self.path else self.root

    @property
    def type(self) -> ChangeType | None:
        return change_type(self.now, self.was)


class Refused(NamedTuple):
    """One path that is left unchanged."""

    full_path: str
    reason: str


class Plan(NamedTuple):
    """The actions of a restore."""

    steps: tuple[Step, ...]
    conflicts: tuple[Refused, ...]  # changed by another program since
    impossible: tuple[Refused, ...]  # not kept
    forced: tuple[Step, ...]  # the steps that --force takes for the conflicts
    is_end_known: bool = True  # False: the conflicts may be the work of the run itself

    def left_alone(self, *, force: bool) -> tuple[Refused, ...]:
        """Return the conflicts that are left alone; those behind a link always are."""
        forced = {step.full_path for step in self.forced} if force else set[str]()
        return tuple(each for each in self.conflicts if each.full_path not in forced)


def plan(
    target: Snapshot,
    last: Snapshot,
    present: Present,
    has: Callable[[str], bool],
    *,
    ended: bool = True,
    untouched: Collection[Change] = (),
) -> Plan:
    """Plan the way back to `target`.

    last: The state that the run, or the last restore, has left.
    has: Tells whether the content with a digest was kept.
    untouched: Paths that are equal in both snapshots but may have changed since, by another program.
    ended: False if nono did not see the end of the run: then it is unknown who made the last changes.

    Raises ValueError if a snapshot names a path outside its tree.
    """
    steps, conflicts, impossible, forced = list[Step](), list[Refused](), list[Refused](), list[Step]()
    for change in (*changes(target, last), *untouched):
        if not is_relative(change.path):
            raise ValueError(f"a snapshot names what is in no tree: {change.path!r}")
        now = present[change.root, change.path]
        if now == BEHIND_LINK and change.after is None:
            now = None  # the run created the link, or the step will fail at it
        if isinstance(now, str):
            conflicts.append(Refused(change.full_path, now))
            continue
        if change_type(now, change.before) is None:
            continue  # unchanged
        reason = _impossible(change, now, has)
        if reason is not None:
            impossible.append(Refused(change.full_path, reason))
            continue
        step = Step(change.root, change.path, change.before, now)
        # A path that is back in its old state, apart from its time, is no conflict.
        if _is_same(now, change.after) or _is_same(now, change.before) or _is_half_restored(now, change):
            steps.append(step)
            continue
        forced.append(step)
        conflicts.append(Refused(change.full_path, _conflict(now, change)))
    if not ended:
        conflicts += [Refused(each.full_path, "the end of the run was not seen") for each in steps]
        forced, steps = [*steps, *forced], []
    return Plan(tuple(steps), tuple(conflicts), tuple(impossible), tuple(forced), ended)


def _is_same(one: Entry | None, other: Entry | None) -> bool:
    return change_type(one, other) in (None, ChangeType.TOUCHED)


def _is_half_restored(now: Entry | None, change: Change) -> bool:
    """Return True if a path that the run removed is back without its metadata: a restore was killed."""
    if change.after is not None or change.before is None or now is None:
        return False
    is_known = now.kind != FILE or now.content is not None
    return is_known and (now.kind, now.content) == (change.before.kind, change.before.content)


def _conflict(now: Entry | None, change: Change) -> str:
    if now is None:
        return "deleted since the run ended"
    return "created since the run ended" if change.after is None else "changed since the run ended"


def _impossible(change: Change, now: Entry | None, has: Callable[[str], bool]) -> str | None:
    was = change.before
    if was is None or (
        now is not None and (was.kind, was.content) == (now.kind, now.content) != (FILE, None)
    ):
        return None  # only metadata is needed
    if was.kind == OTHER:
        return "a socket, FIFO or device is not kept"
    if was.kind in (FILE, LINK) and was.content is None:
        return "it could not be read before the run"
    if was.kind == FILE and was.content is not None and not has(was.content):
        return "its content was not kept"
    return None
