"""Run Python's own http.server with handlers that answer without reading, as many small services do."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Notes:
    """What a server of notes has seen: the method, path and key of each request, and the comments."""

    port: int = 0
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)
    comments: list[bytes] = field(default_factory=list)
    connections: int = 0

    def keys_of(self, method: str) -> list[str]:
        """Return the keys in requests with this method."""
        return [key for seen, _, key in self.seen if seen == method and key is not None]


@contextmanager
def notes_server(context: ssl.SSLContext) -> Iterator[Notes]:
    """Serve HTTPS on loopback. POST /comments is read and kept, GET returns it; no other body is read."""
    notes = Notes()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            notes.connections += 1

        def answer(self) -> None:
            notes.seen.append((self.command, self.path, self.headers.get("authorization")))
            body = b"ok"
            if self.path == "/comments" and self.command == "POST":
                notes.comments.append(self.rfile.read(int(self.headers.get("content-length", 0))))
            elif self.path == "/comments":
                body = b"".join(notes.comments)
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_DELETE = answer  # noqa: N815  # the names that http.server looks for

        def handle(self) -> None:
            with suppress(OSError):  # the proxy ends connections
                super().handle()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        notes.port = server.server_port
        serving = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        serving.start()
        try:
            yield notes
        finally:
            server.shutdown()
            serving.join()
