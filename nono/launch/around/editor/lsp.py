"""Leave the number of the editor's process out of what it says to a language server (LSP).

The server is told that number when it starts, and ends itself once there is no such process (`processId` of
`initialize`). It cannot see the processes outside, so those on Node would end after three seconds.
https://microsoft.github.io/language-server-protocol/specifications/lsp/3.17/specification/
"""

from __future__ import annotations

import json
from collections.abc import Iterator

HEAD_END = b"\r\n\r\n"
FIRST_BYTES_MAX = 16 * 1024 * 1024


def from_editor(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what the server gets: the same, without the number in the first message, which is `initialize`.

    Anything but a message of LSP is yielded as it is, and as it comes.
    """
    begun = b""
    for piece in pieces:
        begun += piece
        first = _first_message(begun)
        if first is not None:
            yield first
            break
    else:
        yield begun
    yield from pieces


def _first_message(begun: bytes) -> bytes | None:
    """Return what the server gets in place of `begun`; None as long as its first message is not complete."""
    head, end, rest = begun.partition(HEAD_END)
    if not end:
        return None if len(begun) < FIRST_BYTES_MAX else begun
    length = _length(head)
    if length is None or length > FIRST_BYTES_MAX:
        return begun
    if len(rest) < length:
        return None
    return _without_process(rest[:length]) + rest[length:]


def _length(head: bytes) -> int | None:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return None


def _without_process(body: bytes) -> bytes:
    """Return a message with its head. Other fields of the head repeat the standard, so they are left out."""
    try:
        message = json.loads(body)
        if message["method"] == "initialize":
            message["params"]["processId"] = None
        body = json.dumps(message, separators=(",", ":")).encode()
    except (ValueError, RecursionError, KeyError, TypeError):  # the server says what it thinks of it
        pass
    return b"Content-Length: %d" % len(body) + HEAD_END + body
