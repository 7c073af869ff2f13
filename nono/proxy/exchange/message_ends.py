"""Finds where messages end in a body of length-prefixed messages, which need no octet that ends them.

The search for the secret holds back what could begin one until something follows. Such a message would then
wait for the next, which the other side may only send once it has read this one.
"""

from __future__ import annotations

from functools import lru_cache

from nono.named_tuple import NamedTuple


class _Prefix(NamedTuple):
    """The octets before each message, and where in them its length is, in four octets."""

    size: int
    length_at: int
    length_counts_all: bool


_ENVELOPE = _Prefix(5, 1, length_counts_all=False)  # flags and length: gRPC, gRPC-Web, Connect
_EVENT = _Prefix(4, 0, length_counts_all=True)  # AWS: the total length first
_KINDS = (
    (b"application/grpc", _ENVELOPE),
    (b"application/connect+", _ENVELOPE),
    (b"application/vnd.amazon.eventstream", _EVENT),
)
_BASE64 = b"application/grpc-web-text"


class MessageEnds:
    """Follows the prefixes of one body."""

    __slots__ = ("_before", "_left", "_prefix")

    def __init__(self, prefix: _Prefix) -> None:
        self._prefix = prefix
        self._before = b""  # of a prefix that has not arrived as a whole
        self._left = 0  # octets of the current message still to come

    def last_in(self, piece: bytes) -> int:
        """Return the end of the last message that ends in `piece`; 0 if none does."""
        at = last = 0
        size, length_at, counts_all = self._prefix
        while at < len(piece):
            if self._left:
                step = min(self._left, len(piece) - at)
                at += step
                self._left -= step
            else:
                need = size - len(self._before)
                self._before += piece[at : at + need]
                at = min(at + need, len(piece))
                if len(self._before) < size:
                    break
                length = int.from_bytes(self._before[length_at : length_at + 4])
                self._left = max(length - size, 0) if counts_all else length
                self._before = b""
            if not self._left and not self._before:
                last = at
        return last


def message_ends(content_type: bytes) -> MessageEnds | None:
    """Return what follows the messages of a body of that Content-Type; None if it has no such messages."""
    prefix = _prefix(content_type)
    return None if prefix is None else MessageEnds(prefix)


@lru_cache(256)  # upstreams send the same few again and again
def _prefix(content_type: bytes) -> _Prefix | None:
    kind = content_type.lower()
    if kind.startswith(_BASE64):
        return None
    return next((prefix for name, prefix in _KINDS if kind.startswith(name)), None)
