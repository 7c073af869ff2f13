"""Restore directories to a snapshot: keep the present, refuse what changed since, act, verify."""

from __future__ import annotations

import errno
from collections.abc import Callable, Collection, Iterable, Sequence
from posixpath import basename, join

from nono.clock import unix_ms
from nono.disk import durable
from nono.errors import NonoError, reason_of
from nono.named_tuple import NamedTuple
from nono.policy.path_expansion import is_within
from nono.printable import printable
from nono.undo.acting import Acting
from nono.undo.beneath import opened_parent, opened_root
from nono.undo.contents.store import Store
from nono.undo.kept import Kept, write_info
from nono.undo.looking import Allowance, look
from nono.undo.model.changes import Change, ChangeType, change_type, changes
from nono.undo.model.entry import DIRECTORY, FILE, Entry
from nono.undo.model.left_out import but_for, is_left_out
from nono.undo.model.restore_plan import BEHIND_LINK, Plan, Present, Refused, Step, plan
from nono.undo.model.snapshot import END, RESTORED, SAFETY, Snapshot, sealed
from nono.undo.recording import write_snapshot


class Restored(NamedTuple):
    """The result of a restore."""

    done: tuple[Step, ...]
    left: tuple[Refused, ...]  # paths that could not be restored, each with the reason
    safety: int | None  # the snapshot whose restore undoes this one; None: nothing had to be done


class Prepared(NamedTuple):
    """A restore that is ready to begin."""

    target: Snapshot
    last: Snapshot  # the state after the run or the last restore
    plan: Plan
    number: int  # of the next snapshot


def prepare(kept: Kept, number: int, only: Collection[str] = (), *, force: bool = False) -> Prepared:
    """Compare a snapshot with the present. Raises NonoError, OSError or ValueError.

    only: Absolute paths; nothing outside them is restored. A path that was never kept is a NonoError. Paths
      within them that the run left unchanged are compared too.
    force: Compare everything that the run left unchanged, to restore what is missing.
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
    # If the end of the run was not seen, what differs from its last snapshot may be its work or another
    # program's.
    ended = last.kind in (END, SAFETY, RESTORED)
    if not ended:
        last = _present_whole(kept, last)
    for path in only:
        _refuse_unkept(path, target, (*snapshots, last), kept)
    wanted = _only(target, last, only) if only else last
    present = _present(changes(target, wanted), is_bounded=not force)
    untouched = _untouched(target, last, only) if only or force else []
    since = _present(untouched, is_bounded=not force)
    # Unless a person named its path, later changes to a file that the run left unchanged are the person's
    # own.
    untouched = [
        each
        for each in untouched
        if (since[each.root, each.path] is None or only)
        and not _is_as_it_was(since[each.root, each.path], each.before)
    ]
    found = plan(target, wanted, {**present, **since}, kept.store.has, ended=ended, untouched=untouched)
    return Prepared(target, last, found, len(snapshots))


def _refuse_unkept(path: str, target: Snapshot, snapshots: Sequence[Snapshot], kept: Kept) -> None:
    """Raise NonoError if a path has nothing to restore, which is not the same as nothing to do."""
    covered = [each for tree in target.trees for each in tree.scope.covered]
    if any(is_within(each, path) for each in covered):
        return
    whole = (tree.path for tree in target.trees if tree.only is None)
    root = next((each for each in whole if is_within(path, each)), None)
    session_id = kept.info.session_id
    if root is None:
        raise NonoError(
            f"session {session_id} does not cover {printable(path)}.",
            hint=f"it covers {', '.join(map(printable, covered))}",
        )
    relative = path.removeprefix(root.rstrip("/") + "/")
    # In any of them: what the run created is in none of the last two once a restore has removed it.
    if any(relative in snapshot.tree(root).entries for snapshot in snapshots):
        return
    # A missing path may have been a directory.
    if is_left_out(relative, kept.info.left_out.sieve(root), is_directory=True):
        raise NonoError(
            f"session {session_id} left {printable(path)} out.",
            hint="--rollback-include NAME covers it in the next run, unless --rollback-exclude leaves it out",
        )
    raise NonoError(
        f"session {session_id} kept nothing at {printable(path)}.",
        hint=f"nono rollback show {session_id} lists what it changed",
    )


def _only(target: Snapshot, last: Snapshot, only: Collection[str]) -> Snapshot:
    """Return `last` with everything outside some paths as in `target`."""
    trees = []
    for tree in last.trees:
        wanted = dict(target.tree(tree.path).entries)
        for path in wanted.keys() | tree.entries.keys():
            full = join(tree.path, path)
            if any(is_within(full, each) for each in only):
                wanted.pop(path, None)
                if path in tree.entries:
                    wanted[path] = tree.entries[path]
        trees.append(tree._replace(entries=wanted))
    return last._replace(trees=tuple(trees))


def _untouched(target: Snapshot, last: Snapshot, only: Collection[str]) -> list[Change]:
    """Return the paths equal in two snapshots, as changes without effect; with `only`, within those paths."""
    found = list[Change]()
    for tree in target.trees:
        after = last.tree(tree.path).entries
        for path, entry in tree.entries.items():
            now = after.get(path)
            if now is None or change_type(entry, now) is not None:
                continue
            change = Change(tree.path, path, ChangeType.TOUCHED, entry, now)
            if not only or any(is_within(change.full_path, each) for each in only):
                found.append(change)
    return found


def _is_as_it_was(now: Entry | str | None, was: Entry | None) -> bool:
    return not isinstance(now, str) and change_type(now, was) in (None, ChangeType.TOUCHED)


def _present_whole(kept: Kept, last: Snapshot) -> Snapshot:
    """Return the last snapshot as if it were taken now."""
    # Imported here: most runs have an end.
    from nono.undo.recording import ENTRIES_MAX
    from nono.undo.taking import take
    from nono.undo.walking import TooMuchError, Walk

    trees = []
    for tree in last.trees:
        sieve = but_for(tree.scope.sieve(kept.info.left_out), tree.entries)
        allowance = Allowance(1 << 40, is_strict=False)
        entries_max = 2 * ENTRIES_MAX
        walk = Walk(sieve, None, tree.entries, entries_max, allowance, lambda count: None, is_later=True)
        try:
            trees.append(take(tree.path, walk, tree.only))
        except TooMuchError:
            # What existed can still be restored; created files stay.
            with opened_root(tree.path) as root:
                looks = ((path, _look(root, path, None, entry)) for path, entry in tree.entries.items())
                entries = {path: found for path, found in looks if isinstance(found, Entry)}
            trees.append(tree._replace(entries=entries))
    return last._replace(trees=tuple(trees))


def _present(found_changes: Iterable[Change], *, is_bounded: bool) -> Present:
    """Examine the path of each change.

    is_bounded: Do not read a file that is larger than it was in both snapshots. It is known to have changed
      since, and another program can make it take hours to read.
    """
    found: dict[tuple[str, str], Entry | str | None] = {}
    by_root: dict[str, list[Change]] = {}
    for change in found_changes:
        by_root.setdefault(change.root, []).append(change)
    for root, concerned in by_root.items():
        try:
            with opened_root(root) as directory:
                for change in concerned:
                    allowance = Allowance(_larger(change), is_strict=False) if is_bounded else None
                    found[root, change.path] = _look(directory, change.path, None, change.after, allowance)
        except OSError as error:
            reason = _unreached(root, error)
            found.update({(root, change.path): reason for change in concerned})
    return found


def _unreached(root: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return f"{root} is not there; move it back, or make it, and try again"
    if error.errno == errno.ELOOP:
        return f"{root}, or a directory above it, is a link now"
    return f"{root}: {reason_of(error)}"


def _larger(change: Change) -> int:
    return max(entry.size if entry is not None else 0 for entry in (change.before, change.after))


def _look(
    root: int, path: str, store: Store | None, known: Entry | None, allowance: Allowance | None = None
) -> Entry | str | None:
    try:
        with opened_parent(root, path) as parent:
            return look(parent, basename(path) or ".", store, known, allowance)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            return None
        if error.errno in (errno.ELOOP, errno.EXDEV):
            return BEHIND_LINK
        return reason_of(error)


def restore(
    kept: Kept,
    prepared: Prepared,
    *,
    force: bool = False,
    progress: Callable[[int], None] = lambda count: None,
) -> Restored:
    """Carry out a plan, after a snapshot of the present. The caller has locked the session.

    force: Restore what other programs changed too.
    progress: Called with the number of attempted actions; there are up to three for each path.

    Raises NonoError or ValueError before anything is changed; later failures are in the result.
    """
    steps = [*prepared.plan.steps, *(prepared.plan.forced if force else ())]
    left = [*prepared.plan.impossible, *prepared.plan.left_alone(force=force)]
    if not steps:
        return Restored((), tuple(left), None)
    try:
        safety = _keep_present(kept, prepared, steps)
    except OSError as error:
        raise NonoError(
            "nothing was restored, because what is there now cannot be kept first: "
            f"{kept.path}: {reason_of(error)}",
            hint="free space there; nono rollback cleanup drops what is kept of old runs"
            if error.errno in durable.FULL
            else None,
        ) from error
    acting = Acting(kept, safety.number, prepared.target, progress)
    done = acting.carry_out(steps)
    left += acting.failed
    after = _updated(safety._replace(number=safety.number + 1, kind=RESTORED), steps, None)
    left += [
        Refused(step.full_path, _still(step.was, now))
        for step in done
        if not _is_brought_back(step, now := after.tree(step.root).entries.get(step.path))
    ]
    write_snapshot(kept.directory, after, safety)
    kept.info = kept.info._replace(snapshot_count=after.number + 1)
    write_info(kept.directory, kept.info)
    return Restored(tuple(done), tuple(left), safety.number)


def _is_brought_back(step: Step, now: Entry | None) -> bool:
    found = change_type(now, step.was)
    # A directory's time changes again when other programs write in it.
    return found is None or (
        found is ChangeType.TOUCHED and step.was is not None and step.was.kind == DIRECTORY
    )


def _still(was: Entry | None, now: Entry | None) -> str:
    """Say that a path still differs, and in what, where what it holds is back."""
    told = "it still differs after the restore"
    if was is None or now is None or (was.kind, was.content) != (now.kind, now.content):
        return told
    pairs = (
        ("owner", was.uid, now.uid),
        ("group", was.gid, now.gid),
        ("mode", was.mode, now.mode),
        ("attributes", was.attributes, now.attributes),
    )
    differing = [name for name, old, new in pairs if old != new]
    return f"{told}: {', '.join(differing)}" if differing else told


def _keep_present(kept: Kept, prepared: Prepared, steps: list[Step]) -> Snapshot:
    """Take a snapshot of everything about to be changed. Raises OSError; nothing was changed then."""
    number = prepared.number
    store = kept.store
    store.left_bytes = 1 << 62  # no quota: nothing of the person's is discarded to save space
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
    """Return the snapshot with a new look at the path of each step, and at its directory."""
    trees = []
    for tree in snapshot.trees:
        entries = dict(tree.entries)
        concerned = [step for step in steps if step.root == tree.path]
        with opened_root(tree.path) as directory:
            for step in concerned:
                path, known = step.path, step.now
                # A file too large to read, or unreadable, is moved to the trash unread. Afterwards the path
                # holds the restored file, or still the same one, which is not read either.
                is_unread = known is not None and known.kind == FILE and known.content is None
                size = step.was.size if store is None and step.was is not None else 0
                allowance = Allowance(size, is_strict=False) if is_unread else None
                now = _look(directory, path, store, None, allowance)
                entries.pop(path, None)
                if isinstance(now, Entry):
                    entries[path] = now
        trees.append(tree._replace(entries=entries))
    return sealed(snapshot._replace(taken_unix_ms=unix_ms(), trees=tuple(trees)))
