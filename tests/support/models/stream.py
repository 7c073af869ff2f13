"""Send server-sent events as model providers do: in pieces that end anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable

from support.servers.http1 import Received

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


def stream(request: Received, events: Iterable[str]) -> None:
    """Answer with events, each cut in two halves that are sent separately."""
    request.connection.send(_HEAD)
    for event in events:
        raw = event.encode()
        middle = len(raw) // 2
        for piece in (raw[:middle], raw[middle:]):
            request.connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
    request.connection.send(b"0\r\n\r\n")


def event(data: object, kind: str | None = None) -> str:
    """Return one event. data is sent as JSON."""
    named = f"event: {kind}\n" if kind is not None else ""
    return f"{named}data: {json.dumps(data)}\n\n"


def answer(request: Received, document: object, status: int = 200) -> None:
    fields = [("Content-Type", "application/json")]
    request.connection.respond(status, json.dumps(document).encode(), fields, "OK" if status == 200 else "No")
