"""The keys that leave a session, as config.toml spells them and as a terminal sends them."""

from __future__ import annotations

_NAMED = {"esc": b"\x1b", "tab": b"\t", "enter": b"\r", "space": b" "}
# ^@, ^A to ^Z and the five behind them: what a terminal sends is the character less 64.
_CONTROLS = "@abcdefghijklmnopqrstuvwxyz[\\]^_"
KEYS_MIN = 2  # one key alone would be taken from the program inside


def parse_keys(text: str) -> bytes:
    """The bytes of the keys in text, which blanks separate. ValueError says what is wrong."""
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
    raise ValueError(f"'{word}' is no key: ctrl-x, esc, tab, enter, space or one character is expected")
