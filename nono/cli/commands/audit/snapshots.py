"""Add to the snapshots that a log names what undo still keeps of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from posixpath import join
from typing import Any

from nono.cli.commands.rollback.look import what_was_seen
from nono.undo.kept import Kept, root_of
from nono.undo.model.snapshot import Snapshot, merkle_root

_NOT_KEPT: Mapping[str, Any] = {"timestamp": None, "file_count": None, "changes": None}


def with_what_is_kept(
    session_id: str, snapshots: Sequence[Mapping[str, object]], environ: Mapping[str, str]
) -> list[Mapping[str, object]]:
    """Return the snapshots with when each was taken and what had changed; null: it is kept no longer."""
    try:
        with Kept(join(root_of(environ), session_id)) as session:
            kept = session.snapshots()
            return [{**each, **_seen(each, kept)} for each in snapshots]
    except (OSError, ValueError):  # dropped for newer runs, or damaged
        return [{**each, **_NOT_KEPT} for each in snapshots]


def _seen(logged: Mapping[str, object], kept: Sequence[Snapshot]) -> Mapping[str, Any]:
    number, root = logged["number"], logged["merkle_root"]
    if not isinstance(number, int) or not 0 <= number < len(kept):
        return _NOT_KEPT
    # The log is proved, and what undo keeps is not: only what the log names is shown as its.
    if root is not None and root != merkle_root(kept[number]):
        return _NOT_KEPT
    return what_was_seen(kept, number)
