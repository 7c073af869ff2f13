"""Pairs of secrets of one shape, and the spellings in which a text may hold one or the beginning of one."""

from __future__ import annotations

import html
import json
import random
import string
from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

_BASE64 = string.ascii_letters + string.digits + "+/"
_CLASSES = (string.ascii_lowercase, string.ascii_uppercase, string.digits)


def _drawn(choice: random.Random, alphabet: str, length: int) -> str:
    return "".join(choice.choices(alphabet, k=length))


SHAPES: dict[str, Callable[[random.Random], str]] = {
    "token": lambda choice: "sk-" + _drawn(choice, string.ascii_letters + string.digits, 33),
    "hex": lambda choice: _drawn(choice, "0123456789abcdef", 40),
    "base64": lambda choice: _drawn(choice, _BASE64, 20) + "+/" + _drawn(choice, _BASE64, 20) + "==",
    "password": lambda choice: (
        _drawn(choice, string.ascii_letters, 6) + "'!&<\"" + _drawn(choice, "abc019", 6)
    ),
    "short": lambda choice: _drawn(choice, string.ascii_letters, 8),
}


def twins(seed: int, shape: str) -> tuple[str, str]:
    """Draw two secrets with the same special characters at the same places, different at every other."""
    choice = random.Random(f"{seed}/{shape}")
    first = SHAPES[shape](choice)
    return first, "".join(_other(choice, character) for character in first)


def _other(choice: random.Random, character: str) -> str:
    alphabet = next((each for each in _CLASSES if character in each), "")
    return choice.choice(alphabet.replace(character, "")) if alphabet else character


SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "json": lambda text: json.dumps(text)[1:-1],
    "slashes": lambda text: json.dumps(text)[1:-1].replace("/", "\\/"),
    "percent": lambda text: quote(text, safe=""),
    "every octet": lambda text: "".join(f"%{ord(each):02x}" for each in text),
    "html": lambda text: html.escape(text),
    "references": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "escapes": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "base64": lambda text: b64encode(text.encode()).decode().rstrip("="),
    "shifted": lambda text: b64encode(b"\0" + text.encode()).decode()[2:].rstrip("="),
    "hex": lambda text: text.encode().hex(),
}
# Those in which texts of one shape are equally long, with their special characters at the same places.
ALIKE = ("raw", "json", "slashes", "percent", "every octet", "html", "escapes", "hex")


def disclosed(secret: str, seen: bytes) -> str | None:
    """Return the spelling in which `seen` holds the secret."""
    if len(secret) < 8:
        return None
    return next((name for name, spell in SPELLINGS.items() if spell(secret).encode() in seen), None)
