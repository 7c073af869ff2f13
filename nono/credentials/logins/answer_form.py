"""Read and write a token endpoint's response that is a form, as GitHub's is unless it was asked for JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nono.credentials.values.credential import Header

_MAX_PAIRS = 100
_KIND = b"application/x-www-form-urlencoded"


def is_form(headers: Sequence[Header]) -> bool:
    """Return True if the one content type of a response is a form's."""
    kinds = [value for name, value in headers if name.lower() == b"content-type"]
    return len(kinds) == 1 and kinds[0].partition(b";")[0].strip().lower() == _KIND


def parse_form(body: bytes) -> dict[str, object] | None:
    """Return the fields of a form. Returns None for one that a client might read in another way.

    WHATWG URL section 5.1. A name that is repeated, a byte or an escape outside UTF-8 and a semicolon, which
    separated fields once, are read in more than one way.
    """
    # Imported here, as below: each command waits for this module, and few log in.
    from urllib.parse import parse_qsl

    if not body.isascii() or b";" in body:
        return None
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_PAIRS,
        )
    except ValueError:
        return None
    fields: dict[str, object] = dict(pairs)
    return fields if len(fields) == len(pairs) else None


def written_form(fields: Mapping[str, object]) -> bytes:
    """Return the body of a form. The values are strings."""
    from urllib.parse import urlencode

    return urlencode(fields).encode("ascii")
