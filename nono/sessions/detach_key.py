"""Find the detach keys in a person's input."""

from __future__ import annotations

from functools import cache

from nono.named_tuple import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re

# A key in the kitty protocol and in xterm's modifyOtherKeys: code point, modifiers, event.
_ENHANCED = (
    rb"\x1b\[(?P<point>[0-9]{1,7})(?::[0-9:]*)?(?:;(?P<mod>[0-9]{0,4})(?::(?P<event>[0-9]))?(?:;[0-9:]*)?)?u"
    rb"|\x1b\[27;(?P<mod2>[0-9]{1,4});(?P<point2>[0-9]{1,7})~"
)
_ESCAPE = 0x1B
_CONTROL = 4  # bit of the modifiers, which are sent plus one
_LOCKS = 64 | 128  # caps and num lock
_RELEASE = b"3"


class Typed(NamedTuple):
    """The input to pass on, and whether the detach keys follow it."""

    passed: bytes
    detached: bool = False


class DetachKeys:
    """The detach keys, in order. Input that may begin them is held back until the next key."""

    def __init__(self, keys: bytes) -> None:
        self._keys = keys
        self._count = 0  # number of keys typed so far
        self._held = b""

    @property
    def first(self) -> bytes:
        """The byte that the first key sends."""
        return self._keys[:1]

    @property
    def is_begun(self) -> bool:
        """True if the next key may complete them."""
        return self._count > 0

    def feed(self, typed: bytes) -> Typed:
        """Take typed input. Input after the detach keys is dropped."""
        passed: list[bytes] = []
        position = 0
        while position < len(typed):
            key, end = _key(typed, position)
            raw, position = typed[position:end], end
            if key is None and self._count:  # a key release
                self._held += raw
            elif key == self._keys[self._count]:
                self._held += raw
                self._count += 1
                if self._count == len(self._keys):
                    self._count, self._held = 0, b""
                    return Typed(b"".join(passed), detached=True)
            else:
                passed.append(self._held)
                self._count, self._held = 0, b""
                if key == self._keys[0]:
                    self._count, self._held = 1, raw
                else:
                    passed.append(raw)
        return Typed(b"".join(passed))


def _key(typed: bytes, position: int) -> tuple[int | None, int]:
    """Return the byte of a key (None: a release; -1: not a key) and the position after it."""
    match = _enhanced().match(typed, position) if typed[position] == _ESCAPE else None
    if match is None:
        return typed[position], position + 1
    if match["event"] == _RELEASE:
        return None, match.end()
    point = int(match["point"] or match["point2"])
    modifiers = (int(match["mod"] or match["mod2"] or b"1") - 1) & ~_LOCKS
    if modifiers == 0 and point < 0x80:
        return point, match.end()
    if modifiers == _CONTROL and (0x40 <= point < 0x60 or 0x61 <= point <= 0x7A):
        return point & 0x1F, match.end()
    return -1, match.end()


@cache
def _enhanced() -> re.Pattern[bytes]:
    # Imported here: most people who type send plain keys.
    import re

    return re.compile(_ENHANCED)
