"""Word what `nono allow` and `nono deny` have changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from nono.cli.text.session_text import duration, name_of, one_line
from nono.policy.live.port_target import LISTEN
from nono.sessions.record import Record

_LOOPBACK = re.compile(r"(?:localhost|127\.[0-9.]+|\[::1\]):([0-9]+)")
_LISTEN = f"{LISTEN}:"
_DONE = {"allow": "Allowed", "deny": "Denied"}


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
    listens = wanted["kind"] == "port" and target.startswith(_LISTEN)
    target = f"--listen-port {target.removeprefix(_LISTEN)}" if listens else target
    if not is_done:
        yield f"Session {name}: {one_line(str(document.get('error')))}."
        if document.get("hint"):
            yield f"hint: {one_line(str(document['hint']))}"
        return
    cut = document.get("cut")
    ended = f"; {cut} open connection{'s' * (cut != 1)} cut" if isinstance(cut, int) and cut else ""
    takes_away = (wanted["decision"] == "deny") != undone
    if takes_away and document.get("leaves_standing"):
        where = " past the proxy" if wanted["kind"] == "host" else ""
        ended += "; what listens by now goes on" if listens else f"; what is connected{where} by now stays so"
    if undone:
        yield f"Took back `nono {wanted['decision']} {target}` in session {name}{ended}."
        return
    for_s = wanted["for_s"]
    until = f"for {duration(for_s)}" if isinstance(for_s, int) else "until it ends"
    both = " for reading and writing" if wanted["kind"] == "path" and wanted["writes"] else ""
    yield f"{_DONE[str(wanted['decision'])]} {target}{both} in session {name}, {until}{ended}."
    if listens and wanted["decision"] == "allow":
        yield "hint: start a server that listens already again, so that other machines reach it too"
    own = _LOOPBACK.fullmatch(target) if wanted["kind"] == "host" else None
    if own is not None:
        yield f"hint: nono {wanted['decision']} {own[1]} is for programs that leave the proxy out there"
