"""Recognise charsets that encode ASCII differently, in which no secret would be found."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from functools import lru_cache

_CHARSET = re.compile(rb'[;\s]charset\*?\s*=\s*["\']?\s*([^"\';,\s]*)', re.IGNORECASE)
# A run of blanks is looked at from its beginning alone: a client may send many.
_PARAMETER = re.compile(
    rb'(?:(?<!\s)\s++)?;\s*charset\*?\s*=\s*(?:"(?:[^"\\]|\\.)*"?|[^;,\s]*)', re.IGNORECASE
)
# Known supersets of ASCII; charsets that Python knows are compared.
_SUPERSETS = frozenset((b"utf-8", b"utf8", b"us-ascii", b"ascii", b"iso-8859-1", b"utf8mb4", b"binary", b""))
_NAME_MAX = 64  # longer than each name that Python knows
_ASCII = bytes(range(0x20, 0x7F)).decode()


def unsearchable_charset(content_types: Iterable[bytes]) -> str | None:
    """Return a charset named there that is no superset of ASCII, or that nobody knows; None if all are."""
    for each in content_types:
        if (charset := _unsearchable(each)) is not None:
            return charset
    return None


@lru_cache(256)  # upstreams send the same few repeatedly
def _unsearchable(content_type: bytes) -> str | None:
    for name in _CHARSET.findall(content_type):
        if name.lower() not in _SUPERSETS and not _has_ascii(name.lower()):
            return bytes(name)[:32].decode("ascii", "replace")
    return None


def _has_ascii(name: bytes) -> bool:
    if len(name) > _NAME_MAX:
        return False  # Python would keep it for ever, among the names that it has not found
    try:
        return _ASCII.encode(codecs.lookup(name.decode("ascii")).name) == _ASCII.encode()
    except (LookupError, ValueError):  # UnicodeError is a ValueError; bytes-to-bytes codecs raise LookupError
        return False


def without_charsets(accept: bytes) -> bytes:
    """Return an Accept value without its charset parameters."""
    return _PARAMETER.sub(b"", accept) if b"charset" in accept.lower() else accept
