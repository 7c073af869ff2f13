"""Read a ledger of sessions entry by entry, and locate the first damage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nono.audit.proof.entries import Entry, entry_of, follows
from nono.audit.reading import Damage


class History:
    """The entries of a ledger, whose lines end with their newline; iterate over it once.

    Yields entries up to the first damage, which `damage` then describes. A torn line at the end counts as
    damage, because the next append sets such a ledger aside.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.last: Entry | None = None
        self.damage: Damage | None = None

    def __iter__(self) -> Iterator[Entry]:
        for number, line in enumerate(self._lines):
            entry = entry_of(line)
            if entry is None:
                self.damage = Damage(
                    number, "cannot be parsed" if line.endswith(b"\n") else "is torn off", "entry"
                )
            elif not follows(entry, self.last):
                self.damage = Damage(number, "does not follow from the entry before it", "entry")
            if entry is None or self.damage is not None:
                return
            self.last = entry
            yield entry
