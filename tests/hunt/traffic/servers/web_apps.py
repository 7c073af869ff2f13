"""The same as a WSGI and as an ASGI application; HUNT_LOG says where it is written down."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any


def _note(method: str, target: str, mark: str, key: str) -> None:
    with open(os.environ["HUNT_LOG"], "a") as log:
        log.write(json.dumps({"method": method, "target": target, "mark": mark, "key": key}) + "\n")


def wsgi(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    target = environ["PATH_INFO"] + ("?" + environ["QUERY_STRING"] if environ.get("QUERY_STRING") else "")
    mark = environ.get("HTTP_X_MARK", "")
    _note(environ["REQUEST_METHOD"], target, mark, environ.get("HTTP_AUTHORIZATION", ""))
    if not target.startswith("/unread"):
        environ["wsgi.input"].read()
    start_response("200 OK", [("X-Answer", mark), ("Content-Length", str(len(mark)))])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [mark.encode()]


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    if scope["type"] != "http":
        return
    fields = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    query = scope["query_string"].decode("latin-1")
    target = scope["raw_path"].decode("latin-1") + (f"?{query}" if query else "")
    mark = fields.get("x-mark", "")
    _note(scope["method"], target, mark, fields.get("authorization", ""))
    if not target.startswith("/unread"):
        while (await receive()).get("more_body"):
            pass
    headers = [(b"x-answer", mark.encode()), (b"content-length", str(len(mark)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else mark.encode()})
