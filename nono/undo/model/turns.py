"""Name the snapshots between the turns of a run, and find them by turn."""

from __future__ import annotations

import re
from collections.abc import Iterable

from nono.undo.model.snapshot import MARK, Snapshot

_LABEL = re.compile(r"before turn ([0-9]{1,9})", re.ASCII)


def label_of(turn: int) -> str:
    """Return the label of the snapshot taken when a turn began, before it could write anything."""
    return f"before turn {turn}"


def turn_of(label: str) -> int | None:
    """Return the turn of a label from label_of(); None for another label."""
    found = _LABEL.fullmatch(label)
    return None if found is None else int(found[1])


def number_before(turn: int, snapshots: Iterable[Snapshot]) -> int | None:
    """Return the number of the snapshot taken before a turn; None if there is none."""
    wanted = label_of(turn)
    return next((each.number for each in snapshots if each.kind == MARK and each.label == wanted), None)
