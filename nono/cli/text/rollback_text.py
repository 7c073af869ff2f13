"""Word what runs changed and what a restore does.

A name stays on its line: the command may have chosen it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from nono.amounts import size
from nono.cli.text.session_text import command_line, one_line
from nono.printable import printable, without_middle
from nono.undo.model.changes import Change, ChangeType
from nono.undo.model.entry import FILE, LINK, Entry
from nono.undo.model.line_diff import LineMatcher, unified
from nono.undo.model.restore_plan import Refused, Step
from nono.undo.model.session import Info
from nono.undo.model.snapshot import BASELINE, END, RESTORED, SAFETY, Snapshot

LISTED_MAX = 20
PATH_MAX = 1000  # columns; a command can nest directories until a path fills every screen that was before it
SIDE_COLUMNS_MAX = 58
WORDS = {
    ChangeType.CREATED: "created",
    ChangeType.MODIFIED: "modified",
    ChangeType.DELETED: "deleted",
    ChangeType.PERMISSIONS: "permissions",
    ChangeType.TOUCHED: "time",
}


def counted(found: Iterable[Change]) -> str:
    """Word how many paths changed, and in which way."""
    counts = Counter(change.type for change in found)
    parts = [
        f"{counts[type]:,} {WORDS[type]}"
        for type in ChangeType
        if counts[type] and type is not ChangeType.TOUCHED
    ]
    return ", ".join(parts) or "nothing changed"


def change_line(change: Change) -> str:
    delta = change.size_delta
    grown = "" if not delta else f"  {'+' if delta > 0 else '-'}{size(abs(delta))}"
    return f"  {change.type.symbol} {_path(change.full_path)}{grown}"


def review_lines(found: Sequence[Change], session_id: str) -> list[str]:
    """Return the table of what a run changed."""
    lines = ["", f"nono: files: {counted(found)}"]
    lines += map(change_line, found[:LISTED_MAX])
    if len(found) > LISTED_MAX:
        lines.append(f"  and {len(found) - LISTED_MAX:,} more: nono rollback show {session_id}")
    return lines


def listed(found: Sequence[Change]) -> list[str]:
    """Return the first lines of what changed."""
    lines = [*map(change_line, found[:LISTED_MAX])]
    return lines if len(found) <= LISTED_MAX else [*lines, f"  and {len(found) - LISTED_MAX:,} more"]


def session_line(info: Info, disk: int, *, is_running: bool) -> str:
    state = "runs" if is_running else "ended" if info.ended is not None else "cut off"
    changed = "?" if info.changed is None else f"{info.changed:,}"
    command = command_line(info.command)
    began = info.started[:19].replace("T", " ")
    return f"{info.session_id}  {began}  {state:<7}  {changed:>7}  {size(disk):>9}  {command}"


def meant_line(info: Info) -> str:
    """Say which run `latest` means."""
    command = command_line(info.command)
    return f"Session {info.session_id}, started {info.started[:19].replace('T', ' ')}: {command}"


HEADER = f"{'SESSION':<16}  {'STARTED':<19}  {'STATE':<7}  {'CHANGED':>7}  {'SIZE':>9}  COMMAND"


def snapshot_name(snapshot: Snapshot) -> str:
    words = {
        BASELINE: "before the run",
        END: "after the run",
        SAFETY: "before a restore",
        RESTORED: "after it",
    }
    return one_line(snapshot.label or words.get(snapshot.kind, snapshot.kind))


def snapshot_line(snapshot: Snapshot, found: Sequence[Change]) -> str:
    what = "" if snapshot.number == 0 else counted(found)
    return f"  {snapshot.number:03}  {snapshot_name(snapshot):<24}  {what}".rstrip()


def step_lines(steps: Iterable[Step]) -> list[str]:
    """Return what is done, without the steps that only set times."""
    found = sorted(
        (each for each in steps if each.type is not ChangeType.TOUCHED), key=lambda each: each.full_path
    )
    return [_step_line(each) for each in found]


def _step_line(step: Step) -> str:
    if step.was is None:
        return f"  - {_path(step.full_path)}"
    if step.now is None:
        return f"  + {_path(step.full_path)}"
    symbol = "p" if step.type is ChangeType.PERMISSIONS else "~"
    return f"  {symbol} {_path(step.full_path)}"


def refused_lines(refused: Sequence[Refused]) -> Iterator[str]:
    for each in refused:
        yield f"  {_path(each.full_path)}: {one_line(each.reason)}"


def _path(full_path: str) -> str:
    # Where a terminal ends the line within blanks, what follows them would look like a line of its own.
    return without_middle(one_line(full_path).replace("  ", " \\x20"), PATH_MAX)


def described(entry: Entry | None) -> list[str]:
    """Return lines about a file that has no text."""
    if entry is None:
        return []
    if entry.kind == LINK:
        return [f"link to {one_line(entry.content or '')}"]
    if entry.kind == FILE:
        return [f"file of {size(entry.size)}, {entry.content or 'not read'}"]
    return [f"kind {entry.kind}, mode {entry.mode:o}"]


def text_of(content: bytes | None) -> list[str] | None:
    """Return the lines of a text; None if the content is not text."""
    if content is None or b"\0" in content[:8192]:
        return None
    try:
        return content.decode("utf-8").splitlines()
    except UnicodeDecodeError:
        return None


def diff_lines(change: Change, before: Sequence[str], after: Sequence[str], *, full: bool) -> Iterator[str]:
    """Yield a unified diff. Control characters are made visible instead of being sent."""
    names = (
        "/dev/null" if change.before is None else one_line(change.full_path),
        "/dev/null" if change.after is None else one_line(change.full_path),
    )
    context = max(len(before), len(after)) if full else 3
    for line in unified(before, after, names, context):
        yield printable(line)


def side_by_side(
    change: Change, before: Sequence[str], after: Sequence[str], *, full: bool, columns: int
) -> Iterator[str]:
    """Yield old and new lines side by side in so many columns; without `full` only those that differ."""
    side = max(1, min(SIDE_COLUMNS_MAX, (columns - 3) // 2))
    yield one_line(change.full_path)
    for tag, old_from, old_to, new_from, new_to in LineMatcher(before, after, autojunk=False).get_opcodes():
        if tag == "equal" and not full:
            continue
        mark = " " if tag == "equal" else "|"
        for old, new in zip_longest(before[old_from:old_to], after[new_from:new_to], fillvalue=""):
            yield f"{printable(old)[:side]:<{side}} {mark} {printable(new)[:side]}".rstrip()
