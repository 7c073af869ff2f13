"""Track the modes that a program sets in its terminal, to set them in another terminal or to undo them.

Only sequences that change a mode are recognised. Of the screen, only the state that would remain in a
terminal after detaching is tracked: scrolling region, character sets and colours.
"""

from __future__ import annotations

import re

ALTERNATE = (1049, 1047, 47)  # alternate screens; the one set last is left last
SYNCHRONIZED = 2026
# The initial state of a terminal; ANSI modes, without a question mark, are negative. It is unknown what
# undoes other modes. Origin mode (6) is handled with the scrolling region.
_DEFAULTS = {7: True, 25: True} | dict.fromkeys(
    (
        *(1, 5, 9, 45, 66, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2026, 2031, 2048),
        *(*ALTERNATE, -4, -20),
    ),
    False,
)
_KITTY_MAX = 16  # levels of the stack in terminals
_SEQUENCE = re.compile(
    rb"\x1b(?:\[(?:\?(?P<private>[0-9;]{1,64}[hl])|>(?P<push>[0-9;]{0,16})u|<(?P<pop>[0-9]{0,4})u"
    rb"|=(?P<flags>[0-9]{1,8})(?:;[0-9])?u|>4(?:;(?P<other>[0-9]{0,2}))?m"
    rb"|(?P<plain>[0-9;]{0,64}+(?:[hlr]| q)))"
    rb"|(?P<keypad>[=>])|[()](?P<charset>[0-9A-Z])|(?P<reset>c)"
    rb"|\](?:(?P<colour>4;[0-9]{1,3}|1[0-2]);[^?\x07\x1b]|(?P<uncolour>104|11[0-2])[\x07\x1b]))"
)
_CARRIED_MAX = 80  # longer than any of these sequences
# What such a sequence may have between its escape and what tells it from one for colours, and all else.
_PASSED_OVER = bytes({*range(256)} - {*b"\x1b[?<=>()]chlmqru"})
# What undoes a state that the screen has rather than the terminal.
_UNDO = {
    b"region": b"\x1b[?6l\x1b7\x1b[r\x1b8",
    b"charset": b"\x1b(B\x0f",
    b"4": b"\x1b]104\x1b\\",
    **{b"1%d" % number: b"\x1b]11%d\x1b\\" % number for number in range(3)},
}


class Modes:
    """The modes of one terminal."""

    def __init__(self) -> None:
        self._changed: dict[
            int, bool
        ] = {}  # modes that differ from the initial state, in the order they were set
        self._kitty: list[bytes] = []  # stack of flags of the kitty keyboard protocol
        self._other_keys = b""  # xterm's modifyOtherKeys
        self._keypad = False
        self._shape = b""  # cursor shape
        self._undo: dict[bytes, bytes] = {}
        self._carried = b""

    def feed(self, output: bytes) -> bool:
        """Track output written to the terminal; sequences may be split. Returns True if one was found."""
        text = self._carried + output
        last = text.rfind(b"\x1b")
        if last < 0:
            self._carried = b""
            return False
        found = False
        end = 0
        # Most of what programs write is colours, and counting is quicker than looking at each.
        start = last if _only_colours_before_last(text) else 0
        for match in _SEQUENCE.finditer(text, start):
            self._apply(match)
            found, end = True, match.end()
        tail = text[max(last, end) :]
        self._carried = tail if last >= end and len(tail) <= _CARRIED_MAX else b""
        return found

    def _apply(self, match: re.Match[bytes]) -> None:
        what = match.lastgroup
        value = match[what] or b"" if what else b""
        match what:
            case "private":
                for number in value[:-1].split(b";"):
                    self._set(int(number or b"0"), value.endswith(b"h"))
            case "plain":
                self._apply_plain(value)
            case "push":
                self._kitty = [*self._kitty, value or b"0"][-_KITTY_MAX:]
            case "pop":
                del self._kitty[max(len(self._kitty) - int(value or b"1"), 0) :]
            case "flags":
                self._kitty = [*self._kitty[:-1], value]
            case "keypad":
                self._keypad = value == b"="
            case "charset":
                self._note(b"charset", value != b"B")
            case "colour":
                self._note(value.partition(b";")[0], True)
            case "uncolour":
                self._note(b"4" if value == b"104" else value[1:], False)
            case "reset":
                self.__init__()  # type: ignore[misc]  # the terminal begins anew, and so do we
            case _:  # modifyOtherKeys, with or without a value
                self._other_keys = value

    def _apply_plain(self, value: bytes) -> None:
        """Apply a sequence without a private marker: numbers and a final letter."""
        if value.endswith(b"r"):
            self._note(b"region", value != b"r")
        elif value.endswith(b"q"):
            self._shape = value[:-2].strip(b"0")
        else:
            for number in value[:-1].split(b";"):
                self._set(-int(number or b"0"), value.endswith(b"h"))

    def _note(self, what: bytes, is_set: bool) -> None:
        self._undo.pop(what, None)
        if is_set:
            self._undo[what] = _UNDO[what]

    def _set(self, mode: int, is_set: bool) -> None:
        if mode in _DEFAULTS:
            self._changed.pop(mode, None)
            if is_set != _DEFAULTS[mode]:
                self._changed[mode] = is_set

    @property
    def is_alternate(self) -> bool:
        return any(screen in self._changed for screen in ALTERNATE)

    def arm_screen(self) -> bytes:
        """Return the sequence that switches to the alternate screen, if it is shown."""
        return b"".join(_mode(mode, True) for mode in self._changed if mode in ALTERNATE)

    def arm(self) -> bytes:
        """Return the sequences that set these modes in a fresh terminal, the alternate screen first."""
        return self.arm_screen() + self.arm_others()

    def arm_others(self) -> bytes:
        """Return the sequences that set these modes, without the screen."""
        others = (mode for mode in self._changed if mode not in (*ALTERNATE, SYNCHRONIZED))
        parts = [_mode(mode, self._changed[mode]) for mode in others]
        parts += [b"\x1b[>%bu" % flags for flags in self._kitty]
        if self._other_keys:
            parts.append(b"\x1b[>4;%bm" % self._other_keys)
        if self._keypad:
            parts.append(b"\x1b=")
        if self._shape:
            parts.append(b"\x1b[%b q" % self._shape)
        return b"".join(parts)

    def disarm(self) -> bytes:
        """Return the sequences that undo these modes and nothing else; the alternate screen is left last."""
        parts = [b"\x1b[<%du" % len(self._kitty)] if self._kitty else []
        if self._other_keys:
            parts.append(b"\x1b[>4m")
        if self._keypad:
            parts.append(b"\x1b>")
        if self._shape:
            parts.append(b"\x1b[0 q")
        parts += self._undo.values()
        ordered = sorted(self._changed, key=lambda mode: mode in ALTERNATE)
        parts += [_mode(mode, _DEFAULTS[mode]) for mode in ordered]
        return b"".join(parts)


def _only_colours_before_last(output: bytes) -> bool:
    """Check that all sequences, but perhaps the last, set colours (SGR) or are none that is looked for."""
    bare = output.translate(None, _PASSED_OVER)
    last = bare.rfind(b"\x1b")
    return bare.count(b"\x1b") - 1 == bare.count(b"\x1b[m", 0, last)


# Control sequences and strings, whole ones; what else is not blank is seen.
_UNSEEN = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\|$)|[ -/]*[0-~])|[\x00-\x20\x7f]", re.DOTALL
)


def is_seen(output: bytes) -> bool:
    """Return True if a program's output shows anything on a screen."""
    return bool(_UNSEEN.sub(b"", output))


def _mode(mode: int, is_set: bool) -> bytes:
    return b"\x1b[%b%d%b" % (b"?" if mode > 0 else b"", abs(mode), b"h" if is_set else b"l")
