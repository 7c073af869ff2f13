"""Read the log of a session record by record, and locate the first damage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from nono.audit.chain import ChainState, Encoded, leaf_hash, record_line
from nono.named_tuple import NamedTuple


class Record(NamedTuple):
    """One record whose hashes follow from the records before it."""

    sequence: int
    leaf_hash: str  # 64 lower-case hex digits, like the next
    chain_hash: str
    event_json: bytes  # the bytes that were hashed
    event: Mapping[str, Any]  # the same, parsed


class Damage(NamedTuple):
    """The first record, or entry of a ledger, that differs from what was written."""

    number: int  # from 0
    reason: str
    unit: str = "record"

    def __str__(self) -> str:
        return f"{self.unit} {self.number} {self.reason}"


class Reading:
    """The records of a log, whose lines end with their newline; iterate over it once.

    Yields records up to the first damage. Afterwards `state` holds count, chain head and root of the yielded
    records, `damage` says why iteration stopped early, and `torn` is an incomplete record at the end of the
    file: its supervisor was killed, or is writing it now.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = lines
        self.state = ChainState()
        self.damage: Damage | None = None
        self.torn = b""

    def __iter__(self) -> Iterator[Record]:
        for line in self._lines:
            if self.torn:
                self._damaged("does not end where the next record begins")
                return
            if not line.endswith(b"\n"):
                self.torn = line
                continue
            record = self.record_of(line)
            if record is None:
                return
            yield record

    def record_of(self, line: bytes) -> Record | None:
        """Return the next record, given its whole line; None if it is damaged."""
        try:
            document = json.loads(line)
            text = document["event_json"].encode("utf-8")
            expected, following = record_line(self.state, Encoded.of(text))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self._damaged("cannot be parsed")
            return None
        # Compared as bytes, not as values: people read `event`, which is in no hash of its own.
        if line != expected or not isinstance(document["event"], dict):
            self._damaged(_difference(document, text, self.state, following))
            return None
        sequence, self.state = self.state.sequence, following
        return Record(sequence, document["leaf_hash"], document["chain_hash"], text, document["event"])

    def _damaged(self, reason: str) -> None:
        self.damage = Damage(self.state.sequence, reason)


def _difference(document: Mapping[str, Any], text: bytes, before: ChainState, after: ChainState) -> str:
    """Describe what is wrong with a line that differs from the expected one."""
    previous = None if before.head is None else before.head.hex()
    if document.get("sequence") != before.sequence:
        return f"has the number {document.get('sequence')!r} where {before.sequence} is due"
    if document.get("prev_chain") != previous:
        return "does not follow from the record before it"
    if document.get("leaf_hash") != leaf_hash(text).hex():
        return "has an event that differs from the one that was hashed"
    if document.get("chain_hash") != (after.head or b"").hex():
        return "has a chain hash that its event does not give"
    return "is not spelled as it was written"
