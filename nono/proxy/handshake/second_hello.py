"""Follow a handshake in which the server asks for a second ClientHello (RFC 8446 section 4.1.4).

That one is in the clear too, and a server that takes the name from it serves the host that it names.
"""

from __future__ import annotations

from nono.proxy.handshake import client_hello
from nono.proxy.handshake.client_hello import Hello, NeedMore, NotTls

MAX_ANSWER_BYTES = 4096  # in which a server says whether it asks again: many times what that takes
MAX_BYTES = 64 * 1024  # of what a client sends in between: data for a session that the server did not resume

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

_KINDS = _CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _APPLICATION_DATA = 20, 21, 22, 23  # of records
_HEADER_BYTES = 5
_SERVER_HELLO = 2
# RFC 8446 section 4.1.3: the random of a ServerHello that is a HelloRetryRequest.
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")
_RANDOM_AT = 4 + 2  # type and length, legacy_version
_TOLD_BYTES = _RANDOM_AT + len(_RETRY)


def first_flight(received: bytes) -> int | None:
    """Return how many bytes the records of the ClientHello take that `received` begins with.

    None: something else follows it in the last of them, which may be a second one.
    """
    message, position, size = bytearray(), 0, 4
    while len(message) < size:
        end = _end_of_record(received, position)
        message += received[position + _HEADER_BYTES : end]
        position = end
        if len(message) >= 4:
            size = 4 + int.from_bytes(message[1:4], "big")
    return position if len(message) == size else None


def asks_again(answer: bytes) -> Literal["more", "yes", "no"]:
    """Judge everything that a server has sent, from the first byte. "more": that cannot be told yet."""
    message, position = bytearray(), 0
    while position < len(answer):
        if answer[position] != _HANDSHAKE:
            return "no"
        end = _end_of_record(answer, position)
        message += answer[position + _HEADER_BYTES : end]
        position = end
        told = bytes(message[:_TOLD_BYTES])
        if (told and told[0] != _SERVER_HELLO) or not _RETRY.startswith(told[_RANDOM_AT:]):
            return "no"
        if len(told) == _TOLD_BYTES:
            return "yes"
    return "more" if len(answer) < MAX_ANSWER_BYTES else "yes"


def cannot_follow(received: bytes) -> bool:
    """Return True if what a client has sent after its first ClientHello is no TLS: servers give up then."""
    position = _past_data(received)
    return position < len(received) and received[position] not in _KINDS


def parse(received: bytes) -> Hello | NeedMore | NotTls:
    """Judge everything that a client has sent after its first ClientHello, until the second is whole."""
    position = _past_data(received)
    if position < len(received):
        if received[position] == _HANDSHAKE:
            return client_hello.parse(received[position:])
        return NotTls("no second ClientHello follows")
    if len(received) > MAX_BYTES:
        return NotTls("too much precedes the second ClientHello")
    return NeedMore()


def _past_data(received: bytes) -> int:
    """Return where the first record begins that neither changes ciphers nor holds data."""
    position = 0
    while position < len(received) and received[position] in (_CHANGE_CIPHER_SPEC, _APPLICATION_DATA):
        position = _end_of_record(received, position)
    return position


def _end_of_record(received: bytes, position: int) -> int:
    header = received[position : position + _HEADER_BYTES]
    return position + _HEADER_BYTES + int.from_bytes(header[3:5], "big")
