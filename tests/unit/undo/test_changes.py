"""nono.undo.model.changes: what a change says of itself."""

from __future__ import annotations

import pytest

from nono.undo.model.changes import Change, ChangeType
from nono.undo.model.entry import DIRECTORY, FILE, Entry


def entry(kind: str, size: int) -> Entry:
    return Entry(kind, 0o644, 0, 0, size, 0, 0, 1, 1, None)


@pytest.mark.parametrize(
    ("kind", "before", "after", "delta"),
    [
        (ChangeType.MODIFIED, entry(FILE, 10), entry(FILE, 25), 15),
        (ChangeType.CREATED, None, entry(FILE, 25), 25),
        (ChangeType.DELETED, entry(FILE, 10), None, -10),
        (ChangeType.CREATED, None, entry(DIRECTORY, 4096), 0),
        (ChangeType.MODIFIED, entry(DIRECTORY, 4096), entry(FILE, 25), 25),
        (ChangeType.PERMISSIONS, entry(FILE, 10), entry(FILE, 10), None),
    ],
)
def test_only_the_content_of_files_counts_as_a_change_of_size(
    kind: ChangeType, before: Entry | None, after: Entry | None, delta: int | None
) -> None:
    assert Change("/p", "a", kind, before, after).size_delta == delta
