"""Follows which modes a program has set in its terminal, to set them in another one or to undo them.

Only sequences that change a mode are looked for; nothing is known of the screen.
"""

from __future__ import annotations

import re

ALTERNATE = (1049, 1047, 47)  # screens; the last one set is left last
SYNCHRONIZED = 2026
# As a terminal has them at its start. Of others it is not known what undoes them.
_DEFAULTS = {25: True} | dict.fromkeys(
    (1, 9, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2026, 2031, 2048, *ALTERNATE),
    False,
)
_KITTY_MAX = 16  # levels of the stack that terminals keep
_SEQUENCE = re.compile(
    rb"\x1b(?:\[\?(?P<modes>[0-9;]{1,64})(?P<set>[hl])|\[>(?P<push>[0-9;]{0,16})u|\[<(?P<pop>[0-9]{0,4})u"
    rb"|\[=(?P<flags>[0-9]{1,8})(?:;[0-9])?u|\[>4(?:;(?P<other>[0-9]{0,2}))?m|(?P<reset>c)|(?P<keypad>[=>]))"
)
_CARRIED_MAX = 80  # longer than any of these sequences


class Modes:
    """The modes of one terminal."""

    def __init__(self) -> None:
        self._changed: dict[
            int, bool
        ] = {}  # those that are not as at the start, in the order of their setting
        self._kitty: list[bytes] = []  # flags of the kitty keyboard protocol, a stack
        self._other_keys = b""  # of xterm's modifyOtherKeys
        self._keypad = False
        self._carried = b""

    def feed(self, output: bytes) -> bool:
        """Follow what was written to the terminal; sequences may be split. Returns True if one was found."""
        text = self._carried + output
        last = text.rfind(b"\x1b")
        if last < 0:
            self._carried = b""
            return False
        found = False
        end = 0
        for match in _SEQUENCE.finditer(text):
            self._apply(match)
            found, end = True, match.end()
        tail = text[max(last, end) :]
        self._carried = tail if last >= end and len(tail) <= _CARRIED_MAX else b""
        return found

    def _apply(self, match: re.Match[bytes]) -> None:
        parts = match.groupdict()
        if parts["modes"] is not None:
            for number in parts["modes"].split(b";"):
                self._set(int(number or b"0"), parts["set"] == b"h")
        elif parts["push"] is not None:
            self._kitty = [*self._kitty, parts["push"] or b"0"][-_KITTY_MAX:]
        elif parts["pop"] is not None:
            del self._kitty[max(len(self._kitty) - int(parts["pop"] or b"1"), 0) :]
        elif parts["flags"] is not None:
            self._kitty = [*self._kitty[:-1], parts["flags"]]
        elif parts["reset"] is not None:
            self.__init__()  # type: ignore[misc]  # the terminal begins anew, and so do we
        elif parts["keypad"] is not None:
            self._keypad = parts["keypad"] == b"="
        else:
            self._other_keys = parts["other"] or b""

    def _set(self, mode: int, is_set: bool) -> None:
        if mode in _DEFAULTS:
            self._changed.pop(mode, None)
            if is_set != _DEFAULTS[mode]:
                self._changed[mode] = is_set

    @property
    def is_alternate(self) -> bool:
        return any(screen in self._changed for screen in ALTERNATE)

    def arm(self) -> bytes:
        """Return what sets these modes in a terminal that has none of them; the alternate screen first."""
        ordered = sorted(self._changed, key=lambda mode: mode not in ALTERNATE)
        parts = [_private(mode, self._changed[mode]) for mode in ordered if mode != SYNCHRONIZED]
        parts += [b"\x1b[>%bu" % flags for flags in self._kitty]
        if self._other_keys:
            parts.append(b"\x1b[>4;%bm" % self._other_keys)
        if self._keypad:
            parts.append(b"\x1b=")
        return b"".join(parts)

    def disarm(self) -> bytes:
        """Return what undoes these modes, and nothing that was not set; the alternate screen is left last."""
        parts = [b"\x1b[<%du" % len(self._kitty)] if self._kitty else []
        if self._other_keys:
            parts.append(b"\x1b[>4m")
        if self._keypad:
            parts.append(b"\x1b>")
        ordered = sorted(self._changed, key=lambda mode: mode in ALTERNATE)
        parts += [_private(mode, _DEFAULTS[mode]) for mode in ordered]
        return b"".join(parts)


# Control sequences and strings, whole ones; what else is not blank is seen.
_UNSEEN = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])|[\x00-\x20\x7f]", re.DOTALL
)


def is_seen(output: bytes) -> bool:
    """Return True if output of a program shows anything on a screen."""
    return bool(_UNSEEN.sub(b"", output))


def _private(mode: int, is_set: bool) -> bytes:
    return b"\x1b[?%d%b" % (mode, b"h" if is_set else b"l")
