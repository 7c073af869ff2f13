"""Word what `nono allow` and `nono deny` have changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from nono.cli.text.session_text import duration, one_line
from nono.printable import shell_word
from nono.sessions.record import Record

_STAYS = ("port", "socket")  # these connections are the command's own
_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\]):([0-9]+)")
_DONE = {"allow": "Allowed", "deny": "Denied"}


def name_of(record: Record) -> str:
    return shell_word(record.name) if record.name else record.session_id


def outcome(
    record: Record,
    wanted: Mapping[str, object],
    document: Mapping[str, object],
    *,
    is_done: bool,
    undone: bool,
) -> Iterator[str]:
    """Yield the lines about one session.

    wanted: The requested rule.
    document: The response.
    """
    name, target = name_of(record), one_line(str(wanted["target"]))
    if not is_done:
        yield f"Session {name}: {one_line(str(document.get('error')))}."
        if document.get("hint"):
            yield f"hint: {one_line(str(document['hint']))}"
        return
    cut = document.get("cut")
    ended = f"; {cut} open connection{'s' * (cut != 1)} cut" if isinstance(cut, int) and cut else ""
    if undone:
        yield f"Took back `nono {wanted['decision']} {target}` in session {name}{ended}."
        return
    for_s = wanted["for_s"]
    until = f"for {duration(for_s)}" if isinstance(for_s, int) else "until it ends"
    if wanted["decision"] == "deny" and wanted["kind"] in _STAYS:
        ended = "; what is connected by now stays so"
    yield f"{_DONE[str(wanted['decision'])]} {target} in session {name}, {until}{ended}."
    own = _LOOPBACK.fullmatch(target) if wanted["kind"] == "host" else None
    if own is not None:
        yield f"hint: nono {wanted['decision']} {own[1]} is for programs that leave the proxy out there"
