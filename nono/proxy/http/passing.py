"""Choose the fields of a checked HTTP message that go on to the next hop (RFC 9110 section 7.6.1)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from nono.named_tuple import NamedTuple
from nono.proxy.http.message import KEPT_NAMES_BYTES, Header, MessageError, checked_fields, list_members

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
_NEVER_IN_TRAILERS = HOP_BY_HOP | frozenset(
    (
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-range",
        b"content-type",
        b"cookie",
        b"expect",
        b"host",
        b"location",
        b"set-cookie",
        b"www-authenticate",
        b"x-api-key",
        b"x-goog-api-key",
    )
)


def end_to_end(headers: Sequence[Header], *, without: frozenset[bytes] = frozenset()) -> list[Header]:
    """Drop hop-by-hop fields, fields named by Connection, and those in `without` (folded names).

    Host stays even if Connection names it, because it routes the message. A name with underscores counts as
    the one with hyphens, since CGI and its successors (RFC 3875 section 4.1.18) do not distinguish them.

    headers: of a checked head.

    Raises MessageError if a name has a blank, which no checked head has.
    """
    joined = b" ".join([name for name, _ in headers])
    passing = (_kept_passing if len(joined) <= KEPT_NAMES_BYTES else _passing)(joined, without)
    if passing.total != len(headers):
        raise MessageError("the name of a header field is not well-formed")
    values = [headers[at][1].lower() for at in passing.connection]
    if values and values not in _NAMES_NO_FIELD:
        named = {folded(name) for name in list_members(values)} - {b"host", b"content-length"}
        return [headers[at] for at in passing.kept if folded(headers[at][0]) not in named]
    return [headers[at] for at in passing.kept]


_NAMES_NO_FIELD = ([b"keep-alive"], [b"close"])  # Keep-Alive is a hop-by-hop field anyway


class _Passing(NamedTuple):
    """The positions of the fields that a head keeps, and of its Connection fields."""

    kept: tuple[int, ...]
    connection: tuple[int, ...]
    total: int  # of all fields


def _passing(joined: bytes, without: frozenset[bytes]) -> _Passing:
    names = [*enumerate(folded(joined).split(b" "))] if joined else []
    return _Passing(
        tuple([at for at, name in names if name not in HOP_BY_HOP and name not in without]),
        tuple([at for at, name in names if name == b"connection"]),
        len(names),
    )


MAX_KEPT_PASSING = 128  # the same few names, each with a few constant values
_kept_passing = lru_cache(MAX_KEPT_PASSING)(_passing)


def folded(name: bytes) -> bytes:
    """Return a field name in lower case with underscores as hyphens, as CGI-like servers read it."""
    return name.lower().replace(b"_", b"-")


def trailers(fields: Sequence[Header]) -> list[Header]:
    """Return the trailer fields that may be relayed (RFC 9110 section 6.5.1). Raises MessageError."""
    checked, names = checked_fields(fields)
    return [field for name, field in zip(names.lower, checked, strict=True) if name not in _NEVER_IN_TRAILERS]
