"""Split a canonical path into segments, as it was sent and as a more lenient server may read it."""

from __future__ import annotations

import re
from collections.abc import Sequence

ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
OCTET = 0x100  # an escaped octet in a path becomes the single character chr(OCTET + octet)
_QUERY_MARK = r"[?#]"  # decoded; some gateways decode a path before they split it
_FORMAT = re.compile(
    r"(?<=.)\.(?:atom|csv|html?|ics|js|jsonp?|pdf|rss|txt|xml|ya?ml)\Z", re.ASCII | re.IGNORECASE
)
# Matches what some server might read differently from `exact`: an escape, a parameter, a dot that ends a
# segment or begins a format, a number with another spelling.
_READ_OTHERWISE = re.compile(r"[%;]|\.(?:/|\Z)|\.[A-Za-z]+/?\Z|/[+0]|\d_|\.0", re.ASCII)


def exact(path: str) -> list[str]:
    """Split a canonical path into segments as sent; a trailing slash makes no difference."""
    text = ESCAPE.sub(lambda found: chr(OCTET + int(found[1], 16)), path) if "%" in path else path
    return segments_of(text)


def readings(path: str) -> list[list[str]]:
    """Return the ways in which servers split a canonical path, from `exact` to the most lenient."""
    found = [exact(path)]
    if _READ_OTHERWISE.search(path) is None:
        return found
    found.append(loose(path))
    for read in (_trimmed, _without_format):
        if (other := read(found[-1])) != found[-1]:
            found.append(other)
    return found + [other for each in found if (other := [*map(_as_number, each)]) != each]


def loose(path: str) -> list[str]:
    """Split a path as a lenient server may read it.

    Decodes escapes, ends a segment at a path parameter (";x") and the path at an escaped "?" or "#", resolves
    dot segments.
    """
    read: list[str] = []
    for segment in segments_of(path):
        name = ESCAPE.sub(_decoded, segment.partition(";")[0]).partition(";")[0]
        name, ends = _before_query(name)
        if name == "..":
            del read[-1:]
        elif name not in ("", "."):
            read.append(name)
        if ends:
            break
    return read


def may_be_below(base: str, path: str) -> bool:
    """Return True if a lenient server may take a canonical path for one at or below `base`.

    A base without a name is that of every path.
    """
    names = [segment.lower() for segment in loose(base)]
    return any([segment.lower() for segment in read[: len(names)]] == names for read in readings(path))


def _before_query(name: str) -> tuple[str, bool]:
    found = re.search(_QUERY_MARK, name)
    return (name, False) if found is None else (name[: found.start()], True)


def _trimmed(segments: Sequence[str]) -> list[str]:
    """Drop trailing dots and blanks of a name, as servers on Windows do."""
    names = [segment.rstrip(". \t") for segment in segments]
    return [name for name in names if name]


def _without_format(segments: Sequence[str]) -> list[str]:
    """Drop the suffix with which clients of some frameworks (Rails, Spring) request a format."""
    if not segments:
        return []
    return [*segments[:-1], _FORMAT.sub("", segments[-1])]


def _as_number(name: str) -> str:
    """Return a number as plain digits.

    Servers that convert identifiers (Werkzeug, pydantic, JavaScript) treat 07, +7, 7.0, 0_7 and the digits of
    other scripts as 7.
    """
    whole, _, fraction = name.strip().partition(".")
    octets = bytes(ord(each) & 0xFF for each in whole.removeprefix("+").replace("_", ""))
    digits = octets.decode("utf-8", "replace")
    if fraction.strip("0") or not digits.isdecimal():
        return name
    return "".join(str(int(each)) for each in digits).lstrip("0") or "0"


def segments_of(path: str) -> list[str]:
    """Split a path at its slashes; a trailing slash makes no difference."""
    trimmed = path.removesuffix("/")
    return trimmed.split("/")[1:] if trimmed else []


def _decoded(found: re.Match[str]) -> str:
    octet = int(found[1], 16)
    return chr(octet if octet < 0x80 else OCTET + octet)
