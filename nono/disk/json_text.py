"""Write and read JSON by the C code behind the json package.

That package imports re and enum for what this leaves out, and takes 3 of the 43 ms of a run (ADR 68).
"""

from __future__ import annotations

# What json.encoder and json.decoder call.
from _json import encode_basestring, encode_basestring_ascii, make_encoder, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_BLANKS = " \t\n\r"  # RFC 8259 section 2


quoted = encode_basestring  # a JSON string, in which only quotes, backslashes and controls are escaped


def compact(value: object) -> str:
    """Return JSON without blanks, whose text need not be ASCII. Raises TypeError or ValueError for others."""
    return "".join(_compact(value, 0))


def compact_ascii(value: object) -> str:
    """Return JSON like compact(), with escapes for what is not ASCII, lone surrogates included."""
    return "".join(_compact_ascii(value, 0))


def indented(value: object) -> str:
    """Return JSON as json.dumps does with an indent of 2, whose text need not be ASCII."""
    return _indented(value, compact, "\n")


def indented_ascii(value: object) -> str:
    """Return JSON like indented(), with escapes for what is not ASCII."""
    return _indented(value, compact_ascii, "\n")


def _indented(value: object, text_of: Callable[[object], str], margin: str) -> str:
    """margin: A line break, and the blanks before what closes an object or array here."""
    inner = f"{margin}  "
    if isinstance(value, dict) and value:
        fields = (f"{text_of(name)}: {_indented(each, text_of, inner)}" for name, each in value.items())
        return f"{{{inner}{f',{inner}'.join(fields)}{margin}}}"
    if isinstance(value, list | tuple) and value:
        return f"[{inner}{f',{inner}'.join(_indented(each, text_of, inner) for each in value)}{margin}]"
    return text_of(value)


def parse(text: str) -> Any:
    """Return the value of a JSON text. Raises ValueError, for NaN and infinities too, or RecursionError."""
    text = text.strip(_BLANKS)
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        raise ValueError("no JSON value") from None
    if end != len(text):
        raise ValueError(f"more than one JSON value: another begins at character {end}")
    return value


def parse_object(content: bytes) -> dict[str, object]:
    """Return the object that `content` holds; empty if it is malformed or holds anything else.

    The text may be a secret, which the parser's exception would carry: it must not propagate.
    """
    try:
        document = parse(content.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def _refuse(value: object) -> object:
    raise TypeError(f"a {type(value).__name__} is no JSON value")


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON value")


class _Decoder:
    """What the scanner asks a json.JSONDecoder for."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int = float, int
    parse_constant = staticmethod(_refuse_constant)


# The arguments of json.JSONEncoder.iterencode: no search for circles, no indent, separators, no sorting, no
# skipped keys, no NaN.
_compact = make_encoder(None, _refuse, encode_basestring, None, ":", ",", False, False, False)
_compact_ascii = make_encoder(None, _refuse, encode_basestring_ascii, None, ":", ",", False, False, False)
_DECODER: Any = _Decoder()
_scan = make_scanner(_DECODER)
