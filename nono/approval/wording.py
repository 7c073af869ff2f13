"""Words a question as lines for a person, so that no value in it can pass for another line from nono."""

from __future__ import annotations

from unicodedata import bidirectional, category, combining, east_asian_width

from nono.approval.request import EndpointRequest, FileOpen, Request
from nono.policy.capability import Access

PREFIX = "[nono]"
COLUMNS = 60  # of a value on one line; not the window's width, which the sandboxed process can set
LINES_MAX = 12  # of one value; a longer one would push the question out of sight

_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and a symbol by category, yet invisible

_ACCESS = {Access.READ: "read-only", Access.WRITE: "write-only", Access.READWRITE: "read+write"}


def lines(request: Request, expires_s: float) -> list[str] | None:
    """Return the question without its last line, which is `ask`; None if it is too long to show whole."""
    fields = [*_fields(request), ("Expires", f"without an answer within {expires_s:g} s")]
    width = max(len(name) for name, _ in fields) + 1
    shown = ["", f"{PREFIX} The sandboxed process is requesting additional access:"]
    for name, value in fields:
        pieces = _pieces(value)
        if len(pieces) > LINES_MAX:
            return None
        shown.append(f"{PREFIX}   {name + ':':<{width}} {pieces[0]}")
        shown += (f"{PREFIX}   {'':<{width}} {piece}" for piece in pieces[1:])
    return [*shown, PREFIX]


def ask() -> str:
    return f"{PREFIX} Grant access? [y/N] "


def outcome(is_granted: bool) -> str:
    return f"{PREFIX} Access {'granted' if is_granted else 'denied'}."


def _fields(request: Request) -> list[tuple[str, str]]:
    match request:
        case FileOpen():
            access = _ACCESS[request.access] + (", emptied first" if request.truncates else "")
            return [
                ("Path", harmless(request.path)),
                ("Access", access if request.kind == "file" else f"{access} ({request.kind})"),
                ("Reason", "an intercepted file open"),
                ("Scope", "this one open, usable until it is closed"),
            ]
        case EndpointRequest(host, method, path, route, rule):
            fields = [
                ("Route", harmless(route or "(none)")),
                ("Method", harmless(method)),
                ("Path", harmless(path)),
                ("Upstream", harmless(host)),
                ("Rule", harmless(rule.label)),
            ]
            if rule.reason:
                fields.append(("Reason", harmless(rule.reason)))
            return [*fields, ("Scope", "this one request")]


def harmless(text: str) -> str:
    """Spell out everything in text that a terminal might obey or a person would not see.

    Control characters and backslashes; format characters, which are invisible; bidi controls and
    right-to-left letters, which reorder their neighbours; combining marks; blanks other than the space;
    surrogates, which stand for non-UTF-8 bytes; a second space in a row, because enough of them end the line.
    """
    shown = []
    for position, c in enumerate(text):
        second_space = c == " " and (position == 0 or text[position - 1] == " ")
        if c == "\\" or second_space or not (c == " " or _is_plain(c)):
            shown.append(_escaped(c))
        else:
            shown.append(c)
    return "".join(shown)


def _is_plain(c: str) -> bool:
    if c in _BLANK_LETTERS or bidirectional(c) in ("R", "AL", "AN"):
        return False
    return category(c)[0] in "LNPS" and not combining(c)


def _escaped(c: str) -> str:
    code = ord(c)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if c == "\\":
        return "\\\\"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _pieces(value: str) -> list[str]:
    """Cut value into lines of at most COLUMNS; wide characters take two."""
    pieces, columns = [""], 0
    for c in value:
        width = 2 if east_asian_width(c) in "WF" else 1
        if columns + width > COLUMNS:
            pieces.append("")
            columns = 0
        pieces[-1] += c
        columns += width
    return pieces
