"""Serialise HTTP/1.1 messages from checked values."""

from __future__ import annotations

from collections.abc import Iterable

from nono.proxy.http.message import MAX_LINE_BYTES, TARGET, VALUE, Body, BodyKind, Header


def serialise(start_line: bytes, headers: Iterable[Header]) -> bytes:
    """Serialise a head. Every part must have passed request_head, response_head or checked_value."""
    return b"\r\n".join([start_line, *map(b": ".join, headers), b"", b""])


def lines(headers: Iterable[Header]) -> bytes:
    """Serialise header fields, as in `serialise`."""
    return b"\r\n".join([*map(b": ".join, headers), b""])


def checked_value(value: bytes) -> bytes:
    """Return `value` if it is safe in a header line.

    Raises ValueError (without the value) if it is empty, has surrounding blanks, or contains CR, LF, NUL or
    another control character.
    """
    if VALUE.fullmatch(value) is None or value.strip(b" \t") != value or not value:
        raise ValueError("not a header value")
    return value


def checked_target(target: bytes) -> bytes:
    """Return `target` if it is safe in a request line.

    Raises ValueError (without the target) for a blank, a control character, or more than twice
    MAX_LINE_BYTES.
    """
    if TARGET.fullmatch(target) is None or len(target) > 2 * MAX_LINE_BYTES:
        raise ValueError("not a request target")
    return target


def framing_fields(body: Body) -> list[Header]:
    """Return the fields that announce `body`, written by this hop."""
    kind = body.kind
    if kind is BodyKind.LENGTH:
        return [(b"Content-Length", b"%d" % body.length)]
    return [(b"Transfer-Encoding", b"chunked")] if kind is BodyKind.CHUNKED else []


def chunk(data: bytes) -> bytes:
    """Encode `data`, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(fields: Iterable[Header] = ()) -> bytes:
    """Encode the end of a chunked body, with the trailer fields."""
    return serialise(b"0", fields)
