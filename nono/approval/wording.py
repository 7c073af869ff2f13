"""Render a question as lines for a person, so that no value in it can imitate a line of nono's."""

from __future__ import annotations

from unicodedata import bidirectional, category, combining, east_asian_width

from nono.approval.request import EndpointRequest, FileOpen, HostRequest, LimitRequest, Request
from nono.policy.capability import Access
from nono.policy.endpoints.path_glob import is_literal
from nono.printable import UNSEEN

PREFIX = "[nono]"
COLUMNS = 60  # of a value on one line; not the window's width, which the sandboxed process can set
LINES_MAX = 12  # of one value; a longer one would push the question out of sight
BODY_LINES_MAX = 8  # of a body's beginning; fewer where the rest of the question needs the rows
ROWS_MAX = 24  # of a whole question: what scrolls off an alternate screen cannot be scrolled back to

_ACCESS = {Access.READ: "read-only", Access.WRITE: "write-only", Access.READWRITE: "read+write"}


def lines(request: Request, expires_s: float) -> list[str] | None:
    """Return the question without its last line, which is `ask`; None if it is too long to show whole."""
    for body_lines in range(BODY_LINES_MAX, 0, -1):
        shown = _lines(fields(request, body_lines), expires_s)
        if shown is None or len(shown) < ROWS_MAX:
            return shown
    return None


def _lines(named: list[tuple[str, str]], expires_s: float) -> list[str] | None:
    named = [*named, ("Expires", f"without an answer within {expires_s:g} s")]
    width = max(len(name) for name, _ in named) + 1
    shown = ["", f"{PREFIX} The sandboxed process is requesting additional access:"]
    for name, value in named:
        pieces = _pieces(value)
        if len(pieces) > LINES_MAX:
            return None
        label = f"{name}:" if name else ""
        shown.append(f"{PREFIX}   {label:<{width}} {pieces[0]}")
        shown += (f"{PREFIX}   {'':<{width}} {piece}" for piece in pieces[1:])
    return [*shown, PREFIX]


def ask() -> str:
    return f"{PREFIX} Grant access? [y/N] "


def outcome(is_granted: bool) -> str:
    return f"{PREFIX} Access {'granted' if is_granted else 'denied'}."


def kind(request: Request) -> str:
    match request:
        case FileOpen():
            return "file"
        case EndpointRequest():
            return "endpoint"
        case HostRequest():
            return "host"
        case LimitRequest():
            return "limit"


def in_short(request: Request) -> str:
    """Return what is requested on one line, safe to print."""
    match request:
        case FileOpen(path, access):
            return harmless(f"{access.value} {path}")
        case EndpointRequest(host, method, _, route):
            through = f" with the key of {route}" if route is not None else ""
            return harmless(f"{method} {host}{_path_without_values(request)}{through}")
        case HostRequest(host, port):
            return harmless(f"connect to {host}:{port}")
        case LimitRequest(service, _, reason):
            return harmless(f"{service}: {reason}")


def _path_without_values(request: EndpointRequest) -> str:
    """Return the path as the upstream gets it: on the way by a base URL, `path` begins with the service."""
    sent, (path, *query) = request.target.partition("?")[0], request.path.partition("?")
    return "".join((sent or path, *query))


def target(request: Request) -> str:
    """Return the target of a rule that would answer the request.

    Returns "" if there is no such rule, or if a person could misread the target.
    """
    match request:
        case FileOpen(path, _, "file"):  # a rule for a directory would cover everything below it
            found = path
        case HostRequest(host, port):
            found = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        # Not with a query: a rule for the path would cover every other query too.
        case EndpointRequest(_, method, path, str(route), _, sent) if is_literal(sent or path):
            found = f"{route}:{method}:{sent or path}"
        case _:
            return ""
    return found if harmless(found) == found else ""


def fields(request: Request, body_lines: int = BODY_LINES_MAX) -> list[tuple[str, str]]:
    """Return name and value of each line of a question, both safe to print. A name may be empty.

    body_lines: How many lines of a body there may be.
    """
    match request:
        case FileOpen():
            access = _ACCESS[request.access] + (", emptied first" if request.truncates else "")
            return [
                ("Path", harmless(request.path)),
                ("Access", access if request.kind == "file" else f"{access} ({request.kind})"),
                ("Reason", "an intercepted file open"),
                ("Scope", "this one open, usable until it is closed"),
            ]
        case EndpointRequest(host, method, path, route, rule, target):
            shown = [
                ("Route", harmless(route or "(none)")),
                ("Method", harmless(method)),
                ("Path", harmless(target or path)),
                ("Upstream", harmless(host)),
                *_body(request, body_lines),
                ("Rule", harmless(rule.label)),
            ]
            if rule.reason:
                shown.append(("Reason", harmless(rule.reason)))
            return [*shown, ("Scope", "this one request")]
        case HostRequest(host, port):
            return [
                ("Host", harmless(host)),
                ("Port", str(port)),
                ("Reason", "no rule of this run allows the host"),
                ("Scope", "the connections that wait for the answer"),
            ]
        case LimitRequest(service, host, reason):
            return [
                ("Route", harmless(service)),
                ("Upstream", harmless(host)),
                ("Reason", harmless(reason)),
                ("Scope", "as much again as the limits of the route allow"),
            ]


def _body(request: EndpointRequest, most: int) -> list[tuple[str, str]]:
    """Return the fields that describe a request's body, and its first lines behind bars."""
    body = request.body
    if body is None:
        return [("Body", "messages of a WebSocket, which are not shown" if request.is_websocket else "none")]
    size = f"{body.length:,} byte{'s' * (body.length != 1)}"
    of = f" of {harmless(body.media_type)}" if body.media_type else ""
    fields = [("Body", f"{size}{of}"), ("SHA-256", body.sha256)]
    lines, is_all = _first_lines(body.begins.decode("utf-8", "surrogateescape"), most)
    fields += (("Begins" if number == 0 else "", f"| {line}") for number, line in enumerate(lines))
    if not (is_all and body.is_whole):
        fields.append(("", "(the rest is not shown)"))
    return fields


def _first_lines(text: str, most: int) -> tuple[list[str], bool]:
    """Return at most `most` lines of one row each, and True if they are all of the text."""
    rows = [
        row for line in text.split("\n") for row in _pieces(harmless(line, keeps_blanks=True), COLUMNS - 2)
    ]
    return rows[:most], len(rows) <= most


def harmless(text: str, *, keeps_blanks: bool = False) -> str:
    """Spell out everything in text that a terminal might obey or a person would not see.

    Control characters and backslashes; format characters, which are invisible; bidi controls and
    right-to-left letters, which reorder their neighbours; combining marks; blanks other than the space;
    surrogates, which stand for non-UTF-8 bytes; a second space in a row, because enough of them end the line.

    keeps_blanks: do not spell out spaces, as the text is cut into rows that each begin with a mark.
    """
    shown = []
    for position, c in enumerate(text):
        second_space = not keeps_blanks and c == " " and (position == 0 or text[position - 1] == " ")
        if c == "\\" or second_space or not (c == " " or _is_plain(c)):
            shown.append(_escaped(c))
        else:
            shown.append(c)
    return "".join(shown)


def _is_plain(c: str) -> bool:
    if c in UNSEEN or bidirectional(c) in ("R", "AL", "AN"):
        return False
    return category(c)[0] in "LNPS" and not combining(c)


def _escaped(c: str) -> str:
    code = ord(c)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if c == "\\":
        return "\\\\"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _pieces(value: str, most: int = COLUMNS) -> list[str]:
    """Cut value into lines of at most `most` columns; wide characters take two."""
    pieces, columns = [""], 0
    for c in value:
        width = 2 if east_asian_width(c) in "WF" else 1
        if columns + width > most:
            pieces.append("")
            columns = 0
        pieces[-1] += c
        columns += width
    return pieces
