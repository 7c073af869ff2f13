"""`nono rollback verify` and `cleanup`: check what is kept, and remove what is no longer needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from nono.amounts import size
from nono.cli.console import agrees, can_ask
from nono.cli.text.rollback_text import snapshot_name
from nono.cli.text.session_text import one_line
from nono.clock import unix_ms
from nono.errors import ConfigError, in_words
from nono.named_tuple import NamedTuple
from nono.settings.file import user_config
from nono.settings.user_config import Rollback
from nono.undo import kept
from nono.undo.kept import Kept, chosen
from nono.undo.model.entry import FILE
from nono.undo.model.session import Weighed, older_than, outdated, stale
from nono.undo.model.snapshot import BASELINE, RESTORED, Snapshot, merkle_root


def verify(query: str, environ: Mapping[str, str]) -> int:
    """Check every snapshot of a session and all of its content. Returns 1 if anything is missing."""
    with chosen(query, environ) as session:
        snapshots, failed = session.snapshots(), False
        for number in range(len(snapshots)):
            name, problems = _checked(session, snapshots, number)
            is_damaged = any(is_damage for is_damage, _ in problems)
            failed = failed or is_damaged
            print(f"[{number:03}] {'DAMAGED' if is_damaged else 'OK'}  {name}".rstrip())
            for _, sentence in problems:
                print(f"      {one_line(sentence)}")
        if session.info.snapshot_count > len(snapshots):
            print(f"[{len(snapshots):03}] MISSING")
            failed = True
        print("DAMAGED" if failed else "VERIFIED")
    return 1 if failed else 0


def _checked(session: Kept, snapshots: Sequence[Snapshot], number: int) -> tuple[str, list[tuple[bool, str]]]:
    """Return the name of a snapshot, "" if it cannot be read, and its problems."""
    name = ""
    try:
        snapshot = snapshots[number]
        name = snapshot_name(snapshot)
        return name, list(_problems(session, snapshot))
    except (OSError, ValueError) as error:  # of the snapshot, one before it, or the index of their contents
        return name, [(True, in_words(error))]


def _problems(session: Kept, snapshot: Snapshot) -> Iterator[tuple[bool, str]]:
    """Yield each problem, and whether it is damage rather than something that could not be kept."""
    checked = set[str]()
    if snapshot.merkle_root is not None and snapshot.merkle_root != merkle_root(snapshot):
        yield True, "its Merkle root differs"
    if snapshot.kind != RESTORED and not session.store.has_pack(f"{snapshot.number:03}"):
        yield True, "its contents are missing"
    entries = ((tree, *each) for tree in snapshot.trees for each in tree.entries.items())
    for tree, path, entry in entries:
        if entry.kind != FILE or entry.content in checked:
            continue
        where = f"{tree.path}/{path}"
        if entry.content is None:
            if snapshot.kind == BASELINE:
                yield False, f"{where}: it could not be read, so it cannot be restored"
            continue
        checked.add(entry.content)
        if not session.store.has(entry.content):
            # After the run, possibly only digests are kept, for lack of space.
            yield snapshot.kind == BASELINE, f"{where}: its content was not kept"
            continue
        try:
            for _ in session.store.chunks(entry.content):
                pass
        except (OSError, ValueError) as error:
            yield True, f"{where}: {in_words(error)}"


class Wish(NamedTuple):
    """What is to be removed."""

    keep: int | None
    older_than: int | None
    all: bool
    is_dry: bool
    yes: bool


def cleanup(wish: Wish, environ: Mapping[str, str]) -> int:
    """Remove what is kept of old sessions."""
    limits, root = user_config(environ).rollback, kept.root_of(environ)
    agreed: set[str] | None = None
    if wish.all and not wish.is_dry and not wish.yes:
        # Before it is locked: runs with --rollback would wait for the answer.
        agreed = {each.session_id for each in _unneeded(wish, limits, root)}
        if agreed and not _agreed(len(agreed)):
            return 1
    with kept.all_locked(root):
        unneeded = _unneeded(wish, limits, root)
        removed = [each for each in unneeded if agreed is None or each.session_id in agreed]
        for each in removed:
            if not wish.is_dry:
                kept.remove(root, each.session_id)
            word = "Would remove" if wish.is_dry else "Removed"
            print(f"{word}: {each.session_id}  {size(each.size_bytes)}")
    if not removed:
        print("Nothing to remove.")
    return 0


def _unneeded(wish: Wish, limits: Rollback, root: str) -> list[Weighed]:
    found = kept.weighed(root)
    broken = [each for each in found if not each.is_complete and not each.is_running]
    sound = [each for each in found if each not in broken]
    now_unix_ms = unix_ms()
    if wish.all:
        return [*broken, *(each for each in sound if not each.is_running)]
    if wish.older_than is not None:
        return [*broken, *older_than(sound, wish.older_than, now_unix_ms)]
    most = limits.max_sessions if wish.keep is None else wish.keep
    crashed = stale(sound, limits.stale_grace_hours, now_unix_ms)
    rest = [each for each in sound if each not in crashed]
    return [*broken, *crashed, *outdated(rest, most, limits.storage_bytes_max)]


def _agreed(count: int) -> bool:
    if not can_ask():
        raise ConfigError(
            "nobody can be asked here, so nothing was removed.", hint="--yes removes the undo of every run"
        )
    return agrees(f"Remove the undo of {count} run(s)?")
