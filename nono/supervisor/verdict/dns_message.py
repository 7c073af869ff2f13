"""Read a DNS query of one question, and write the answer to it (RFC 1035 section 4)."""

from __future__ import annotations

import struct

from nono.named_tuple import NamedTuple

# RFC 1035 section 3.2.2, RFC 3596 section 2.1
A, AAAA = 1, 28
_IN = 1
# Section 4.1.1: what an answer says.
NO_ERROR, NAME_ERROR, REFUSED = 0, 3, 5
QUERY_BYTES_MAX = 4096  # what EDNS asks for at most; a query is far shorter
TTL_S = 60  # a name keeps its address for the whole run
_HEADER = struct.Struct("!6H")  # id, flags, and the counts of four sections
_QUESTION = struct.Struct("!2H")  # type, class
_RECORD = struct.Struct("!3HIH")  # a pointer to the name, type, class, TTL, length
_RESPONSE, _OPCODE, _RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x8000, 0x7800, 0x0100, 0x0080
_NAME_OF_QUESTION = 0xC000 | _HEADER.size
_LABEL_BYTES_MAX, _NAME_BYTES_MAX = 63, 255


class Query(NamedTuple):
    """One question, with what its answer repeats."""

    number: int
    flags: int
    question: bytes  # as it was asked, in the case of its letters (draft-vixie-dnsext-dns0x20)
    name: str | None  # with dots between its labels and none at its end; None: it is not ASCII
    kind: int  # the type of record asked for


def parse_query(message: bytes) -> Query | None:
    """Parse a message; None if it is no well-formed query of one question, and gets no answer."""
    if len(message) < _HEADER.size:
        return None
    number, flags, questions, *_ = _HEADER.unpack_from(message)
    if flags & (_RESPONSE | _OPCODE) or questions != 1:
        return None
    labels: list[bytes] = []
    at = _HEADER.size
    while at < len(message) and (length := message[at]):
        if length > _LABEL_BYTES_MAX:  # a pointer, to which nothing precedes
            return None
        labels.append(message[at + 1 : at + 1 + length])
        at += 1 + length
    end = at + 1 + _QUESTION.size
    if end > len(message) or at - _HEADER.size >= _NAME_BYTES_MAX:
        return None
    kind, of_class = _QUESTION.unpack_from(message, at + 1)
    if of_class != _IN:
        return None
    return Query(number, flags, message[_HEADER.size : end], _joined(labels), kind)


def _joined(labels: list[bytes]) -> str | None:
    if any(b"." in label or not label.isascii() for label in labels):
        return None
    return b".".join(labels).decode("ascii")


def answer(query: Query, code: int, address: bytes | None = None) -> bytes:
    """Return the response, with at most one address, which is of the type that was asked for."""
    flags = _RESPONSE | _RECURSION_AVAILABLE | (query.flags & _RECURSION_DESIRED) | code
    head = _HEADER.pack(query.number, flags, 1, 0 if address is None else 1, 0, 0)
    if address is None:
        return head + query.question
    record = _RECORD.pack(_NAME_OF_QUESTION, query.kind, _IN, TTL_S, len(address))
    return head + query.question + record + address
