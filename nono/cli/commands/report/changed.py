"""Read what a run changed from what undo keeps of it, turn by turn."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import filterfalse, pairwise
from posixpath import join

from nono.cli.text.rollback_text import text_of
from nono.errors import NonoError, in_words
from nono.printable import spelled
from nono.report.model import FILES_MAX, FileChange
from nono.sessions.record import Record
from nono.undo.contents.store import Store
from nono.undo.kept import Kept, root_of
from nono.undo.model.changes import Change, changes, shown
from nono.undo.model.entry import DIRECTORY, FILE, Entry
from nono.undo.model.line_diff import unified
from nono.undo.model.snapshot import BASELINE, END, MARK, Snapshot
from nono.undo.model.turns import turn_of

# A command can write any number of files that take long to compare.
DIFF_BYTES_MAX = 128 << 10
DIFF_LINES_MAX = 1000
DIFFS_S = 5.0


def changed(record: Record, environ: Mapping[str, str]) -> tuple[FileChange, ...] | None:
    """Return what a run changed, the first FILES_MAX files with lines; None if nothing was kept to its end.

    All are returned, since a command can change any number of files before one that somebody runs later.

    Raises NonoError if what was kept is damaged.
    """
    try:
        with Kept(join(root_of(environ), record.session_id)) as kept:
            snapshots = [each for each in kept.snapshots() if each.kind in (BASELINE, MARK, END)]
            if not snapshots or snapshots[-1].kind != END:
                return None
            return tuple(_between(snapshots, kept))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise NonoError(
            f"what session {record.session_id} has changed cannot be read: {in_words(error)}",
            hint=f"nono rollback verify {record.session_id}",
        ) from error


def _between(snapshots: list[Snapshot], kept: Kept) -> Iterator[FileChange]:
    """Yield the changes from the baseline to the end, grouped by turn."""
    until_s, listed = time.monotonic() + DIFFS_S, 0
    for before, after in pairwise(snapshots):
        turn = turn_of(before.label)
        for change in filterfalse(_is_directory, shown(changes(before, after))):
            listed += 1
            is_compared = listed <= FILES_MAX and time.monotonic() < until_s
            diff = _diff(change, kept.store) if is_compared else ()
            yield FileChange(
                spelled(change.full_path),
                change.type.value,
                change.size_delta,
                turn,
                diff,
            )


def _is_directory(change: Change) -> bool:
    """Return True for a directory that was created, removed or changed: its content is listed separately."""
    return {each.kind for each in (change.before, change.after) if each is not None} == {DIRECTORY}


def _diff(change: Change, store: Store) -> tuple[str, ...]:
    """Return a unified diff of a text file; nothing for a file that is not text or is too long."""
    if change.size_delta is None:
        return ()
    before, after = _lines(change.before, store), _lines(change.after, store)
    if before is None or after is None:
        return ()
    return tuple(unified(before, after, None, 3))  # without the names, which are printed above


def _lines(entry: Entry | None, store: Store) -> list[str] | None:
    if entry is None:
        return []
    if entry.kind != FILE or entry.content is None or entry.size > DIFF_BYTES_MAX:
        return None
    with suppress(OSError, ValueError, KeyError):
        lines = text_of(store.content(entry.content))
        if lines is not None and len(lines) <= DIFF_LINES_MAX:
            return lines
    return None
