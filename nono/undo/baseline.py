"""Take the baseline of a run before its command starts, and refuse one that cannot be kept."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from posixpath import join

from nono import amounts
from nono.clock import unix_ms
from nono.disk import durable
from nono.errors import NonoError, reason_of
from nono.printable import shell_word
from nono.private_dir import open_private_dir
from nono.undo import kept
from nono.undo.contents.store import Store
from nono.undo.kept import Kept
from nono.undo.looking import ALL_ATTRIBUTES_BYTES_MAX, Allowance
from nono.undo.model.entry import FILE, Entry
from nono.undo.model.scope import Scope, scopes
from nono.undo.model.session import Info
from nono.undo.model.snapshot import BASELINE, Snapshot, Tree, sealed
from nono.undo.recording import READ_TIMES, RESERVE, Limits, Progress, Recording, write_snapshot
from nono.undo.taking import take
from nono.undo.walking import TooMuchError, Walk

SHARE_OF_DISK = 20  # a twentieth
RESERVE_BYTES = 4 << 20
_TRIED = ".link"
_FREE = "free space there, or drop old runs by nono rollback cleanup; "


def begin(
    environ: Mapping[str, str],
    info: Info,
    limits: Limits,
    progress: Progress,
    elsewhere: str | None = None,
    optional: Collection[str] = (),
    files: Collection[str] = (),
) -> Recording:
    """Take the baseline of a run. The caller closes the recording.

    optional: Tracked paths that are left uncovered, with a note, if they hold too much.
    files: Tracked paths that are files.
    elsewhere: Directory for the snapshots, instead of the state directory.
    progress: Called at intervals with the number of files seen; an exception from it ends the walk.
    Raises NonoError if the baseline cannot be kept; nothing of it is left then.
    """
    root = kept.root_of(environ)
    path = join(root, info.session_id)
    try:
        with ExitStack() as undone:
            with kept.all_locked(root):
                used = kept.sweep(root, limits.sessions_max, limits.bytes_max)
                directory, lock = _created(root, info.session_id, elsewhere)
            undone.callback(kept.remove, root, info.session_id)
            undone.callback(os.close, lock)
            undone.callback(os.close, directory)
            quota = _quota(directory, limits)
            store = Store(directory, max(0, quota - used))
            undone.callback(store.close)
            room = _room(quota, used, limits)
            wanted = scopes(info.tracked_paths, files)
            baseline, info = _baseline(environ, info, wanted, limits, room, progress, store, optional)
            write_snapshot(directory, baseline, None)
            _reserve(directory)
            info = info._replace(snapshot_count=1)
            kept.write_info(directory, info)
            undone.pop_all()
            return Recording(directory, lock, info, baseline, store, limits)
    except (OSError, ValueError) as error:
        is_full = isinstance(error, OSError) and error.errno in durable.FULL
        where = path if elsewhere is None else elsewhere
        raise NonoError(
            f"what the run may change cannot be kept for undo: {where}: {reason_of(error)}",
            hint=f"{_FREE if is_full else ''}--no-rollback starts the command anyway",
        ) from error


def _room(quota: int, used: int, limits: Limits) -> str:
    """Word how much room there is, and what limits it."""
    source = "max_storage_gb of config.toml" if quota == limits.bytes_max else "a twentieth of the disk"
    less = f", less {amounts.size(used)} that earlier runs take" if used else ""
    return f"{amounts.size(max(0, quota - used))} ({source}{less})"


def _limit(error: TooMuchError, limits: Limits, room: str) -> str:
    match error.what:
        case "bytes":
            return f"more than {room}"
        case "files":
            return f"more than {limits.entries_max:,} files"
        case "attributes":
            return f"more than {amounts.size(ALL_ATTRIBUTES_BYTES_MAX)} of extended attributes"


def _too_much(error: TooMuchError, limits: Limits, room: str) -> NonoError:
    where = f", most of it in {', '.join(map(shell_word, error.largest))}" if error.largest else ""
    return NonoError(
        f"undo would have to keep {_limit(error, limits, room)}{where}, so nothing was started.",
        hint="--rollback-exclude DIR leaves a directory out; without --rollback there is no undo",
    )


def _created(root: str, session_id: str, elsewhere: str | None) -> tuple[int, int]:
    """Create and lock the directory of a session. Returns descriptors of the directory and the lock."""
    path = join(root, session_id)
    if elsewhere is not None:
        os.close(open_private_dir(elsewhere, create=True))
        os.mkdir(join(elsewhere, session_id), 0o700)
        os.symlink(join(elsewhere, session_id), path)
        path = join(elsewhere, session_id)
    directory = open_private_dir(path, create=True)
    try:
        os.mkdir(kept.SNAPSHOTS, 0o700, dir_fd=directory)
        lock = kept.locked(directory)
        if lock is None:
            raise OSError(errno.EBUSY, "somebody else uses it", path)
    except BaseException:
        os.close(directory)
        raise
    return directory, lock


def _quota(directory: int, limits: Limits) -> int:
    disk = os.fstatvfs(directory)
    return min(limits.bytes_max, disk.f_blocks * disk.f_frsize // SHARE_OF_DISK)


def _reserve(directory: int) -> None:
    """Reserve space for the record of the end, which must be written even if the run fills the disk."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    file = os.open(RESERVE, flags, 0o600, dir_fd=directory)
    try:
        with suppress(OSError):  # a file system without fallocate gets no reserve
            os.posix_fallocate(file, 0, RESERVE_BYTES)
    finally:
        os.close(file)


def _baseline(
    environ: Mapping[str, str],
    info: Info,
    wanted: Iterable[Scope],
    limits: Limits,
    room: str,
    progress: Progress,
    store: Store,
    optional: Collection[str],
) -> tuple[Snapshot, Info]:
    """Take the trees, first those that must be covered. The returned record lists the covered paths."""
    trees: list[Tree] = []
    with kept.every(environ) as earlier:
        for is_optional, scope in sorted(
            (all(path in optional for path in each.covered), each) for each in wanted
        ):
            store.begin(f"000.{len(trees)}" if trees else "000")
            try:
                trees.append(_tree(scope, info, limits, progress, store, earlier))
                store.commit()
            except TooMuchError as error:
                store.abandon()
                if not is_optional:
                    raise _too_much(error, limits, room) from error
                holds, path = _limit(error, limits, room), ", ".join(scope.covered)
                sentence = f"undo does not cover {path}, which the profile grants: it holds {holds}."
                info = info._replace(notes=(*info.notes, sentence))
            except BaseException:
                store.abandon()
                raise
    info = info._replace(tracked_paths=tuple(path for tree in trees for path in tree.scope.covered))
    return sealed(Snapshot(0, BASELINE, "", unix_ms(), tuple(trees))), info


def _tree(
    scope: Scope, info: Info, limits: Limits, progress: Progress, store: Store, earlier: Sequence[Kept]
) -> Tree:
    """Take the tree of one directory, reusing what an earlier session has kept of it."""
    found = _last_look(scope, earlier, store)
    before: Mapping[str, Entry] = {}
    if found is not None:
        has = found[0].store.has
        before = {
            name: each
            for name, each in found[1].entries.items()
            if each.kind != FILE or (each.content is not None and has(each.content))
        }
    allowance = Allowance(READ_TIMES * limits.bytes_max, is_strict=True)
    walk = Walk(scope.sieve(info.left_out), store, before, limits.entries_max, allowance, progress)
    tree = take(scope.path, walk, scope.only)
    if found is not None:
        reused = (
            each.content
            for name, each in tree.entries.items()
            if each.kind == FILE and before.get(name) is each
        )
        wanted = [content for content in reused if content is not None]
        try:
            store.inherit(found[0].store, found[0].info.session_id, wanted)
        except (OSError, ValueError):  # what it kept is damaged
            return _tree(scope, info, limits, progress, store, ())
    return tree


def _last_look(scope: Scope, earlier: Sequence[Kept], store: Store) -> tuple[Kept, Tree] | None:
    """Return the last tree that an earlier session has kept of a directory, where `store` can share it."""
    for each in earlier:
        if set(scope.covered) <= set(each.info.tracked_paths) and _can_link(each.directory, store.directory):
            with suppress(OSError, ValueError):
                snapshots = each.snapshots()
                if snapshots:
                    return each, snapshots[-1].tree(scope.path)
    return None


def _can_link(source: int, target: int) -> bool:
    """Return False for directories on two file systems, or on one that knows no hard links."""
    try:
        os.link(kept.SESSION_FILE, _TRIED, src_dir_fd=source, dst_dir_fd=target)
    except OSError:
        return False
    os.unlink(_TRIED, dir_fd=target)
    return True
