"""`nono rollback list` and `show`: print what was kept, and what a run changed."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nono.cli.console import columns, line_columns
from nono.cli.shapes.printed import printed, printed_list
from nono.cli.text import rollback_text
from nono.cli.text.session_text import one_line
from nono.undo import kept
from nono.undo.contents.store import Store
from nono.undo.kept import Kept, chosen, size_of
from nono.undo.model.changes import Change, changes, shown
from nono.undo.model.entry import FILE, LINK
from nono.undo.model.session import Info, overlap
from nono.undo.model.snapshot import MARK, Snapshot, merkle_root

DIFF_BYTES_MAX = 1 << 20


def list_sessions(
    environ: Mapping[str, str], *, recent: int | None, path: str | None, every: bool, as_json: bool
) -> int:
    """Print the sessions, the newest first."""
    kept.check_root(environ)
    with kept.every(environ) as found:
        listed = [each for each in found if every or each.is_running or each.info.changed != 0]
        if path is not None:
            wanted = os.path.realpath(path)
            listed = [each for each in listed if overlap([wanted], each.info.tracked_paths)]
        listed = listed if recent is None else listed[:recent]
        if as_json:
            print(printed_list(map(_document, listed)))
            return 0
        if not listed:
            print("Nothing can be undone: no run with --rollback is kept.")
            return 0
        width = line_columns(sys.stdout, environ)
        print(rollback_text.HEADER[:width])
        for each in listed:
            line = rollback_text.session_line(each.info, size_of(each.path), is_running=each.is_running)
            print(line[:width])
    return 0


def _document(each: Kept) -> dict[str, Any]:
    info = each.info
    is_running = each.is_running
    return {
        "session_id": info.session_id,
        "name": info.name,
        "started": info.started,
        "ended": info.ended,
        "command": list(info.command),
        "tracked_paths": list(info.tracked_paths),
        "snapshot_count": each.count(),
        "exit_code": info.exit_code,
        "changed": info.changed,
        "disk_size": size_of(each.path),
        "is_alive": is_running,
        "is_stale": info.ended is None and not is_running,
    }


def show(query: str, environ: Mapping[str, str], *, style: str, full: bool, as_json: bool) -> int:
    """Print the snapshots of a session, and what it changed."""
    with chosen(query, environ) as session:
        snapshots = session.snapshots()
        if as_json:
            document = _document(session)
            document["notes"] = list(session.info.notes)
            document["left_out"] = session.info.left_out._asdict()
            document["snapshots"] = [_snapshot(snapshots, number) for number in range(len(snapshots))]
            print(printed(document))
        else:
            _print(session, snapshots, style, full=full)
    return 0


def _print(session: Kept, snapshots: Sequence[Snapshot], style: str, *, full: bool) -> None:
    """Print the snapshots, what changed from one to the next where they are marks, and what in all."""
    _print_head(session.info)
    has_marks = any(each.kind == MARK for each in snapshots)
    if has_marks:
        print("\nEach snapshot, with what changed since the one above it:")
    for number, snapshot in enumerate(snapshots):
        found = shown(changes(snapshots[number - 1], snapshot)) if number else []
        print(rollback_text.snapshot_line(snapshot, found))
        if has_marks:
            for line in rollback_text.listed(found):
                print(f"       {line}")
    if len(snapshots) > 1:
        end = next((each for each in reversed(snapshots) if each.kind == "end"), snapshots[-1])
        found = shown(changes(snapshots[0], end))
        print(f"\n{'In all: ' if has_marks else ''}{rollback_text.counted(found)}")
        for line in _worded(found, session.store, style, full=full):
            print(line)


def _print_head(info: Info) -> None:
    print(rollback_text.HEADER.split("  ")[0].capitalize(), info.session_id)
    for path in info.tracked_paths:
        print(f"  covers {one_line(path)}")
    for note in info.notes:
        print(f"  note: {one_line(note)}")


def _snapshot(snapshots: Sequence[Snapshot], number: int) -> dict[str, Any]:
    snapshot, seen = snapshots[number], what_was_seen(snapshots, number)
    return {
        "number": snapshot.number,
        "kind": snapshot.kind,
        "label": snapshot.label,
        "timestamp": seen["timestamp"],
        "parent": number - 1 if number else None,
        "file_count": seen["file_count"],
        "merkle_root": merkle_root(snapshot),
        "changes": seen["changes"],
    }


def what_was_seen(snapshots: Sequence[Snapshot], number: int) -> dict[str, Any]:
    """Return when a snapshot was taken, how many files it holds, and what changed since the one before."""
    snapshot = snapshots[number]
    found = shown(changes(snapshots[number - 1], snapshot)) if number else []
    return {
        "timestamp": str(snapshot.taken_unix_ms // 1000),
        "file_count": sum(each.kind == FILE for tree in snapshot.trees for each in tree.entries.values()),
        "changes": [
            {
                "path": change.full_path,
                "type": change.type.value,
                "size_delta": change.size_delta,
                "old_hash": None if change.before is None else change.before.content,
                "new_hash": None if change.after is None else change.after.content,
            }
            for change in found
        ],
    }


def diff_of(query: str, environ: Mapping[str, str]) -> list[str]:
    """Return what a run changed, including the changed lines."""
    with chosen(query, environ) as session:
        snapshots = session.snapshots()
        return list(_worded(shown(changes(snapshots[0], snapshots[-1])), session.store, "diff", full=False))


def _worded(found: list[Change], store: Store, style: str, *, full: bool) -> Iterator[str]:
    for change in found:
        yield rollback_text.change_line(change)
        kinds = {each.kind for each in (change.before, change.after) if each is not None}
        if style == "list" or change.size_delta is None or not kinds & {FILE, LINK}:
            continue
        before, after = (_lines(entry, store) for entry in (change.before, change.after))
        if style == "diff":
            yield from rollback_text.diff_lines(change, before, after, full=full)
        else:
            width = columns(sys.stdout, os.environ)
            yield from rollback_text.side_by_side(change, before, after, full=full, columns=width)


def _lines(entry: Any, store: Store) -> list[str]:
    """Return the lines of a file; for one that is not text or was not kept, a line about it."""
    is_kept = (
        entry is not None and entry.kind == FILE and entry.content is not None and store.has(entry.content)
    )
    if not is_kept or entry.size > DIFF_BYTES_MAX:
        return rollback_text.described(entry)
    text = rollback_text.text_of(store.content(entry.content))
    return rollback_text.described(entry) if text is None else text
