"""Represent the head of an audit log as the few lines that an anchor vouches for."""

from __future__ import annotations

import re

from nono.audit.chain import ChainState
from nono.named_tuple import NamedTuple

NOTE_BYTES_MAX = 512
_NOTE = re.compile(
    r"nono audit log ([A-Za-z0-9_-]{1,64})\nrecords ([1-9][0-9]{0,11})\n"
    r"chain ([0-9a-f]{64})\nroot ([0-9a-f]{64})\n",
    re.ASCII,
)


class Head(NamedTuple):
    """A position in a log that commits to every record before it."""

    session_id: str
    records: int
    chain: str  # 64 lower-case hex digits, like the root
    root: str

    def note(self) -> bytes:
        """Return the text that is signed."""
        lines = (f"nono audit log {self.session_id}", f"records {self.records}")
        return "\n".join((*lines, f"chain {self.chain}", f"root {self.root}", "")).encode("ascii")


def head_of(session_id: str, state: ChainState) -> Head | None:
    """Return the head of a log in that state; None if it has no record."""
    integrity = state.integrity()
    if integrity is None:
        return None
    return Head(session_id, integrity.event_count, integrity.chain_head, integrity.merkle_root)


def parse_note(note: bytes) -> Head | None:
    """Parse a note; None unless it is exactly the output of note()."""
    try:
        found = _NOTE.fullmatch(note.decode("ascii"))
    except UnicodeDecodeError:
        return None
    if found is None:
        return None
    return Head(found[1], int(found[2]), found[3], found[4])
