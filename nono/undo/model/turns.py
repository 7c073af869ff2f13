"""Names the snapshots between the turns of a run, and finds them by turn."""

from __future__ import annotations

from collections.abc import Iterable

from nono.undo.model.snapshot import MARK, Snapshot


def label_of(turn: int) -> str:
    """Return the label of the snapshot taken when a turn began, before it could write anything."""
    return f"before turn {turn}"


def number_before(turn: int, snapshots: Iterable[Snapshot]) -> int | None:
    """Return the number of that snapshot; None if there is none."""
    wanted = label_of(turn)
    return next((each.number for each in snapshots if each.kind == MARK and each.label == wanted), None)
