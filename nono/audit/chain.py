"""Compute the hashes that make the audit log tamper-evident: leaf, chain and Merkle root.

The scheme is called "alpha"; every hash is SHA-256 over a domain tag and its inputs, so that no value can be
mistaken for one of another kind.
"""

from __future__ import annotations

from functools import lru_cache

from nono.audit.event import TIME, Again, Event, Recurring
from nono.digests import sha256
from nono.disk import json_text
from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nono.digests import Digest

_LEAF_TAG = b"nono.audit.event.alpha\n"
_CHAIN_TAG = b"nono.audit.chain.alpha\n"
_NODE_TAG = b"nono.audit.merkle.alpha\n"

MAX_KEPT = 256  # recurring events whose text is kept
_UP_TO_TIME = b'{"type":"network","event":{"%b":' % TIME.encode("ascii")

MAX_TEXT_BYTES = 512  # of each text of an event that the command can repeat; longer ones are cut
_REPEATABLE = ("network", "capability_decision")


def encode_event(event: Event) -> bytes:
    """Return the bytes of an event to hash: compact JSON, UTF-8, fields in dictionary order.

    A path that is not UTF-8 reaches Python with its odd bytes as lone surrogates (PEP 383). Those are written
    as the JSON escape of the surrogate, `\\udcff`, so such a path can be recorded and decoded back.

    Long texts of events that the command can repeat are cut, as shortened() does.

    Raises TypeError or ValueError if JSON cannot represent the event.
    """
    text = compact(event)
    if len(text) <= MAX_TEXT_BYTES or event.get("type") not in _REPEATABLE:
        return text
    return compact(_shortened(event))


def compact(value: object) -> bytes:
    """Return the bytes of a JSON value to hash. Raises TypeError or ValueError if it is not JSON."""
    return json_text.compact(value).encode("utf-8", "backslashreplace")


def shortened(text: str) -> str:
    """Cut a text longer than MAX_TEXT_BYTES, and name its length and the SHA-256 of the whole."""
    whole = text.encode("utf-8", "backslashreplace")
    if len(whole) <= MAX_TEXT_BYTES:
        return text
    start = whole[:MAX_TEXT_BYTES].decode("utf-8", "ignore")
    return f"{start}... [{len(whole)} bytes, sha256 {sha256(whole).hexdigest()}]"


def _shortened(value: object) -> object:
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, dict):
        return {name: _shortened(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_shortened(each) for each in value]
    return value


class Encoded(NamedTuple):
    """An event as stored in its line: the text of encode_event(), and that text as a JSON string."""

    text: bytes
    quoted: str

    @classmethod
    def of(cls, text: bytes) -> Encoded:
        return cls(text, json_text.quoted(text.decode("utf-8")))


class Encoder:
    """Encodes events; for recurring ones it caches the text around their time."""

    def __init__(self) -> None:
        self._around_time = lru_cache(MAX_KEPT)(_around_time)

    def encoded(self, event: Event) -> Encoded:
        """Encode an event. Raises TypeError or ValueError like encode_event()."""
        if not isinstance(event, Again):
            return Encoded.of(encode_event(event))
        before, after = self._around_time(event.recurring)
        time = str(event.unix_ms)
        text = before.text + time.encode("ascii") + after.text
        return Encoded(text, before.quoted + time + after.quoted)


def _around_time(recurring: Recurring) -> tuple[Encoded, Encoded]:
    """Return the text before and after the time."""
    text = encode_event(recurring.event)
    assert text.startswith(_UP_TO_TIME)
    before = Encoded.of(_UP_TO_TIME)
    after = Encoded.of(text[len(_UP_TO_TIME) :].lstrip(b"0123456789"))
    # Each part has its own quotes: remove those in the middle.
    return before._replace(quoted=before.quoted[:-1]), after._replace(quoted=after.quoted[1:])


# Each of these takes the digest to use, which is SHA-256: quick_sha256() knows a quicker one.
def leaf_hash(event_json: bytes, digest: Digest = sha256) -> bytes:
    return digest(_LEAF_TAG + event_json).digest()


def chain_hash(previous: bytes | None, leaf: bytes, digest: Digest = sha256) -> bytes:
    """Return the link over one leaf; `previous` is the link before it, None for the first."""
    return digest(_CHAIN_TAG + (previous or bytes(32)) + leaf).digest()


class Integrity(NamedTuple):
    """The summary of a log in the session record: its count accompanies the root, which does not bind it."""

    event_count: int
    chain_head: str  # 64 lower-case hex digits
    merkle_root: str


class ChainState(NamedTuple):
    """The state needed to append the next record, logarithmic in the length of the log.

    `peaks` are the roots of the perfect subtrees, tallest first. An odd last node is promoted unchanged, so
    the tree has the shape of RFC 9162 section 2.1.1 and the peaks determine its root.
    """

    sequence: int = 0  # of the next record
    head: bytes | None = None
    peaks: tuple[bytes, ...] = ()

    def appended(self, leaf: bytes, digest: Digest = sha256) -> ChainState:
        peaks = [*self.peaks, leaf]
        # Appending a leaf increments a binary counter: each trailing one bit carries.
        carry = self.sequence
        while carry & 1:
            right = peaks.pop()
            peaks.append(_node(peaks.pop(), right, digest))
            carry >>= 1
        return ChainState(self.sequence + 1, chain_hash(self.head, leaf, digest), tuple(peaks))

    def merkle_root(self) -> bytes:
        """Return the Merkle root; the SHA-256 of nothing for an empty log."""
        if not self.peaks:
            return sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = _node(peak, root)
        return root

    def integrity(self) -> Integrity | None:
        """Return count, chain head and root; None if nothing was recorded."""
        if self.head is None:
            return None
        return Integrity(self.sequence, self.head.hex(), self.merkle_root().hex())


def record_line(state: ChainState, event: Encoded, digest: Digest = sha256) -> tuple[bytes, ChainState]:
    """Return an event's line, newline included, and the state that follows once it is on disk."""
    leaf = leaf_hash(event.text, digest)
    following = state.appended(leaf, digest)
    assert following.head is not None
    previous = f'"{state.head.hex()}"' if state.head is not None else "null"
    line = (
        f'{{"sequence":{state.sequence},"prev_chain":{previous},"leaf_hash":"{leaf.hex()}",'
        f'"chain_hash":"{following.head.hex()}","event_json":{event.quoted},"event":'
    )
    # The same bytes a second time, as an object: a reader needs no second parse, a verifier ignores it.
    return line.encode("utf-8") + event.text + b"}\n", following


def _node(left: bytes, right: bytes, digest: Digest = sha256) -> bytes:
    return digest(_NODE_TAG + left + right).digest()
