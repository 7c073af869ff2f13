"""Parse the keys that detach from a session into the bytes that a terminal sends for them."""

from __future__ import annotations

_NAMED = {"esc": b"\x1b", "tab": b"\t", "enter": b"\r", "space": b" "}
# ^@, ^A to ^Z and the next five: a terminal sends the character's code minus 64.
_CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"
KEYS_MIN = 2  # a single key would be lost to the program inside


def parse_keys(text: str) -> bytes:
    """Return the bytes of blank-separated keys. Raises ValueError that names the mistake."""
    words = text.split()
    if len(words) < KEYS_MIN:
        raise ValueError(f"'{text}': at least {KEYS_MIN} keys are expected, such as 'ctrl-] d'")
    return b"".join(map(_key, words))


def _key(word: str) -> bytes:
    lower = word.lower()
    if lower in _NAMED:
        return _NAMED[lower]
    control = lower.removeprefix("ctrl-")
    if control != lower and len(control) == 1 and control in _CONTROLS:
        return bytes([_CONTROLS.index(control)])
    if len(word) == 1 and word.isprintable():
        return word.encode()
    raise ValueError(f"'{word}' is not a key: ctrl-x, esc, tab, enter, space or one character is expected")
