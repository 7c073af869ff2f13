"""Find the ends of messages in a body of length-prefixed messages, which need no delimiter.

The search for the secret holds back octets that could begin it until more follow. A message that ends in such
octets would wait for the next one, which the other side may send only after it has read this one.

A client can make a server answer with text of the client's choice under such a type, so that a message seems
to end within the secret. The octets that follow reveal this, because no octet of a key begins a prefix.
"""

from __future__ import annotations

from functools import lru_cache

from nono.named_tuple import NamedTuple


class _Prefix(NamedTuple):
    """The octets before each message: their number, and the offset of the four-octet length in them."""

    size: int
    length_at: int
    length_counts_all: bool

    def may_begin(self, octets: bytes) -> bool:
        """Return True if a prefix may begin with `octets`. A length must be below 512 MiB."""
        flags, high = octets[: self.length_at], octets[self.length_at : self.length_at + 1]
        return not flags.translate(None, _FLAGS) and (not high or high < b" ")


_FLAGS = b"\0\1\2\3\x80\x81"  # compressed, last, trailers

_ENVELOPE = _Prefix(5, 1, length_counts_all=False)  # flags and length: gRPC, gRPC-Web, Connect
_EVENT = _Prefix(4, 0, length_counts_all=True)  # AWS: the total length first
_KINDS = (
    (b"application/grpc", _ENVELOPE),
    (b"application/connect+", _ENVELOPE),
    (b"application/vnd.amazon.eventstream", _EVENT),
)
_BASE64 = b"application/grpc-web-text"


class MalformedMessageError(ValueError):
    """A message is not followed by the prefix of another."""


class MessageEnds:
    """Follow the prefixes of one body. Does nothing for a body that does not begin with one."""

    __slots__ = ("_before", "_has_begun", "_is_other", "_left", "_prefix")

    def __init__(self, prefix: _Prefix) -> None:
        self._prefix = prefix
        self._before = b""  # the incomplete prefix received so far
        self._left = 0  # octets of the current message still to come
        self._has_begun = False  # the first prefix has arrived
        self._is_other = False  # the body is of another kind

    def last_in(self, piece: bytes) -> int:
        """Return the end of the last message that ends in `piece`; 0 if none does.

        Raises MalformedMessageError if a message is followed by something else.
        """
        if self._is_other:
            return 0
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
                if not self._prefix.may_begin(self._before):
                    if self._has_begun:
                        raise MalformedMessageError
                    self._is_other = True
                    return 0
                if len(self._before) < size:
                    break
                length = int.from_bytes(self._before[length_at : length_at + 4])
                self._left = max(length - size, 0) if counts_all else length
                self._before = b""
                self._has_begun = True
            if not self._left and not self._before:
                last = at
        return last


def message_ends(content_type: bytes) -> MessageEnds | None:
    """Return a MessageEnds for a body with that Content-Type; None if it has no such messages."""
    prefix = _prefix(content_type)
    return None if prefix is None else MessageEnds(prefix)


@lru_cache(256)  # upstreams send the same few types repeatedly
def _prefix(content_type: bytes) -> _Prefix | None:
    kind = content_type.lower()
    if kind.startswith(_BASE64):
        return None
    return next((prefix for name, prefix in _KINDS if kind.startswith(name)), None)
