"""Define the lines of the ledger of sessions, each of which commits to all before it."""

from __future__ import annotations

from collections.abc import Sequence

from nono.audit.chain import compact
from nono.digests import sha256
from nono.disk import json_text
from nono.named_tuple import NamedTuple

_CHAIN_TAG = b"nono.audit.ledger.chain.alpha\n"
_EPOCH = "epoch:"  # no session id begins like this


class Entry(NamedTuple):
    """One line: a session ended, with the digest of its summary."""

    sequence: int
    prev_chain: str | None
    session_id: str
    session_digest: str
    completed_at: str  # RFC 3339
    chain_hash: str

    @property
    def is_epoch(self) -> bool:
        """True for the first line after a damaged ledger; its digest is that ledger's SHA-256."""
        return self.session_id.startswith(_EPOCH)


def following(last: Entry | None, session_id: str, session_digest: str, completed_at: str) -> Entry:
    """Return the entry after `last`; None: the first entry of a ledger."""
    sequence, previous = (0, None) if last is None else (last.sequence + 1, last.chain_hash)
    return _chained(sequence, previous, session_id, session_digest, completed_at)


def epoch_after(damaged_sha256: str, at: str) -> Entry:
    """Return the first entry of a ledger that replaces a damaged one, and commits to its bytes."""
    return following(None, _EPOCH + aside_name(damaged_sha256), damaged_sha256, at)


def aside_name(damaged_sha256: str) -> str:
    """Return the name under which a damaged ledger is kept."""
    return f"ledger-{damaged_sha256[:16]}.ndjson"


def _chained(
    sequence: int, previous: str | None, session_id: str, session_digest: str, completed_at: str
) -> Entry:
    covered = {
        "sequence": sequence,
        "session_id": session_id,
        "session_digest": session_digest,
        "completed_at": completed_at,
    }
    link = bytes(32) if previous is None else bytes.fromhex(previous)
    chain_hash = sha256(_CHAIN_TAG + link + compact(covered)).hexdigest()
    return Entry(sequence, previous, session_id, session_digest, completed_at, chain_hash)


def line_of(entry: Entry) -> bytes:
    return compact(entry._asdict()) + b"\n"


def entry_of(line: bytes) -> Entry | None:
    """Return the entry of one line whose hash is correct; None if it is damaged."""
    try:
        document = json_text.parse(line.decode("utf-8"))
        if document["prev_chain"] is not None and len(document["prev_chain"]) != 64:
            return None
        entry = _chained(*(document[field] for field in Entry._fields[:-1]))
        is_intact = line_of(entry) == line and type(entry.sequence) is int and entry.sequence >= 0
        return entry if is_intact else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def follows(entry: Entry, last: Entry | None) -> bool:
    """Check that an entry may follow `last`; None: that it may begin a ledger."""
    due = (0, None) if last is None else (last.sequence + 1, last.chain_hash)
    return (entry.sequence, entry.prev_chain) == due


def last_of(tail: bytes, *, is_whole: bool) -> Entry | None:
    """Return the last entry in the end of a ledger. Raises ValueError if an entry in it is damaged.

    is_whole: The tail is the whole file; otherwise its first line is incomplete.
    """
    if tail and not tail.endswith(b"\n"):
        raise ValueError("its last line is torn off")
    lines: Sequence[bytes] = tail.splitlines(keepends=True)[0 if is_whole else 1 :]
    last: Entry | None = None
    for line in lines:
        entry = entry_of(line)
        if entry is None or ((last is not None or is_whole) and not follows(entry, last)):
            raise ValueError("an entry near its end is damaged")
        last = entry
    if last is None and not is_whole:
        raise ValueError("a line near its end is longer than an entry")
    return last
