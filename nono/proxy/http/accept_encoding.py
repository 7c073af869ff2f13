"""Choose the Accept-Encoding of a request whose response must be decoded here (RFC 9110 section 12.5.3)."""

from __future__ import annotations

import re
from collections.abc import Sequence

_MEMBER = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:[ \t]*;[ \t]*[qQ]=([01](?:\.[0-9]{0,3})?))?", re.ASCII
)
_DECODED = (b"gzip", b"x-gzip", b"deflate", b"br", b"zstd")


def accept_encoding(values: Sequence[bytes]) -> bytes:
    """Return the Accept-Encoding to send when the response must be decoded here.

    `values` are the client's fields. Codings both sides understand keep their weight, 0 included; "*" stands
    for each coding known here that is not named (RFC 9110 section 12.5.3). Without a field the result is
    ``identity``, because such a client does not expect a coded body.
    """
    if not values:
        return b"identity"
    weights = _weights(values)
    others = weights.pop(b"*", None)
    if others is not None:
        # Except x-gzip, which is an alias of gzip.
        weights |= {coding: others for coding in _DECODED if coding not in (*weights, b"x-gzip")}
    kept = [(coding, weight) for coding, weight in weights.items() if coding in (*_DECODED, b"identity")]
    return b", ".join(coding + (b";q=" + weight if weight else b"") for coding, weight in kept) or b"identity"


def _weights(values: Sequence[bytes]) -> dict[bytes, bytes]:
    """Map each coding to its weight as written, in the client's order. Malformed members are ignored."""
    members = (_MEMBER.fullmatch(member.strip(b" \t")) for member in b",".join(values).split(b","))
    return {member[1].lower(): member[2] or b"" for member in members if member is not None}
